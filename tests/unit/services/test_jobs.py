"""Jobs: held by one worker at a time, counted before they are begun, ended once, and never lost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from app.core.database import SYSTEM, WriteSession
from app.core.ids import new_id
from app.core.tenancy import TenantContext
from app.models.job import Job, JobState
from app.repositories.jobs import JobQueue
from app.services.jobs import HeldJob, JobFailure, JobKind, JobRunner, LeaseLost, RetryPolicy, enqueue
from tests.fixtures.world import Clock, World, until

KIND = JobKind.DOCUMENT_PROCESS
AGAIN = JobFailure("again", "Try again.", is_final=False)
NEVER = JobFailure("never", "Do not.", is_final=True)


class Work:
    """Work that does what a test says, and remembers what it was told."""

    def __init__(self, *, is_given_up: bool = True) -> None:
        self.is_given_up = is_given_up
        self.outcomes: list[Exception | None] = []
        self.begun: list[HeldJob] = []
        self.given_up: list[tuple[str, bool]] = []
        self.cleared = 0
        self.runner: JobRunner | None = None

    def next_outcome(self, job: HeldJob) -> Exception | None:
        self.begun.append(job)
        return self.outcomes.pop(0) if self.outcomes else None

    async def run(self, job: HeldJob) -> None:
        outcome = self.next_outcome(job)
        if outcome is not None:
            raise outcome
        async with self.world.database.write(job.context.tenant_id) as session:
            await job.succeed(session)

    async def clear(self, job: HeldJob) -> None:
        self.cleared += 1

    async def give_up(self, job: HeldJob, session: WriteSession, failure: JobFailure, *, is_final: bool) -> None:
        self.given_up.append((failure.code, is_final))

    world: World


@pytest.fixture
def work(world: World) -> Work:
    made = Work()
    made.world = world
    world.work[KIND] = made
    return made


@pytest.fixture
async def tenant(world: World) -> TenantContext:
    return await world.make_tenant("tenant")


async def make_job(world: World, context: TenantContext) -> str:
    async with world.database.write(context.tenant_id) as session:
        return enqueue(session, context, KIND, new_id("doc")).id


def row(world: World, job_id: str) -> dict[str, object]:
    return dict(world.rows("SELECT * FROM jobs WHERE id = ?", job_id)[0])


async def claim(world: World, job_id: str, lease: float = 30) -> HeldJob | None:
    now = world.clock.now
    async with world.database.write(SYSTEM) as session:
        job = await JobQueue(session).claim(job_id, now, now + timedelta(seconds=lease))
    if job is None:
        return None
    context = TenantContext.for_job(job.tenant_id, job.id)
    return HeldJob(job.id, job.kind, job.subject_id, job.attempt, job.fencing_token, context)


async def test_of_a_hundred_claims_at_once_one_succeeds(world: World, tenant: TenantContext, work: Work) -> None:
    job_id = await make_job(world, tenant)
    claimed = await asyncio.gather(*(claim(world, job_id) for _ in range(100)))
    assert sum(job is not None for job in claimed) == 1
    assert (row(world, job_id)["attempt"], row(world, job_id)["fencing_token"]) == (1, 1)


async def test_a_doubled_message_is_done_once(world: World, tenant: TenantContext, work: Work) -> None:
    job_id = await make_job(world, tenant)
    done = await asyncio.gather(*(world.runner().run(job_id) for _ in range(10)))
    assert Counter(done) == {True: 1, False: 9}
    assert not await world.runner().run(job_id)
    assert len(work.begun) == 1


@pytest.mark.parametrize(
    "job_id", ["job_00000000000000000000000000", "", "x" * 10_000, "'; DROP TABLE jobs; --", "\x00"]
)
async def test_a_forged_message_has_no_effect(world: World, tenant: TenantContext, work: Work, job_id: str) -> None:
    waiting = await make_job(world, tenant)
    assert not await world.runner().run(job_id)
    assert not work.begun
    assert row(world, waiting)["state"] == JobState.QUEUED


async def test_the_attempt_is_counted_before_the_work(world: World, tenant: TenantContext, work: Work) -> None:
    job_id = await make_job(world, tenant)
    seen: list[object] = []
    original = work.next_outcome

    def look(job: HeldJob) -> Exception | None:
        seen.append((row(world, job_id)["attempt"], row(world, job_id)["state"]))
        return original(job)

    work.next_outcome = look  # type: ignore[method-assign]
    await world.runner().run(job_id)
    assert seen == [(1, JobState.RUNNING)]


async def test_the_tenant_comes_from_the_row(world: World, tenant: TenantContext, work: Work) -> None:
    await world.runner().run(await make_job(world, tenant))
    assert work.begun[0].context.tenant_id == tenant.tenant_id


async def test_a_holder_whose_lease_has_run_out_is_refused(world: World, tenant: TenantContext, work: Work) -> None:
    job_id = await make_job(world, tenant)
    stalled = await claim(world, job_id)
    assert await claim(world, job_id) is None
    world.clock.pass_by(seconds=31)
    second = await claim(world, job_id)
    assert stalled is not None
    assert second is not None
    assert (second.attempt, second.fencing_token) == (2, 2)
    for write in (
        stalled.confirm,
        stalled.succeed,
        stalled.put_back,
        lambda session: stalled.fail(session, NEVER),
        lambda session: stalled.retry(session, AGAIN, RetryPolicy()),
    ):
        with pytest.raises(LeaseLost):
            await write_with_effect(world, tenant, write)
    async with world.database.write(SYSTEM) as session:
        assert not await JobQueue(session).extend_lease(job_id, stalled.fencing_token, world.clock.now)
    assert not world.rows("SELECT * FROM jobs WHERE subject_id = 'effect'")
    async with world.database.write(tenant.tenant_id) as session:
        await second.succeed(session)
    assert row(world, job_id)["state"] == JobState.SUCCEEDED


async def write_with_effect(
    world: World, tenant: TenantContext, write: Callable[[WriteSession], Awaitable[None]]
) -> None:
    async with world.database.write(tenant.tenant_id) as session:
        enqueue(session, tenant, KIND, "effect")
        await write(session)


async def test_an_ended_job_cannot_be_ended_again(world: World, tenant: TenantContext, work: Work) -> None:
    job = await claim(world, await make_job(world, tenant))
    assert job is not None
    async with world.database.write(tenant.tenant_id) as session:
        await job.succeed(session)
    with pytest.raises(LeaseLost):
        async with world.database.write(tenant.tenant_id) as session:
            await job.succeed(session)


async def test_retries_wait_30_60_and_120_seconds_and_end_after_four_attempts(
    world: World, tenant: TenantContext, work: Work
) -> None:
    job_id = await make_job(world, tenant)
    work.outcomes = [AGAIN] * 10
    for attempt, pause in ((1, 30), (2, 60), (3, 120)):
        assert await world.runner().run(job_id)
        assert (row(world, job_id)["state"], row(world, job_id)["attempt"]) == (JobState.QUEUED, attempt)
        world.clock.pass_by(seconds=pause - 0.1)
        assert not await world.waiting()
        assert not await world.runner().run(job_id), "a message cannot hurry it"
        world.clock.pass_by(seconds=pause / 4 + 0.2)
        assert [job.id for job in await world.waiting()] == [job_id]
    assert await world.runner().run(job_id)
    assert (row(world, job_id)["state"], row(world, job_id)["error_code"]) == (JobState.FAILED, "again")
    world.clock.pass_by(days=1)
    assert not await world.waiting()
    assert work.given_up == [("again", False)] * 3 + [("again", True)]
    assert work.cleared == 1


def test_pauses_double_up_to_an_hour_and_vary() -> None:
    policy = RetryPolicy()
    for attempt in range(1, 100):
        least = min(30 * 2 ** (attempt - 1), 3600)
        pauses = {policy.delay_after(attempt).total_seconds() for _ in range(20)}
        assert len(pauses) > 1
        assert all(least <= pause <= least * 1.25 for pause in pauses)


async def test_a_final_failure_is_not_tried_again(world: World, tenant: TenantContext, work: Work) -> None:
    job_id = await make_job(world, tenant)
    work.outcomes = [NEVER]
    await world.runner().run(job_id)
    assert (row(world, job_id)["state"], row(world, job_id)["attempt"]) == (JobState.FAILED, 1)
    assert (work.given_up, work.cleared) == ([("never", True)], 1)


async def test_a_defect_is_tried_again_and_shown_without_its_words(
    world: World, tenant: TenantContext, work: Work
) -> None:
    job_id = await make_job(world, tenant)
    work.outcomes = [ZeroDivisionError("secret")]
    await world.runner().run(job_id)
    ended = row(world, job_id)
    assert (ended["state"], ended["error_code"]) == (JobState.QUEUED, "internal_error")
    assert "ZeroDivisionError" in str(ended["error_message"])
    assert "secret" not in str(ended["error_message"])


async def test_work_that_is_never_given_up_is_tried_until_it_is_done(
    world: World, tenant: TenantContext, work: Work
) -> None:
    work.is_given_up = False
    job_id = await make_job(world, tenant)
    work.outcomes = [AGAIN] * 20
    for _ in range(21):
        assert await world.runner().run(job_id)
        world.clock.pass_by(hours=2)
    assert (row(world, job_id)["state"], row(world, job_id)["attempt"]) == (JobState.SUCCEEDED, 21)


async def test_a_job_that_kills_its_worker_each_time_is_given_up(
    world: World, tenant: TenantContext, work: Work
) -> None:
    job_id = await make_job(world, tenant)
    for _ in range(4):
        assert await claim(world, job_id) is not None  # and the worker dies
        world.clock.pass_by(seconds=31)
    assert [job.id for job in await world.waiting()] == [job_id]
    await world.runner().run(job_id)
    assert (row(world, job_id)["state"], row(world, job_id)["error_code"]) == (JobState.FAILED, "worker_lost")
    assert not work.begun
    assert work.given_up == [("worker_lost", True)]


async def test_leftovers_that_cannot_be_removed_do_not_keep_a_job_from_ending(
    world: World, tenant: TenantContext, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: HeldJob) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(work, "clear", fail)
    job_id = await make_job(world, tenant)
    work.outcomes = [NEVER]
    await world.runner().run(job_id)
    assert row(world, job_id)["state"] == JobState.FAILED


class LongWork(Work):
    """Work that goes on until it is told to end."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def run(self, job: HeldJob) -> None:
        self.has_begun.set()
        await self.may_end.wait()
        await super().run(job)


