"""The migrations make the schema of the models and take it back, and no key or name of it reaches across tenants."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import ForeignKeyConstraint, Table, UniqueConstraint, inspect
from sqlalchemy.engine import Connection

from app.core.database import Database
from app.core.migrations import downgrade, is_at_head, upgrade
from app.models import Base
from app.models.base import TenantScoped
from app.models.guard import GuardedSession

#: Tables that belong to the installation and not to a tenant.
SHARED = {"tenants"}
#: Indexes for work across tenants, which are not unique and so tell nobody anything.
ACROSS_TENANTS = {"ix_idempotency_records_created_at", "ix_jobs_state_next_attempt_at", "ix_runs_status_lease_until"}

TABLES = sorted(Base.metadata.tables.values(), key=lambda table: table.name)
TENANT_TABLES = [table for table in TABLES if table.name not in SHARED]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite+aiosqlite:///{tmp_path}/test.db", session_class=GuardedSession)
    yield opened
    await opened.close()


def schema_of(connection: Connection) -> dict[str, Any]:
    """Everything that the database knows of its tables, in words."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "indexes": sorted((i["name"], i["column_names"], i["unique"]) for i in inspector.get_indexes(table)),
            "unique": sorted((u["name"], u["column_names"]) for u in inspector.get_unique_constraints(table)),
            "foreign": sorted(
                (f["name"], f["constrained_columns"], f["referred_table"], f["options"])
                for f in inspector.get_foreign_keys(table)
            ),
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


async def schema(database: Database) -> dict[str, Any]:
    async with database.engine.connect() as connection:
        return await connection.run_sync(schema_of)


async def test_the_schema_goes_up_and_down_and_up_again(database: Database) -> None:
    assert not await is_at_head(database)
    await upgrade(database)
    first = await schema(database)
    assert set(first) == {table.name for table in TABLES}
    await downgrade(database, "base")
    assert await schema(database) == {}
    await upgrade(database)
    assert await schema(database) == first
    assert await is_at_head(database)


async def test_going_up_twice_changes_nothing(database: Database) -> None:
    await upgrade(database)
    first = await schema(database)
    await upgrade(database)
    assert await schema(database) == first


async def test_the_models_are_what_the_migrations_make(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))

    await upgrade(database)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_names_and_keys_of_the_models_are_those_of_the_database(database: Database) -> None:
    """Comparing overlooks primary keys, ON DELETE and names; the tables that the models would make show them."""
    await upgrade(database)
    migrated = await schema(database)
    await downgrade(database, "base")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    assert await schema(database) == migrated


def test_every_table_is_of_a_tenant_or_known_to_be_shared() -> None:
    scoped = {mapper.local_table for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantScoped)}
    assert scoped == set(TENANT_TABLES)


@pytest.mark.parametrize("table", TENANT_TABLES, ids=lambda table: table.name)
def test_nothing_of_a_tenants_table_reaches_across_tenants(table: Table) -> None:
    """A key, unique name or reference without the tenant would tell one tenant what another has."""
    key = [column.name for column in table.primary_key.columns]
    assert key[0] == "tenant_id"
    assert key[1] == "id" or len(key) > 2, "a row has an id, or is a pair of ids"
    assert [column.name for column in table.columns][: len(key)] == key
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint | ForeignKeyConstraint):
            assert next(column.name for column in constraint.columns) == "tenant_id", constraint.name
        if isinstance(constraint, ForeignKeyConstraint) and len(constraint.elements) > 1:
            assert constraint.elements[0].target_fullname.endswith(".tenant_id"), constraint.name
    for index in table.indexes:
        if index.unique or index.name not in ACROSS_TENANTS:
            assert index.columns[0].name == "tenant_id", index.name


def test_no_exception_is_left_over() -> None:
    assert {index.name for table in TABLES for index in table.indexes} >= ACROSS_TENANTS
