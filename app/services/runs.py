"""Runs: read, followed, cancelled, and closed where their process died."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.adapters.eventlog.base import LogReader
from app.adapters.eventlog.memory import MemoryEventLog
from app.core.clock import utc_now
from app.core.database import SYSTEM, Database, ReadSession, WriteSession
from app.core.errors import Conflict
from app.core.pagination import Page, PageRequest
from app.core.tenancy import TenantContext
from app.models.run import Run, RunStatus
from app.repositories.runs import RunLeases, RunsRepository
from app.services.generation.events import RunEvent, interrupted, pack, unpack
from app.services.generation.supervisor import RunSupervisor

log = structlog.get_logger()

_POLL_SECONDS = 0.5


class RunsService:
    """The runs of one tenant."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None:
        self._runs = RunsRepository(session, context)

    async def list(self, page: PageRequest) -> Page[Run]:
        """One page of the runs."""
        return await self._runs.page(page)

    async def get(self, run_id: str) -> Run:
        """A run; raises NotFound."""
        return await self._runs.get(run_id)


class RunFollower:
    """Opens the event log of a run, wherever it is: in this process, in the database, or still being written."""

    def __init__(self, database: Database, supervisor: RunSupervisor) -> None:
        self._database = database
        self._supervisor = supervisor

    async def open(self, context: TenantContext, run_id: str, after: int) -> LogReader[RunEvent]:
        """A reader of the events past number ``after``; raises NotFound."""
        live = self._supervisor.find(context.tenant_id, run_id)
        if live is not None:
            return live.log.reader(_place(live.log, after))
        finished = await self._wait_until_finished(context, run_id)
        events = MemoryEventLog[RunEvent]()
        for event in unpack(finished.events):
            events.append(event)
        events.close()
        if len(events.events) == 1:
            return LostLogReader(events.events[0], after)
        return events.reader(_place(events, after))

    async def until_recorded(self, context: TenantContext, run_id: str) -> None:
        """Wait, for some milliseconds at most, until a run that has just begun can be read from the database."""
        live = self._supervisor.find(context.tenant_id, run_id)
        if live is not None:
            await live.wait_until_recorded()

    async def _wait_until_finished(self, context: TenantContext, run_id: str) -> Run:
        while True:
            async with self._database.read(context.tenant_id) as session:
                run = await RunsRepository(session, context).get(run_id)
            if run.status != RunStatus.IN_PROGRESS:
                return run
            await asyncio.sleep(_POLL_SECONDS)

    async def cancel(self, context: TenantContext, run_id: str) -> Run:
        """Stop a run and keep what was said; raises NotFound, Conflict where it has ended."""
        live = self._supervisor.find(context.tenant_id, run_id)
        has_stopped = live is not None and live.task is not None and not live.task.done()
        if live is not None and live.task is not None and has_stopped:
            live.cancel()
            await asyncio.wait([live.task])
        run = await self._wait_until_finished(context, run_id)
        if not has_stopped or run.status != RunStatus.CANCELLED:
            raise Conflict("The run has ended; there is nothing to cancel.", code="run_ended")
        return run


def _place(events: MemoryEventLog[RunEvent], after: int) -> int:
    """Where to read on. What has ended tells how once more, also to a reader that claims to have it all."""
    return min(after, len(events.events) - 1) if events.is_closed else after


class LostLogReader:
    """What is left to say of a run whose process died with its log: that it failed, behind whatever was read of it."""

    def __init__(self, ended: RunEvent, position: int) -> None:
        self._rest = [ended]
        self.position = position

    async def next_batch(self) -> Sequence[RunEvent] | None:
        """The one event, and then the end."""
        batch, self._rest = self._rest, []
        self.position += len(batch)
        return batch or None

    def nudge(self) -> None:
        """Nobody waits here."""


class RunSweeper:
    """Keeps this process's runs alive and closes those that nobody keeps alive."""

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_seconds)

    async def extend(self, run_ids: Sequence[str]) -> None:
        """Renew the leases of this process's runs, all in one statement."""
        if run_ids:
            async with self._database.write(SYSTEM) as session:
                await RunLeases(session).extend(run_ids, utc_now() + self._lease)

    async def close_expired(self) -> int:
        """Fail the runs whose lease has run out; how many that were."""
        return await self._close_leased_before(utc_now())

    async def close_all_open(self) -> int:
        """Fail every open run: right only where no other process can hold one."""
        return await self._close_leased_before(utc_now() + timedelta(days=365))

    async def _close_leased_before(self, moment: datetime) -> int:
        closed = 0
        while True:
            async with self._database.read(SYSTEM) as session:
                expired = await RunLeases(session).expired(moment)
            if not expired:
                return closed
            for run in expired:
                await self._close(run)
            closed += len(expired)

    async def _close(self, run: Run) -> None:
        failure = interrupted()
        context = TenantContext.for_job(run.tenant_id, run.id)
        async with self._database.write(run.tenant_id) as session:
            await RunsRepository(session, context).finish(
                run.id,
                status=RunStatus.FAILED,
                error_code=failure.code,
                error_message=failure.message,
                events=pack([failure]),
                finished_at=utc_now(),
            )
        log.warning("run_interrupted", run_id=run.id, tenant_id=run.tenant_id)