async def test_heartbeats_keep_a_long_job(world: World, tenant: TenantContext) -> None:
    world.policy = RetryPolicy(lease=0.06)
    long = LongWork(world)
    world.work[KIND] = long
    job_id = await make_job(world, tenant)
    running = asyncio.create_task(world.runner().run(job_id))
    await long.has_begun.wait()
    for _ in range(5):
        world.clock.pass_by(seconds=0.05)
        beat = row(world, job_id)["lease_until"]
        await until(lambda: row(world, job_id)["lease_until"] != beat)  # noqa: B023 - it is called before the next round
        assert not await world.runner().run(job_id)
    long.may_end.set()
    assert await running
    assert (row(world, job_id)["state"], row(world, job_id)["attempt"]) == (JobState.SUCCEEDED, 1)


async def test_a_stalled_worker_finds_out_and_writes_nothing(world: World, tenant: TenantContext) -> None:
    long = LongWork(world)
    world.work[KIND] = long
    job_id = await make_job(world, tenant)
    running = asyncio.create_task(world.runner().run(job_id))
    await long.has_begun.wait()
    world.clock.pass_by(seconds=31)
    second = await claim(world, job_id)
    assert second is not None
    long.may_end.set()
    assert await running
    assert (row(world, job_id)["state"], row(world, job_id)["fencing_token"]) == (JobState.RUNNING, 2)
    assert not long.given_up


