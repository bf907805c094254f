"""Runs as tasks: drained in time, closed whatever happens to them, forgotten after a while."""

import asyncio

import pytest

from app.core.errors import Overloaded
from app.services.generation.events import RunCompleted, RunFailed
from app.services.generation.supervisor import LiveRun, RunSupervisor


def live_run(number: int = 1) -> LiveRun:
    return LiveRun("tnt_1", f"run_{number}")


async def quick(live: LiveRun) -> None:
    live.log.append(RunCompleted("msg_1"))


async def endless(live: LiveRun) -> None:
    await asyncio.Event().wait()


async def broken(live: LiveRun) -> None:
    raise RuntimeError("a defect")


async def ended(live: LiveRun) -> RunFailed | RunCompleted:
    assert live.task is not None
    await asyncio.wait([live.task])
    await asyncio.sleep(0)
    assert live.log.is_closed
    event = live.log.events[-1]
    assert isinstance(event, RunFailed | RunCompleted)
    return event


@pytest.mark.parametrize("work", [endless, broken])
async def test_a_run_that_did_not_say_how_it_ended_was_interrupted(work: object) -> None:
    supervisor, live = RunSupervisor(retention_seconds=0), live_run()
    supervisor.start(live, endless if work is endless else broken)
    await asyncio.sleep(0)
    live.cancel()
    event = await ended(live)
    assert isinstance(event, RunFailed)
    assert event.code == "interrupted"
    assert not await live.wait_until_recorded()


async def test_a_run_stopped_before_it_began_ends_too() -> None:
    supervisor, live = RunSupervisor(retention_seconds=0), live_run()
    supervisor.start(live, endless)
    live.cancel()
    assert isinstance(await ended(live), RunFailed)


async def test_draining_waits_for_the_quick_and_stops_the_rest_and_takes_no_more() -> None:
    supervisor = RunSupervisor(retention_seconds=60)
    runs = [live_run(number) for number in range(4)]
    for live in runs:
        supervisor.start(live, endless if live is runs[0] else quick)
    await supervisor.drain(0.05)
    assert [type(await ended(live)) for live in runs] == [RunFailed, *[RunCompleted] * 3]
    assert supervisor.open_run_ids == []
    with pytest.raises(Overloaded):
        supervisor.start(live_run(9), quick)


async def test_a_run_is_found_by_its_tenant_until_it_is_forgotten() -> None:
    supervisor, live = RunSupervisor(retention_seconds=0), live_run()
    supervisor.start(live, quick)
    assert supervisor.find("tnt_1", "run_1") is live
    assert supervisor.find("tnt_2", "run_1") is None
    await ended(live)
    await asyncio.sleep(0.01)
    assert supervisor.find("tnt_1", "run_1") is None
