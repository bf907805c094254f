"""Runs: read, followed, cancelled, and closed where their process died."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

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
            return live.log.reader(after)
        finished = await self._wait_until_finished(context, run_id)
        events = MemoryEventLog[RunEvent]()
        for event in unpack(finished.events):
            events.append(event)
        events.close()
        return events.reader(min(after, max(0, len(events.events) - 1)))

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
        if live is None or live.task is None or live.task.done():
            async with self._database.read(context.tenant_id) as session:
                await RunsRepository(session, context).get(run_id)
            raise Conflict("The run has ended; there is nothing to cancel.", code="run_ended")
        live.cancel()
        await asyncio.wait([live.task])
        return await self._wait_until_finished(context, run_id)


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
        now = utc_now()
        async with self._database.read(SYSTEM) as session:
            expired = await RunLeases(session).expired(now)
        for run in expired:
            await self._close(run)
        return len(expired)

    async def close_all_open(self) -> int:
        """Fail every open run: right only where no other process can hold one."""
        async with self._database.read(SYSTEM) as session:
            expired = await RunLeases(session).expired(utc_now() + timedelta(days=365))
        for run in expired:
            await self._close(run)
        return len(expired)

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
