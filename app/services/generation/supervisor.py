"""Runs as tasks of their own: they outlive the request that started them, and can be read, cancelled and drained."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app.adapters.eventlog.memory import MemoryEventLog
from app.services.generation.events import RunEvent

log = structlog.get_logger()


class LiveRun:
    """A run of this process: its log, and the task that writes it."""

    __slots__ = ("is_cancel_requested", "log", "run_id", "task", "tenant_id")

    def __init__(self, tenant_id: str, run_id: str) -> None:
        self.tenant_id = tenant_id
        self.run_id = run_id
        self.log: MemoryEventLog[RunEvent] = MemoryEventLog()
        self.task: asyncio.Task[None] | None = None
        self.is_cancel_requested = False

    def cancel(self) -> None:
        """Ask the run to stop; it keeps what was said and ends as cancelled."""
        self.is_cancel_requested = True
        if self.task is not None:
            self.task.cancel()


class RunSupervisor:
    """The runs of this process, those that go on and, for a while, those that ended."""

    def __init__(self, *, retention_seconds: float) -> None:
        self._retention_seconds = retention_seconds
        self._runs: dict[tuple[str, str], LiveRun] = {}

    def start(self, live: LiveRun, work: Callable[[LiveRun], Coroutine[Any, Any, None]]) -> None:
        """Begin the work of a run; it closes the log when it is done."""
        self._runs[live.tenant_id, live.run_id] = live
        live.task = asyncio.create_task(self._run(live, work), name=live.run_id)

    def find(self, tenant_id: str, run_id: str) -> LiveRun | None:
        """The tenant's run, while this process still has it."""
        return self._runs.get((tenant_id, run_id))

    @property
    def open_run_ids(self) -> list[str]:
        """Runs that have not ended."""
        return [live.run_id for live in self._runs.values() if not live.log.is_closed]

    async def drain(self, seconds: float) -> None:
        """Let runs finish for so long, then stop the rest."""
        tasks = [live.task for live in self._runs.values() if live.task is not None and not live.task.done()]
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=seconds)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _run(self, live: LiveRun, work: Callable[[LiveRun], Coroutine[Any, Any, None]]) -> None:
        try:
            await work(live)
        finally:
            live.log.close()
            asyncio.get_running_loop().call_later(
                self._retention_seconds, self._runs.pop, (live.tenant_id, live.run_id), None
            )
