"""The wall in the ORM alone: statements that forget the tenant, in every form, see and change one tenant's rows only."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased, joinedload, selectinload

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.models import Agent, Base, Chunk, Document, IdempotencyRecord, Job, KnowledgeBase, Run, Tenant
from app.models.base import TenantScoped
from app.models.guard import SYSTEM_TABLES, GuardedSession, TenantBreach

MINE, THEIRS = new_id("tnt"), new_id("tnt")
TABLE = Base.metadata.tables["chunks"]
OTHER_CHUNK = aliased(Chunk)
SUBQUERY = sa.select(Chunk).subquery()
FROM_SUBQUERY = aliased(Chunk, SUBQUERY)
CTE = sa.select(Chunk.id, Chunk.tenant_id).cte()

Statement = Any
Make = Callable[[], Statement]

#: Statements of which every cell is a tenant's id, or a count that is 1 for one tenant.
SCOPED: dict[str, Make] = {
    "entity": lambda: sa.select(Chunk),
    "column": lambda: sa.select(Chunk.tenant_id),
    "count from": lambda: sa.select(sa.func.count()).select_from(Chunk),
    "count column": lambda: sa.select(sa.func.count(Chunk.id)),
    "aliased": lambda: sa.select(OTHER_CHUNK.tenant_id),
    "aliased subquery": lambda: sa.select(FROM_SUBQUERY.tenant_id),
    "subquery": lambda: sa.select(sa.select(Chunk.tenant_id).subquery().c.tenant_id),
    "cte": lambda: sa.select(CTE.c.tenant_id),
    "scalar subquery": lambda: sa.select(sa.select(sa.func.count(Chunk.id)).scalar_subquery()),
    "scalar subquery from": lambda: sa.select(sa.select(sa.func.count()).select_from(Chunk).scalar_subquery()),
    "exists": lambda: sa.select(Tenant.id).where(sa.exists(sa.select(1).where(Chunk.tenant_id == THEIRS))),
    "exists column": lambda: sa.select(Tenant.id).where(
        sa.exists(sa.select(Chunk.id).where(Chunk.tenant_id == THEIRS))
    ),
    "in subquery": lambda: sa.select(Tenant.id).where(sa.literal(THEIRS).in_(sa.select(Chunk.tenant_id))),
    "union": lambda: sa.select(Chunk.tenant_id).union_all(sa.select(Chunk.tenant_id)),
    "union subquery": lambda: sa.select(
        sa.select(Chunk.tenant_id).union(sa.select(OTHER_CHUNK.tenant_id)).subquery().c.tenant_id
    ),
    "join": lambda: sa.select(Document.tenant_id, Chunk.tenant_id).join(Chunk, sa.true()),
    "outer join": lambda: sa.select(Document.tenant_id, Chunk.tenant_id).outerjoin(Chunk, sa.true()),
    "self join": lambda: sa.select(Chunk.tenant_id, OTHER_CHUNK.tenant_id).join(OTHER_CHUNK, sa.true()),
    "bundle": lambda: sa.select(Bundle("bundle", Chunk.tenant_id)),
    "or": lambda: sa.select(Chunk.tenant_id).where(sa.or_(Chunk.tenant_id == THEIRS, sa.true())),
    "group": lambda: sa.select(Chunk.tenant_id).group_by(Chunk.tenant_id).having(sa.func.count() > 0),
    "window": lambda: sa.select(Chunk.tenant_id, sa.func.row_number().over(order_by=Chunk.id)),
    "plain column of a scoped entity": lambda: sa.select(Chunk.tenant_id).where(TABLE.c.tenant_id != ""),
    "tenants": lambda: sa.select(Tenant.id),
    "tenants by name": lambda: sa.select(Tenant.id).where(Tenant.id == THEIRS),
    "agents with their bases": lambda: sa.select(Agent).options(selectinload(Agent.knowledge_bases)),
    "agents with joined bases": lambda: sa.select(Agent).options(joinedload(Agent.knowledge_bases)),
}
#: Statements that no criteria could scope.
REFUSED: dict[str, Make] = {
    "text": lambda: sa.text("SELECT tenant_id FROM chunks"),
    "table": lambda: sa.select(TABLE.c.tenant_id),
    "table beside an entity": lambda: sa.select(Tenant.id, TABLE.c.tenant_id),
    "table in exists": lambda: sa.select(Tenant.id).where(sa.exists(sa.select(TABLE.c.id))),
    "table in a subquery of its entity": lambda: sa.select(
        Chunk.id, sa.select(sa.func.count()).select_from(TABLE).scalar_subquery()
    ),
    "table joined": lambda: sa.select(Document.id, TABLE.c.tenant_id).join(TABLE, sa.true()),
    "alias of a table beside its entity": lambda: sa.select(Chunk.id, TABLE.alias().c.tenant_id),
    "table made up": lambda: sa.select(Tenant.id, sa.table("chunks", sa.column("tenant_id")).c.tenant_id),
    "words in where": lambda: sa.select(Chunk.tenant_id).where(sa.text("1 = 1 OR 1 = 1")),
    "words as a column": lambda: sa.select(sa.literal_column("tenant_id")).select_from(Chunk),
    "from words": lambda: sa.select(Chunk).from_statement(sa.text("SELECT * FROM chunks")),
    "from another statement": lambda: sa.select(Chunk).from_statement(sa.select(TABLE)),
    "write within": lambda: sa.select(sa.delete(Chunk).returning(Chunk.id).cte().c.id),
}


@dataclass
class House:
    """A database of two tenants, with one of everything each."""

    path: Path
    ids: dict[str, dict[str, str]]

    def rows_of(self, tenant_id: str) -> list[str]:
        with sqlite3.connect(self.path) as connection:
            return sorted(line for line in connection.iterdump() if tenant_id in line)


def things_of(tenant_id: str) -> list[Any]:
    base = KnowledgeBase(tenant_id=tenant_id, id=new_id("kb"), name="base", settings={}, is_default=True)
    document = Document(
        tenant_id=tenant_id,
        id=new_id("doc"),
        knowledge_base_id=base.id,
        name="name",
        content_type="text/plain",
        bytes=1,
        content_hash="0",
    )
    chunk = Chunk(
        tenant_id=tenant_id,
        id=new_id("chk"),
        document_id=document.id,
        generation=1,
        ordinal=0,
        text="text",
        start=0,
        end=4,
    )
    agent = Agent(tenant_id=tenant_id, id=new_id("agt"), name="agent", slug="agent", knowledge_bases=[base])
    job = Job(tenant_id=tenant_id, id=new_id("job"), kind="kind", subject_id=document.id)
    return [base, document, chunk, agent, job]


async def fill(path: Path) -> dict[str, dict[str, str]]:
    database = Database(f"sqlite+aiosqlite:///{path}", session_class=GuardedSession)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    ids: dict[str, dict[str, str]] = {}
    for tenant_id in (MINE, THEIRS):
        async with database.write(tenant_id) as session:
            session.add(Tenant(id=tenant_id, slug=tenant_id[4:], name="tenant"))
            await session.flush()
            for thing in things_of(tenant_id):
                session.add(thing)
                await session.flush()
                ids.setdefault(tenant_id, {})[type(thing).__name__] = thing.id
    await database.close()
    return ids


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    path = tmp_path_factory.mktemp("guard") / "house.db"
    return House(path, asyncio.run(fill(path)))


@pytest.fixture
async def database(house: House) -> AsyncIterator[Database]:
    opened = Database(f"sqlite+aiosqlite:///{house.path}", session_class=GuardedSession)
    yield opened
    await opened.close()


def cells(rows: list[Any]) -> set[Any]:
    return {getattr(cell, "tenant_id", cell) for row in rows for cell in row}


@pytest.mark.filterwarnings("ignore:SELECT statement has a cartesian product")
@pytest.mark.parametrize("kind", SCOPED)
async def test_a_statement_without_a_tenant_sees_one_tenant(database: Database, kind: str) -> None:
    for tenant_id in (MINE, THEIRS, MINE):
        async with database.read(tenant_id) as session:
            seen = cells(list((await session.execute(SCOPED[kind]())).unique().all()))
        assert seen <= {tenant_id, 1}, kind
        assert seen or kind in {"exists", "exists column", "in subquery", "tenants by name"}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("tenant_id", [MINE, SYSTEM], ids=["tenant", "system"])
async def test_what_no_criteria_could_scope_is_refused(database: Database, kind: str, tenant_id: str) -> None:
    async with database.read(tenant_id) as session:
        with pytest.raises(TenantBreach):
            await session.execute(REFUSED[kind]())


@pytest.mark.parametrize("kind", [kind for kind in SCOPED if not kind.startswith("tenants")])
async def test_work_across_tenants_reads_its_few_tables_only(database: Database, kind: str) -> None:
    async with database.read(SYSTEM) as session:
        with pytest.raises(TenantBreach, match=r"may not touch|named past its entity"):
            await session.execute(SCOPED[kind]())


async def test_work_across_tenants_reads_those_tables_whole(database: Database) -> None:
    assert {IdempotencyRecord, Job, Run, Tenant} == SYSTEM_TABLES
    async with database.read(SYSTEM) as session:
        assert set(await session.scalars(sa.select(Tenant.id))) == {MINE, THEIRS}
        assert set(await session.scalars(sa.select(Job.tenant_id))) == {MINE, THEIRS}
        assert list(await session.scalars(sa.select(Run))) == []


async def test_rows_loaded_by_key_are_the_tenants_own(house: House, database: Database) -> None:
    theirs = house.ids[THEIRS]
    async with database.read(MINE) as session:
        assert await session.get(Chunk, (THEIRS, theirs["Chunk"])) is None
        assert await session.get(Tenant, THEIRS) is None
        forged = Chunk(tenant_id=THEIRS, id=theirs["Chunk"])
        sa.orm.make_transient_to_detached(forged)
        with pytest.raises(TenantBreach):
            session.add(forged)


def job_of(tenant_id: str) -> dict[str, Any]:
    return {"tenant_id": tenant_id, "id": new_id("job"), "kind": "foreign", "subject_id": "x"}


Write = Callable[[AsyncSession, House], Awaitable[Any]]


async def add(session: AsyncSession, row: Base) -> None:
    session.add(row)
    await session.flush()


async def take_over(session: AsyncSession) -> None:
    job = (await session.scalars(sa.select(Job))).first()
    assert job is not None
    job.tenant_id = THEIRS
    await session.flush()


async def delete_forged(session: AsyncSession, house: House) -> None:
    forged = Job(tenant_id=THEIRS, id=house.ids[THEIRS]["Job"])
    sa.orm.make_transient_to_detached(forged)
    await session.delete(forged)
    await session.flush()


def key(house: House) -> dict[str, str]:
    return {"tenant_id": THEIRS, "id": house.ids[THEIRS]["Chunk"]}


#: Writes that forget the tenant: they may touch one's own rows only.
SCOPED_WRITES: dict[str, Write] = {
    "update": lambda session, _: session.execute(sa.update(Document).values(title="written")),
    "update theirs": lambda session, _: session.execute(
        sa.update(Document).where(Document.tenant_id == THEIRS).values(title="written")
    ),
    "update by fetching": lambda session, _: session.execute(
        sa.update(Document).where(sa.or_(Document.id != "", sa.true())).values(title="written")
    ),
    "delete theirs": lambda session, _: session.execute(sa.delete(Chunk).where(Chunk.tenant_id == THEIRS)),
    "delete": lambda session, _: session.execute(sa.delete(Chunk)),
}
REFUSED_WRITES: dict[str, Write] = {
    "update by key": lambda session, house: session.execute(sa.update(Chunk), [{**key(house), "text": "written"}]),
    "update that moves": lambda session, _: session.execute(sa.update(Job).values(tenant_id=THEIRS)),
    "update that moves by parameter": lambda session, _: session.execute(
        sa.update(Job).values(tenant_id=sa.bindparam("to")), {"to": THEIRS}
    ),
    "update of a table": lambda session, _: session.execute(sa.update(TABLE).values(text="written")),
    "delete of a table": lambda session, _: session.execute(sa.delete(TABLE)),
    "insert of values": lambda session, _: session.execute(sa.insert(Job).values(**job_of(THEIRS))),
    "insert of rows": lambda session, _: session.execute(sa.insert(Job), [job_of(MINE), job_of(THEIRS)]),
    "insert with two minds": lambda session, _: session.execute(
        sa.insert(Job).values(tenant_id=THEIRS), [job_of(MINE)]
    ),
    "insert from select": lambda session, _: session.execute(
        sa.insert(Job).from_select(["tenant_id", "id"], sa.select(sa.literal(THEIRS), sa.literal("x"))), job_of(MINE)
    ),
    "bulk insert": lambda session, _: session.run_sync(lambda s: s.bulk_insert_mappings(Job, [job_of(THEIRS)])),
    "bulk update": lambda session, house: session.run_sync(lambda s: s.bulk_update_mappings(Chunk, [key(house)])),
    "bulk save": lambda session, _: session.run_sync(lambda s: s.bulk_save_objects([Job(**job_of(THEIRS))])),
    "add": lambda session, _: add(session, Job(**job_of(THEIRS))),
    "add a tenant": lambda session, _: add(session, Tenant(id=new_id("tnt"), slug="third", name="third")),
    "merge": lambda session, house: session.merge(Chunk(**key(house), text="written"), load=True),
    "attribute": lambda session, _: take_over(session),
    "delete of a forged row": delete_forged,
}


@pytest.mark.parametrize("kind", SCOPED_WRITES)
async def test_a_write_without_a_tenant_changes_one_tenant(house: House, database: Database, kind: str) -> None:
    before = house.rows_of(THEIRS)
    async with database.write(MINE) as session:
        await SCOPED_WRITES[kind](session, house)
    assert house.rows_of(THEIRS) == before


@pytest.mark.parametrize("kind", REFUSED_WRITES)
async def test_a_write_to_another_tenant_is_refused(house: House, database: Database, kind: str) -> None:
    before = house.rows_of(THEIRS)
    with pytest.raises(TenantBreach):
        async with database.write(MINE) as session:
            await REFUSED_WRITES[kind](session, house)
    assert house.rows_of(THEIRS) == before


async def test_work_across_tenants_writes_its_few_tables_only(database: Database) -> None:
    for statement in (sa.update(Document).values(title="x"), sa.delete(Chunk), sa.delete(KnowledgeBase)):
        with pytest.raises(TenantBreach, match="may not touch"):
            async with database.write(SYSTEM) as session:
                await session.execute(statement)
    with pytest.raises(TenantBreach, match="may not write"):
        async with database.write(SYSTEM) as session:
            session.add(KnowledgeBase(tenant_id=MINE, id=new_id("kb"), name="x", settings={}))


async def test_a_session_without_a_tenant_executes_nothing(database: Database) -> None:
    with pytest.raises(ValueError, match="needs a tenant"):
        async with database.read(""):
            pass
    async with AsyncSession(database.engine, sync_session_class=GuardedSession) as session:
        with pytest.raises(TenantBreach, match="without a tenant"):
            await session.execute(sa.select(Chunk))


def test_every_table_but_that_of_tenants_is_scoped() -> None:
    unscoped = {mapper.class_ for mapper in Base.registry.mappers if not issubclass(mapper.class_, TenantScoped)}
    assert unscoped == {Tenant}
