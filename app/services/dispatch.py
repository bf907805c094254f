"""Dispatch: what waits in the database is handed to the broker, fairly, and again where the broker lost it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.core import telemetry
from app.core.clock import utc_now
from app.core.database import SYSTEM, Database
from app.core.errors import AppError
from app.models.job import Job, JobState
from app.repositories.jobs import JobQueue
from app.services.jobs import JobSender

log = structlog.get_logger()

_RESEND_AFTER = timedelta(seconds=30)
_REMEMBERED = timedelta(days=7)


class Dispatcher:
    """Sends hints for due jobs. Any number of processes may do it: what is sent twice is claimed once."""

    def __init__(self, database: Database, sender: JobSender, *, per_tenant: int, window: int) -> None:
        self._database = database
        self._sender = sender
        self._per_tenant = per_tenant
        self._window = window
        self._lock = asyncio.Lock()
        self._is_requested = False
        self._pokes: set[asyncio.Task[None]] = set()

    async def poke(self) -> None:
        """Look for due jobs soon, in the background; what fails now is found by the next regular look."""
        task = asyncio.create_task(self.dispatch_quietly())
        self._pokes.add(task)
        task.add_done_callback(self._pokes.discard)

    async def dispatch_quietly(self) -> None:
        """Send what is due, for callers who could do nothing about it if that fails."""
        try:
            await self.dispatch_due()
        except AppError as error:
            log.warning("dispatch_postponed", code=error.code)
        except Exception:  # rule: allow broad-except because the next regular look does what this one could not
            log.exception("dispatch_failed")

    async def dispatch_due(self) -> int:
        """Send what is due, and say how much that was; a call during a call makes that one look again."""
        self._is_requested = True
        sent = 0
        async with self._lock:
            while self._is_requested:
                self._is_requested = False
                sent += await self._dispatch_once()
        return sent

    async def _dispatch_once(self) -> int:
        async with self._database.read(SYSTEM) as session:
            if not await self._due(JobQueue(session)):
                return 0
        async with self._database.write(SYSTEM) as session:
            queue = JobQueue(session)
            jobs = await self._due(queue)
            await queue.mark_sent(jobs, utc_now())
        await self._send(jobs)
        return len(jobs)

    async def _send(self, jobs: Sequence[Job]) -> None:
        for position, job in enumerate(jobs):
            try:
                await asyncio.to_thread(self._sender.send, job.kind, job.id)
            except Exception:
                async with self._database.write(SYSTEM) as session:
                    await JobQueue(session).take_back([unsent.id for unsent in jobs[position:]])
                raise

    async def _due(self, queue: JobQueue) -> list[Job]:
        now = utc_now()
        return list(
            await queue.due(now, resend_before=now - _RESEND_AFTER, per_tenant=self._per_tenant, limit=self._window)
        )

    async def measure(self) -> None:
        """Show how much waits, for the operator."""
        async with self._database.read(SYSTEM) as session:
            counts = await JobQueue(session).count_by_state()
        for state in (JobState.QUEUED, JobState.SENT, JobState.RUNNING):
            telemetry.JOBS_WAITING.labels(state.value).set(counts.get(state, 0))

    async def forget_old(self) -> None:
        """Delete the rows of jobs that succeeded long ago: what they did speaks for itself."""
        async with self._database.write(SYSTEM) as session:
            await JobQueue(session).forget_succeeded(utc_now() - _REMEMBERED)

    async def release_all(self) -> int:
        """Take back everything that a dead process held: right only where this process is the only one."""
        async with self._database.write(SYSTEM) as session:
            released = await JobQueue(session).release_all(utc_now())
        if released:
            log.info("jobs_released", count=released)
        return released
