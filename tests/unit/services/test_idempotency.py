"""Keys are claimed, kept, taken over and forgotten: what a crash at any moment leaves behind."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.core.database import SYSTEM, Database
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.migrations import upgrade
from app.core.tenancy import Role
from app.models.guard import GuardedSession
from app.models.knowledge import KnowledgeBase
from app.models.tenant import Tenant
from app.repositories.idempotency import IdempotencyLeases
from app.services.auth import Principal, TenantSnapshot
from app.services.idempotency import Answer, Claim, IdempotencyService, Kept, KeyUse

TENANT = new_id("tnt")
ANSWER = Answer(201, [("content-type", "application/json")], b'{"id": "kb"}')
LEASE = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **units: float) -> None:
        self.now += timedelta(**units)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:

    opened = Database(f"sqlite+aiosqlite:///{tmp_path}/test.db", session_class=GuardedSession)
    await upgrade(opened)
    async with opened.write(SYSTEM) as session:
        session.add(Tenant(id=TENANT, slug="first", name="First", status="active"))
    yield opened
    await opened.close()


@pytest.fixture
def service(database: Database, clock: Clock) -> IdempotencyService:
    return IdempotencyService(database, b"k" * 32, lease_seconds=LEASE, now=clock)


def use_of(service: IdempotencyService, *, role: Role = Role.OWNER, subject: str = "key_1") -> KeyUse:
    tenant = TenantSnapshot(TENANT, "first", "First", None, None)
    return service.use_of(Principal(subject, role, frozenset(), tenant), "req", b"the key")


async def claimed(service: IdempotencyService) -> Claim:
    begun = await service.begin(use_of(service), b"request")
    assert isinstance(begun, Claim)
    return begun


async def make_base(database: Database, claim: Claim) -> None:
    """What an endpoint does: it opens a session of its tenant and knows nothing of keys."""
    with claim.joint.around():
        async with database.write(TENANT) as session:
            session.add(KnowledgeBase(tenant_id=TENANT, id=new_id("kb"), name="Base", settings={}))


async def bases(database: Database) -> int:
    async with database.engine.connect() as connection:
        return len((await connection.execute(KnowledgeBase.__table__.select())).all())


async def test_effect_and_answer_are_committed_together(database: Database, service: IdempotencyService) -> None:
    claim = await claimed(service)
    await make_base(database, claim)
    assert await bases(database) == 0
    await service.complete(claim, b"request", ANSWER)
    assert await bases(database) == 1
    again = await service.begin(use_of(service), b"request")
    assert isinstance(again, Kept)
    assert again.answer == ANSWER


async def test_a_second_meets_the_first_under_way(service: IdempotencyService) -> None:
    await claimed(service)
    for request, code in ((b"request", "idempotency_in_progress"), (b"other", "idempotency_key_reused")):
        with pytest.raises(Conflict) as refusal:
            await service.begin(use_of(service), request)
        assert refusal.value.code == code


async def test_the_key_of_a_dead_process_is_taken_over_after_its_lease(
    database: Database, service: IdempotencyService, clock: Clock
) -> None:
    dead = await claimed(service)
    await make_base(database, dead)
    await dead.joint.abort()  # what the database does with the transaction of a process that dies
    clock.pass_by(seconds=LEASE + 1)
    heir = await claimed(service)
    await make_base(database, heir)
    await service.complete(heir, b"request", ANSWER)
    assert await bases(database) == 1


async def test_who_was_taken_over_changes_nothing_any_more(
    database: Database, service: IdempotencyService, clock: Clock
) -> None:
    slow = await claimed(service)
    clock.pass_by(seconds=LEASE + 1)
    heir = await claimed(service)
    await make_base(database, slow)
    with pytest.raises(Conflict, match="under way"):
        await service.complete(slow, b"request", ANSWER)
    await service.release(slow)
    assert await bases(database) == 0
    await make_base(database, heir)
    await service.complete(heir, b"request", ANSWER)
    assert await bases(database) == 1


async def test_a_long_request_keeps_its_key(service: IdempotencyService, clock: Clock) -> None:
    await claimed(service)
    for _ in range(3):
        clock.pass_by(seconds=LEASE - 1)
        await service.extend()
    with pytest.raises(Conflict, match="under way"):
        await service.begin(use_of(service), b"request")


async def test_a_released_key_is_free_and_its_work_undone(database: Database, service: IdempotencyService) -> None:
    claim = await claimed(service)
    await make_base(database, claim)
    await service.release(claim)
    assert await bases(database) == 0
    await claimed(service)


async def test_a_start_frees_what_was_under_way_and_keeps_answers(service: IdempotencyService) -> None:
    await service.complete(await claimed(service), b"request", ANSWER)
    assert isinstance(await service.begin(use_of(service, subject="key_2"), b"request"), Claim)
    assert await service.release_all() == 1
    assert isinstance(await service.begin(use_of(service), b"request"), Kept)


async def test_an_answer_is_kept_for_a_day(service: IdempotencyService, clock: Clock) -> None:
    await service.complete(await claimed(service), b"request", ANSWER)
    clock.pass_by(hours=23, minutes=59)
    assert await service.forget_old() == 0
    assert isinstance(await service.begin(use_of(service), b"request"), Kept)
    clock.pass_by(minutes=2)
    assert isinstance(await service.begin(use_of(service), b"another"), Claim)


async def test_old_answers_are_removed(database: Database, service: IdempotencyService, clock: Clock) -> None:
    await service.complete(await claimed(service), b"request", ANSWER)
    clock.pass_by(hours=25)
    assert await service.forget_old() == 1
    async with database.write(SYSTEM) as session:
        assert await IdempotencyLeases(session).forget_before(clock.now) == 0


@pytest.mark.parametrize("other", [{"role": Role.MEMBER}, {"subject": "key_2"}])
async def test_keys_of_other_callers_are_other_keys(service: IdempotencyService, other: dict[str, Role]) -> None:
    await service.complete(await claimed(service), b"request", ANSWER)
    stranger = service.use_of(Principal("key_1", Role.OWNER, frozenset(), None), "req", b"the key")
    for use in (use_of(service, **other), stranger):
        assert isinstance(await service.begin(use, b"another"), Claim)


async def test_an_answer_that_cannot_be_given_is_made_anew(service: IdempotencyService) -> None:
    await service.complete(await claimed(service), b"request", ANSWER)
    kept = await service.begin(use_of(service), b"request")
    assert isinstance(kept, Kept)
    assert isinstance(await service.begin_anew(kept, b"request"), Claim)
    with pytest.raises(Conflict, match="under way"):
        await service.begin_anew(kept, b"request")
