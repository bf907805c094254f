"""A log in the memory of one process and one event loop."""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

E = TypeVar("E")

#: So that a reader that is far behind, and then does not read, holds no more than this encoded.
_LARGEST_BATCH = 512


class MemoryEventLog(Generic[E]):
    """Readers share the events: however slow one is, it costs no memory of its own."""

    __slots__ = ("_waiting", "events", "is_closed")

    def __init__(self) -> None:
        self.events: list[E] = []
        self.is_closed = False
        self._waiting: list[asyncio.Future[bool]] = []

    def append(self, event: E) -> None:
        """Add an event and wake the readers."""
        self.events.append(event)
        if self._waiting:
            self._wake()

    def close(self) -> None:
        """Nothing follows."""
        self.is_closed = True
        self._wake()

    def reader(self, after: int = 0) -> "MemoryLogReader[E]":
        """A reader that starts past event number ``after``."""
        return MemoryLogReader(self, after)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(False)

    async def _changed(self, future: asyncio.Future[bool]) -> bool:
        """Wait for an event, the end or a nudge; whether it was a nudge."""
        self._waiting.append(future)
        try:
            return await future
        finally:
            if not future.done() or future.cancelled() or future.result():  # a wake-up has emptied the list
                self._waiting = [other for other in self._waiting if other is not future]


class MemoryLogReader(Generic[E]):
    """One reader's place in a log in memory."""

    __slots__ = ("_future", "_log", "position")

    def __init__(self, log: MemoryEventLog[E], position: int) -> None:
        self._log = log
        self._future: asyncio.Future[bool] | None = None
        self.position = position

    async def next_batch(self) -> Sequence[E] | None:
        """All events past ``position``; empty after ``nudge``; None once the log has ended."""
        log = self._log
        while self.position >= len(log.events) and not log.is_closed:
            self._future = asyncio.get_running_loop().create_future()
            if await log._changed(self._future):  # noqa: SLF001 - the log's own reader
                return ()
        if self.position > len(log.events):  # the log ended before it came so far: tell how, at least
            self.position = len(log.events) - 1
        batch = log.events[self.position : self.position + _LARGEST_BATCH]
        self.position += len(batch)
        return batch if batch or not self._has_ended() else None

    def _has_ended(self) -> bool:
        return self._log.is_closed and self.position >= len(self._log.events)

    def nudge(self) -> None:
        """Make a waiting ``next_batch`` return empty-handed."""
        if self._future is not None and not self._future.done():
            self._future.set_result(True)
