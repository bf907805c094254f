"""The log in memory: every reader sees every event once, in order, and then the end."""

import asyncio
import random

from app.adapters.eventlog.memory import MemoryEventLog


async def everything(log: MemoryEventLog[int], after: int = 0) -> list[int]:
    reader, seen = log.reader(after), list[int]()
    while (batch := await reader.next_batch()) is not None:
        seen.extend(batch)
        assert reader.position == after + len(seen)
    return seen


async def test_readers_see_what_is_past_their_place_whenever_they_come() -> None:
    log = MemoryEventLog[int]()
    chance = random.Random(1)
    readers = [asyncio.create_task(everything(log, after)) for after in (0, 0, 0)]
    for number in range(1000):
        log.append(number)
        if chance.random() < 0.1:
            await asyncio.sleep(0)
            readers.append(asyncio.create_task(everything(log, chance.randrange(number + 1))))
    log.close()
    seen = await asyncio.gather(*readers, everything(log))
    assert all(events == list(range(1000 - len(events), 1000)) for events in seen)
    assert [len(events) for events in seen[:3]] == [1000] * 3
    assert log._waiting == []


async def test_a_nudge_comes_back_empty_handed() -> None:
    log = MemoryEventLog[int]()
    reader = log.reader()
    waiting = asyncio.create_task(reader.next_batch())
    await asyncio.sleep(0)
    reader.nudge()
    assert await waiting == ()
    assert log._waiting == []
    log.append(1)
    reader.nudge()  # nobody waits: it is not kept for later
    assert await reader.next_batch() == [1]


async def test_a_reader_that_is_stopped_leaves_nothing_in_the_log() -> None:
    log = MemoryEventLog[int]()
    waiting = asyncio.create_task(log.reader().next_batch())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert log._waiting == []


async def test_a_reader_far_behind_gets_a_bounded_batch() -> None:
    log = MemoryEventLog[int]()
    for number in range(2000):
        log.append(number)
    reader = log.reader()
    assert len(await reader.next_batch() or ()) == 512
    assert reader.position == 512


async def test_a_reader_ahead_of_the_log_waits_for_its_place() -> None:
    log = MemoryEventLog[int]()
    ahead = asyncio.create_task(everything(log, 3))
    beyond = log.reader(99)
    last = asyncio.create_task(beyond.next_batch())
    for number in range(5):
        log.append(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not last.done()
    log.close()
    assert await ahead == [3, 4]
    assert await last == [4]  # how it ended
    assert await beyond.next_batch() is None
