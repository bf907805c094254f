"""A cache for what is looked up all the time: entries live for a moment, and a missing one is looked up once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from cachetools import TTLCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class MomentaryCache(Generic[K, V]):
    """Remembers at most ``size`` values for ``seconds`` each; only for use on one event loop.

    However many callers miss the same key at once, one look-up serves them all. A failed look-up is not remembered.
    """

    def __init__(self, size: int, seconds: float, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._values: TTLCache[K, V] = TTLCache(size, seconds, timer=timer)
        self._pending: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        """The value of a key, looked up where it is not remembered; raises what the look-up raises."""
        with suppress(KeyError):  # not `in` first: the value may run out between the two
            return self._values[key]
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.create_task(self._load(key, look_up))
        return await asyncio.shield(task)

    def clear(self) -> None:
        """Forget everything, also what is being looked up now: it may be out of date already."""
        self._values.clear()
        self._pending.clear()

    async def _load(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        task = asyncio.current_task()
        try:
            value = await look_up()
            if self._pending.get(key) is task:
                self._values[key] = value
            return value
        finally:
            if self._pending.get(key) is task:
                del self._pending[key]
