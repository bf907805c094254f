"""Runs as tasks of their own: they outlive the request that started them, and can be read, cancelled and drained."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app.adapters.eventlog.memory import MemoryEventLog
from app.core.errors import Overloaded
from app.services.generation.events import RunEnded, RunEvent, interrupted

log = structlog.get_logger()


class LiveRun:
    """A run of this process: its log, and the task that writes it."""

    __slots__ = (
        "_is_decided",
        "conversation_id",
        "is_cancel_requested",
        "is_recorded",
        "log",
        "run_id",
        "task",
        "tenant_id",
    )

    def __init__(self, tenant_id: str, run_id: str, conversation_id: str = "") -> None:
        self.tenant_id = tenant_id
        self.run_id = run_id
        self.conversation_id = conversation_id
        self.log: MemoryEventLog[RunEvent] = MemoryEventLog()
        self.task: asyncio.Task[None] | None = None
        self.is_cancel_requested = False
        self.is_recorded = False
        self._is_decided = asyncio.Event()

    def set_recorded(self, *, is_recorded: bool) -> None:
        """Say, once, whether the run can be read from the database."""
        if not self._is_decided.is_set():
            self.is_recorded = is_recorded
            self._is_decided.set()

    async def wait_until_recorded(self) -> bool:
        """Wait, for some milliseconds, until the run can be read from the database; False where it came to nothing."""
        await self._is_decided.wait()
        return self.is_recorded

    def cancel(self) -> None:
        """Ask the run to stop; it keeps what was said and ends as cancelled. Asking again changes nothing."""
        if self.task is not None and not self.is_cancel_requested:
            self.is_cancel_requested = True
            self.task.cancel()


class RunSupervisor:
    """The runs of this process, those that go on and, for a while, those that ended."""

    def __init__(self, *, retention_seconds: float) -> None:
        self._retention_seconds = retention_seconds
        self.is_draining = False
        self._runs: dict[tuple[str, str], LiveRun] = {}

    def start(self, live: LiveRun, work: Callable[[LiveRun], Coroutine[Any, Any, None]]) -> None:
        """Begin the work of a run, and close the log when it is done; raises Overloaded while draining."""
        if self.is_draining:
            raise Overloaded("The server is about to stop. Try again in a moment.", code="stopping", retry_after=2)
        self._runs[live.tenant_id, live.run_id] = live
        live.task = asyncio.create_task(work(live), name=live.run_id)
        live.task.add_done_callback(lambda task: self._end(live, task))

    def find(self, tenant_id: str, run_id: str) -> LiveRun | None:
        """The tenant's run, while this process still has it."""
        return self._runs.get((tenant_id, run_id))

    def stop_conversation(self, tenant_id: str, conversation_id: str) -> None:
        """Stop a conversation's runs and forget their logs: it is being deleted."""
        for live in self._runs_of(tenant_id):
            if live.conversation_id == conversation_id:
                live.cancel()
                self._runs.pop((tenant_id, live.run_id), None)

    def stop_tenant(self, tenant_id: str) -> None:
        """Stop a tenant's runs: it has been suspended."""
        for live in self._runs_of(tenant_id):
            live.cancel()

    def _runs_of(self, tenant_id: str) -> list[LiveRun]:
        return [live for live in self._runs.values() if live.tenant_id == tenant_id]

    @property
    def open_run_ids(self) -> list[str]:
        """Runs that have not ended."""
        return [live.run_id for live in self._runs.values() if not live.log.is_closed]

    async def drain(self, seconds: float) -> None:
        """Take no more runs; let those there are finish for so long, then stop the rest."""
        self.is_draining = True
        tasks = [live.task for live in self._runs.values() if live.task is not None and not live.task.done()]
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=seconds)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _end(self, live: LiveRun, task: asyncio.Task[None]) -> None:
        """However the work ended, readers see one event that ends the run, and then the end of the log."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("run_crashed", run_id=live.run_id, error=type(error).__name__, exc_info=error)
        if not (live.log.events and isinstance(live.log.events[-1], RunEnded)):
            live.log.append(interrupted())
        live.log.close()
        live.set_recorded(is_recorded=False)
        asyncio.get_running_loop().call_later(
            self._retention_seconds, self._runs.pop, (live.tenant_id, live.run_id), None
        )
