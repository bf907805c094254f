"""Dispatch: fair between tenants, bounded, and sent again where the broker lost it."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from app.core.clock import utc_now
from app.core.database import SYSTEM
from app.core.errors import Overloaded
from app.core.ids import new_id
from app.core.tenancy import TenantContext
from app.models.job import JobState
from app.repositories.jobs import JobQueue
from app.services.dispatch import Dispatcher
from app.services.jobs import JobKind, enqueue
from tests.fixtures.world import World, until


class Broker:
    """Remembers what it was told, or refuses it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.takes = 10**9

    def send(self, kind: str, job_id: str) -> None:
        if not self.takes:
            raise Overloaded("down", code="broker_unavailable")
        self.takes -= 1
        self.sent.append((kind, job_id))

    @property
    def ids(self) -> list[str]:
        return [job_id for _, job_id in self.sent]


@pytest.fixture
def broker() -> Broker:
    return Broker()


def dispatcher_of(world: World, broker: Broker, *, per_tenant: int = 2, window: int = 4) -> Dispatcher:
    return Dispatcher(world.database, broker, per_tenant=per_tenant, window=window)


async def fill(world: World, context: TenantContext, count: int) -> list[str]:
    async with world.database.write(context.tenant_id) as session:
        return [enqueue(session, context, JobKind.DOCUMENT_PROCESS, new_id("doc")).id for _ in range(count)]


def states(world: World) -> Counter[str]:
    return Counter(str(row["state"]) for row in world.rows("SELECT state FROM jobs"))


def end(world: World, job_id: str) -> None:
    """Somewhere, a worker did the job."""
    changed = world.rows(
        "UPDATE jobs SET state = 'succeeded' WHERE id = ? AND state IN ('sent', 'running') RETURNING id", job_id
    )
    assert len(changed) == 1


async def test_one_document_beside_a_thousand_is_in_the_first_window(world: World, broker: Broker) -> None:
    many, one = await world.make_tenant("many"), await world.make_tenant("one")
    backlog = await fill(world, many, 1000)
    (single,) = await fill(world, one, 1)
    assert await dispatcher_of(world, broker).dispatch_due() == 3
    assert single in broker.ids[:2]
    assert [job_id for job_id in broker.ids if job_id != single] == backlog[:2], "in the order of their arrival"


async def test_no_tenant_waits_for_the_backlogs_of_others_to_end(world: World, broker: Broker) -> None:
    for number in range(6):
        await fill(world, await world.make_tenant(f"busy-{number}"), 100)
    (single,) = await fill(world, await world.make_tenant("late"), 1)
    dispatcher = dispatcher_of(world, broker)
    served = 0
    await dispatcher.dispatch_due()
    while single not in broker.ids:
        end(world, broker.ids[served])
        served += 1
        assert served < 150, "served a hundred and fifty of others, and still not the one"
        await dispatcher.dispatch_due()


async def test_a_tenant_has_no_more_in_work_than_its_share(world: World, broker: Broker) -> None:
    await fill(world, await world.make_tenant("many"), 10)
    dispatcher = dispatcher_of(world, broker, per_tenant=3, window=8)
    assert await dispatcher.dispatch_due() == 3
    assert await dispatcher.dispatch_due() == 0
    end(world, broker.ids[0])
    assert await dispatcher.dispatch_due() == 1
    assert states(world) == {"queued": 6, "sent": 3, "succeeded": 1}


async def test_no_more_is_sent_than_the_window_holds(world: World, broker: Broker) -> None:
    for number in range(5):
        await fill(world, await world.make_tenant(f"tenant-{number}"), 5)
    assert await dispatcher_of(world, broker).dispatch_due() == 4
    assert len({row["tenant_id"] for row in world.rows("SELECT tenant_id FROM jobs WHERE state = 'sent'")}) == 4


