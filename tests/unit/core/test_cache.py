"""What is remembered for a moment: looked up once by all who miss it, and never half gone."""

import asyncio
from itertools import count

from app.core.cache import MomentaryCache


async def test_a_value_that_runs_out_while_it_is_read_is_looked_up() -> None:
    ticks = count(step=0.3)  # the clock moves on at every look at it
    cache = MomentaryCache[str, int](10, 1.0, timer=lambda: next(ticks))
    numbers = count()

    async def look_up() -> int:
        return next(numbers)

    values = [await cache.get("a", look_up) for _ in range(30)]
    assert values == sorted(values)
    assert values[-1] > 0


async def test_all_who_miss_at_once_share_one_look_up() -> None:
    cache = MomentaryCache[str, int](10, 60.0)
    calls = 0

    async def look_up() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return calls

    assert await asyncio.gather(*(cache.get("a", look_up) for _ in range(5))) == [1] * 5
