"""One event loop a worker process, in a thread of its own, on which tasks call the async services."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

_ANSWER_SECONDS = 1.0


class WorkerRuntime:
    """An event loop (``loop``) for a process's tasks. Made after a fork, never before it."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="insula-worker-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine to its end from another thread; raises what it raises, TimeoutError after ``timeout`` s."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    async def is_turning(self) -> bool:
        """Whether the loop does what it is asked within a second; called on another loop."""
        answer: Future[None] = Future()
        try:
            self.loop.call_soon_threadsafe(_answer, answer)
            await asyncio.wait_for(asyncio.wrap_future(answer), _ANSWER_SECONDS)
        except (RuntimeError, TimeoutError):  # RuntimeError: closed
            return False
        return True

    def stop(self) -> None:
        """Cancel what still runs and end the loop."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


def _answer(future: Future[None]) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(None)


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