async def test_a_stop_puts_back_what_is_in_work(world: World, tenant: TenantContext) -> None:
    long = LongWork(world)
    world.work[KIND] = long
    job_id, runner = await make_job(world, tenant), world.runner()
    running = asyncio.create_task(runner.run(job_id))
    await long.has_begun.wait()
    assert runner.in_work == 1
    await runner.stop()
    assert not await running
    put_back = row(world, job_id)
    assert (put_back["state"], put_back["attempt"], put_back["lease_until"]) == (JobState.QUEUED, 0, None)
    assert not await runner.run(job_id), "a runner that was stopped begins nothing"
    long.may_end.set()
    assert await world.runner().run(job_id)
    assert (row(world, job_id)["state"], row(world, job_id)["fencing_token"]) == (JobState.SUCCEEDED, 2)


async def test_what_another_cancels_is_put_back_too(world: World, tenant: TenantContext) -> None:
    long = LongWork(world)
    world.work[KIND] = long
    job_id = await make_job(world, tenant)
    running = asyncio.create_task(world.runner().run(job_id))
    await long.has_begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert row(world, job_id)["state"] == JobState.QUEUED


async def test_jobs_of_a_dead_process_are_released_at_once(world: World, tenant: TenantContext, work: Work) -> None:
    held, sent, later = [await make_job(world, tenant) for _ in range(3)]
    assert await claim(world, held) is not None
    async with world.database.write(SYSTEM) as session:
        await JobQueue(session).mark_sent([await session.get_one(Job, (tenant.tenant_id, sent))], world.clock.now)
    work.outcomes = [AGAIN]
    await world.runner().run(later)
    async with world.database.write(SYSTEM) as session:
        assert await JobQueue(session).release_all(world.clock.now) == 2
    assert {job.id for job in await world.waiting()} == {held, sent}, "a retry keeps its pause"


def test_the_defaults_are_three_retries_after_thirty_seconds(clock: Clock) -> None:
    assert (RetryPolicy().max_retries, RetryPolicy().delay, RetryPolicy().lease) == (3, 30.0, 30.0)
