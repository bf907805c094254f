"""Transactions: committed once or not at all, on a real file, with writers that wait for one another."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.core.database import SYSTEM, Database, JointTransaction, WriteSession, after_commit
from app.core.errors import Conflict, Overloaded
from app.core.ids import new_id
from app.core.migrations import upgrade
from app.models.guard import GuardedSession
from app.models.tenant import Tenant


def tenant(slug: str) -> Tenant:
    return Tenant(id=new_id("tnt"), slug=slug, name=slug, status="active")


def opened_at(path: Path, pool_size: int = 10) -> Database:
    return Database(f"sqlite+aiosqlite:///{path}/test.db", session_class=GuardedSession, pool_size=pool_size)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = opened_at(tmp_path)
    await upgrade(opened)
    yield opened
    await opened.close()


async def slugs(database: Database) -> list[str]:
    async with database.read(SYSTEM) as session:
        return list(await session.scalars(select(Tenant.slug).order_by(Tenant.slug)))


def note(session: WriteSession, notes: list[str], text: str) -> None:
    async def write() -> None:
        notes.append(text)

    after_commit(session, write)


async def test_a_write_is_committed_and_then_runs_what_waits(database: Database) -> None:
    notes: list[str] = []
    async with database.write(SYSTEM) as session:
        session.add(tenant("one"))
        note(session, notes, "done")
        assert (notes, await slugs(database)) == ([], [])
    assert (notes, await slugs(database)) == (["done"], ["one"])


async def test_a_failure_undoes_everything_and_runs_nothing(database: Database) -> None:
    notes: list[str] = []

    async def fail() -> None:
        async with database.write(SYSTEM) as session:
            session.add(tenant("one"))
            await session.flush()
            note(session, notes, "done")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (notes, await slugs(database)) == ([], [])


async def test_a_read_is_never_committed(database: Database) -> None:
    async with database.read(SYSTEM) as session:
        session.add(tenant("one"))
        await session.flush()
    assert await slugs(database) == []


async def test_a_taken_name_is_a_conflict(database: Database) -> None:
    notes: list[str] = []
    await write_in(database, "one", notes)
    with pytest.raises(Conflict):
        await write_in(database, "one", notes)
    assert notes == ["one"]


async def test_writers_wait_for_one_another(database: Database) -> None:
    """Each reads before it writes: without an immediate lock, all but one would fail on the upgrade of theirs."""

    async def count_up(number: int) -> None:
        async with database.write(SYSTEM) as session:
            before = len((await session.scalars(select(Tenant.slug))).all())
            session.add(tenant(f"{before:02}"))

    await asyncio.gather(*(count_up(number) for number in range(20)))
    assert await slugs(database) == [f"{number:02}" for number in range(20)]


async def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.write(SYSTEM) as session:
        session.add(tenant("one"))
        await session.flush()
        assert await asyncio.wait_for(slugs(database), 5) == []


async def test_a_database_that_stays_locked_is_a_matter_of_trying_again(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.database._BUSY_MILLISECONDS", 20)
    impatient = opened_at(tmp_path)
    holder = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Overloaded) as refusal:
            async with impatient.write(SYSTEM) as session:
                session.add(tenant("never"))
        assert (refusal.value.status, refusal.value.code) == (503, "database_unavailable")
        assert refusal.value.retry_after
    finally:
        holder.close()
        await impatient.close()
    assert await slugs(database) == []


async def test_a_database_that_is_not_there_is_a_matter_of_trying_again(tmp_path: Path) -> None:
    missing = opened_at(tmp_path / "nowhere")
    with pytest.raises(Overloaded):
        await slugs(missing)
    await missing.close()


@pytest.mark.parametrize("open_session", [Database.read, Database.write, Database.transaction])
async def test_there_is_no_session_without_a_tenant(database: Database, open_session: object) -> None:
    with pytest.raises(ValueError, match="needs a tenant"):
        async with open_session(database, ""):  # type: ignore[operator]
            pass


async def test_foreign_keys_and_durability_are_on(database: Database) -> None:
    async with database.engine.connect() as connection:
        values = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("foreign_keys", "journal_mode", "synchronous")
        }
    assert values == {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 2}
    assert await database.is_healthy()


async def write_in(database: Database, slug: str, notes: list[str]) -> None:
    async with database.write(SYSTEM) as session:
        session.add(tenant(slug))
        note(session, notes, slug)


async def test_joined_writes_commit_together(database: Database) -> None:
    joint, notes = JointTransaction(database, SYSTEM), list[str]()
    with joint.around():
        await write_in(database, "one", notes)
        await write_in(database, "two", notes)
    assert (await slugs(database), notes) == ([], [])
    await joint.commit()
    assert (await slugs(database), notes) == (["one", "two"], ["one", "two"])


async def test_a_joined_write_can_fail_without_the_rest(database: Database) -> None:
    joint, notes = JointTransaction(database, SYSTEM), list[str]()
    with joint.around():
        await write_in(database, "one", notes)
        with pytest.raises(Conflict):
            await write_in(database, "one", notes)
        await write_in(database, "two", notes)
    await joint.commit()
    assert await slugs(database) == ["one", "two"]


async def test_an_aborted_joint_leaves_nothing(database: Database) -> None:
    joint, notes = JointTransaction(database, SYSTEM), list[str]()
    with joint.around():
        await write_in(database, "one", notes)
    await joint.abort()
    assert (await slugs(database), notes) == ([], [])
    await write_in(database, "one", notes)
    assert await slugs(database) == ["one"]


async def test_a_task_that_is_started_within_is_not_joined(database: Database) -> None:
    """A run outlives the request that started it, so its writes must not wait for that request."""
    joint, notes = JointTransaction(database, SYSTEM), list[str]()
    with joint.around():
        await asyncio.create_task(write_in(database, "background", notes))
        assert (await slugs(database), notes) == (["background"], ["background"])
        await write_in(database, "joined", notes)
    await joint.abort()
    assert await slugs(database) == ["background"]


async def test_what_comes_after_the_end_is_not_joined(database: Database) -> None:
    joint, notes = JointTransaction(database, SYSTEM), list[str]()
    with joint.around():
        await joint.commit()
        await write_in(database, "late", notes)
    assert await slugs(database) == ["late"]
