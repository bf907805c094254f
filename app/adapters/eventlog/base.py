"""The port to the log of a run: one writer appends numbered events, any number of readers follow from any number."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")


class LogReader(Protocol[E_co]):
    """One reader's place in a log."""

    position: int

    async def next_batch(self) -> Sequence[E_co] | None:
        """The next events past ``position``, which moves on; empty after ``nudge``; None once the log has ended."""
        ...

    def nudge(self) -> None:
        """Make a waiting ``next_batch`` return empty-handed, so that its caller can send a sign of life."""
        ...


class EventLog(Protocol[E]):
    """An append-only log; the first event has number 1."""

    def append(self, event: E) -> None:
        """Add an event and wake the readers."""
        ...

    def close(self) -> None:
        """Nothing follows."""
        ...

    def reader(self, after: int = 0) -> LogReader[E]:
        """A reader that starts past event number ``after``."""
        ...