async def test_what_was_sent_and_never_begun_is_sent_again(world: World, broker: Broker) -> None:
    (job_id,) = await fill(world, await world.make_tenant("tenant"), 1)
    dispatcher = dispatcher_of(world, broker)
    await dispatcher.dispatch_due()
    world.clock.pass_by(seconds=29)
    assert await dispatcher.dispatch_due() == 0
    world.clock.pass_by(seconds=2)
    assert await dispatcher.dispatch_due() == 1
    assert broker.sent == [("document.process", job_id)] * 2


async def test_what_a_silent_worker_holds_is_sent_again_after_its_lease(world: World, broker: Broker) -> None:
    (job_id,) = await fill(world, await world.make_tenant("tenant"), 1)
    async with world.database.write(SYSTEM) as session:
        lease = world.clock.now + timedelta(seconds=30)
        assert await JobQueue(session).claim(job_id, world.clock.now, lease) is not None
    dispatcher = dispatcher_of(world, broker)
    assert await dispatcher.dispatch_due() == 0
    world.clock.pass_by(seconds=31)
    assert await dispatcher.dispatch_due() == 1


async def test_what_is_not_due_is_not_sent(world: World, broker: Broker) -> None:
    await fill(world, await world.make_tenant("tenant"), 1)
    world.rows("UPDATE jobs SET next_attempt_at = '2026-11-22 00:01:00.000000' RETURNING id")
    dispatcher = dispatcher_of(world, broker)
    assert await dispatcher.dispatch_due() == 0
    world.clock.pass_by(seconds=61)
    assert await dispatcher.dispatch_due() == 1


async def test_what_the_broker_refuses_goes_out_as_soon_as_it_is_back(world: World, broker: Broker) -> None:
    jobs = await fill(world, await world.make_tenant("tenant"), 3)
    broker.takes = 1
    dispatcher = dispatcher_of(world, broker, per_tenant=3)
    with pytest.raises(Overloaded):
        await dispatcher.dispatch_due()
    assert states(world) == {"sent": 1, "queued": 2}
    await dispatcher.dispatch_quietly()
    assert states(world) == {"sent": 1, "queued": 2}
    broker.takes = 10
    assert await dispatcher.dispatch_due() == 2
    assert broker.ids == jobs


async def test_taking_back_spares_what_was_begun_meanwhile(world: World) -> None:
    (job_id,) = await fill(world, await world.make_tenant("tenant"), 1)
    async with world.database.write(SYSTEM) as session:
        queue = JobQueue(session)
        await queue.claim(job_id, world.clock.now, world.clock.now + timedelta(seconds=30))
        await queue.take_back([job_id])
    assert states(world) == {JobState.RUNNING: 1}


async def test_dispatching_at_once_sends_nothing_twice(world: World, broker: Broker) -> None:
    await fill(world, await world.make_tenant("tenant"), 20)
    dispatchers = [dispatcher_of(world, broker, per_tenant=20, window=20) for _ in range(4)]
    sent = await asyncio.gather(*(dispatcher.dispatch_due() for dispatcher in dispatchers for _ in range(3)))
    assert sum(sent) == len(broker.ids) == len(set(broker.ids)) == 20


async def test_a_poke_looks_soon(world: World, broker: Broker) -> None:
    await fill(world, await world.make_tenant("tenant"), 1)
    await dispatcher_of(world, broker).poke()
    await until(lambda: bool(broker.sent))


async def test_jobs_that_succeeded_long_ago_are_forgotten_and_failed_ones_are_not(world: World, broker: Broker) -> None:
    tenant = await world.make_tenant("old")
    old, young, failed, waiting = await fill(world, tenant, 4)
    for job_id, state, age in ((old, "succeeded", 8), (young, "succeeded", 6), (failed, "failed", 80)):
        finished_at = (utc_now() - timedelta(days=age)).strftime("%Y-%m-%d %H:%M:%S.%f")
        world.rows("UPDATE jobs SET state = ?, finished_at = ? WHERE id = ? RETURNING id", state, finished_at, job_id)
    await dispatcher_of(world, broker).forget_old()
    assert {row["id"] for row in world.rows("SELECT id FROM jobs")} == {young, failed, waiting}
