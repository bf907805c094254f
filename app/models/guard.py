"""The wall in the ORM: no statement of a tenant's session reaches another tenant's rows, on any database.

It guards against mistakes of ours: what the ORM cannot scope to a tenant is refused, not passed on.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeGuard

from sqlalchemy import (
    Alias,
    ColumnElement,
    Delete,
    Executable,
    FromClause,
    Insert,
    SelectBase,
    TextClause,
    Update,
    UpdateBase,
    event,
    insert,
)
from sqlalchemy.orm import FromStatement, ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.sql.selectable import AliasedReturnsRows
from sqlalchemy.sql.visitors import ExternallyTraversible

from app.core.database import SYSTEM, TENANT, set_tenant_in_transaction
from app.models.base import TenantScoped
from app.models.idempotency import IdempotencyRecord
from app.models.job import Job
from app.models.run import Run
from app.models.tenant import Tenant

#: What work across tenants may touch: the queue, the leases of runs and requests, and the list of tenants.
SYSTEM_TABLES: frozenset[type[Any]] = frozenset({IdempotencyRecord, Job, Run, Tenant})
_SYSTEM_TABLE_NAMES = frozenset(table.__tablename__ for table in SYSTEM_TABLES)


class TenantBreach(RuntimeError):
    """Code tried to cross the wall between tenants; always a defect of ours, never the caller's fault."""


class GuardedSession(Session):
    """The session class of the whole application. The bulk methods of old write without being asked, so they are shut."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TenantBreach("a bulk method; execute an insert or update statement, or add the rows")

    bulk_save_objects = bulk_insert_mappings = bulk_update_mappings = _refuse


def _tenant_of(session: Session) -> str:
    tenant_id = session.info.get(TENANT)
    if not isinstance(tenant_id, str) or not tenant_id:
        raise TenantBreach("a statement in a session without a tenant")
    return tenant_id


@event.listens_for(GuardedSession, "do_orm_execute")
def _scope_statement(state: ORMExecuteState) -> None:
    tenant_id = _tenant_of(state.session)
    if not state.is_orm_statement:
        raise TenantBreach("a statement that is not of the ORM cannot be scoped to a tenant")
    if not state.is_column_load and not state.is_relationship_load:
        tables = _tables_of(state.statement)
        _check_written_values(state)
        if tenant_id == SYSTEM and not tables <= _SYSTEM_TABLE_NAMES:
            raise TenantBreach(f"work across tenants may not touch {', '.join(sorted(tables - _SYSTEM_TABLE_NAMES))}")
    if tenant_id == SYSTEM:
        return
    if isinstance(state.statement, Insert):
        _check_inserted_rows(state, tenant_id)
    else:
        _add_criteria(state, tenant_id)


def _add_criteria(state: ORMExecuteState, tenant_id: str) -> None:
    def own(entity: type[Tenant]) -> ColumnElement[bool]:
        return entity.id == tenant_id

    state.statement = state.statement.options(
        with_loader_criteria(TenantScoped, lambda entity: entity.tenant_id == tenant_id, include_aliases=True),
        with_loader_criteria(Tenant, own, include_aliases=True),
    )


def _tables_of(statement: Executable) -> set[str]:
    """The names of all tables in a statement, at any depth; raises TenantBreach for what the ORM could not scope.

    Criteria reach the entities of each SELECT. They reach no table or alias that is in a SELECT without its entity, no
    SQL in words, and no statement that writes inside of another.
    """
    names: set[str] = set()
    seen: dict[int, Any] = {id(statement): statement}
    waiting: list[Any] = [statement]
    while waiting:
        parts = _Parts(waiting.pop())
        names |= parts.table_names()
        waiting.extend(inner for inner in parts.inner if id(inner) not in seen)
        seen |= {id(inner): inner for inner in parts.inner}
    return names


class _Parts:
    """What one SELECT (or write) names: tables and aliases, those of them that are entities, and the SELECTs within."""

    def __init__(self, statement: ExternallyTraversible) -> None:
        self.named: set[FromClause] = set()
        self.entities: set[FromClause] = set()
        self.inner: list[SelectBase] = []
        waiting = list(statement.get_children())
        while waiting:
            part = waiting.pop()
            if not self._take(part):
                waiting.extend(part.get_children())

    def table_names(self) -> set[str]:
        """The tables' names; raises TenantBreach where one is no entity here."""
        for source in self.named - self.entities:
            raise TenantBreach(f"{source} is named past its entity, where no criteria reach it")
        return {_table_of(source).name for source in self.named}

    def _take(self, part: ExternallyTraversible) -> bool:
        """Whether nothing below the part belongs here."""
        if isinstance(part, TextClause) or (isinstance(part, ColumnClause) and _is_in_words(part)):
            raise TenantBreach("SQL in words cannot be scoped to a tenant")
        if isinstance(part, FromStatement | UpdateBase):
            raise TenantBreach("a write, or rows of another statement, inside of a statement cannot be scoped")
        if isinstance(part, SelectBase):
            self.inner.append(part)
            return True
        entity = getattr(part, "_annotations", {}).get("parententity")  # SQLAlchemy tells of it nowhere else
        if entity is not None:
            self.entities.add(entity.selectable)
        source = part.table if isinstance(part, ColumnClause) else part
        if _is_source(source):
            self.named.add(source)
        elif isinstance(source, AliasedReturnsRows):
            return self._take(source.element)
        return isinstance(part, ColumnClause) or _is_source(source)


def _is_in_words(column: ColumnClause[Any]) -> bool:
    return column.is_literal and column.name != "*" and not column.name.isdecimal()


def _is_source(part: object) -> TypeGuard[FromClause]:
    return isinstance(part, TableClause) or (isinstance(part, Alias) and isinstance(part.element, TableClause))


def _table_of(source: FromClause) -> TableClause:
    table = source.element if isinstance(source, Alias) else source
    assert isinstance(table, TableClause)
    return table


def _check_written_values(state: ORMExecuteState) -> None:
    """Rows are given beside an insert, where they can be looked at; an update has no rows and moves none away."""
    statement = state.statement
    if isinstance(statement, Insert):
        if state.bind_mapper is None or not statement.compare(insert(state.bind_mapper.class_)):
            raise TenantBreach("an insert with more than its table; give the rows as parameters")
    elif isinstance(statement, Update | Delete):
        if state.parameters:
            raise TenantBreach("an update or delete by parameters goes past the tenant's criteria; use where()")
        values: Mapping[Any, Any] = getattr(statement, "_values", None) or {}
        if TENANT in {getattr(column, "key", column) for column in values}:
            raise TenantBreach("a row cannot move to another tenant")


def _check_inserted_rows(state: ORMExecuteState, tenant_id: str) -> None:
    parameters = state.parameters or {}
    rows = [parameters] if isinstance(parameters, Mapping) else parameters
    for row in rows:
        if row.get(TENANT) != tenant_id:
            raise TenantBreach("an insert for another tenant")


@event.listens_for(GuardedSession, "before_flush")
def _check_flush(session: Session, _: UOWTransaction, __: object) -> None:
    for row in (*session.new, *session.dirty, *session.deleted):
        _check_row(session, row)


@event.listens_for(GuardedSession, "detached_to_persistent")
def _check_row(session: Session, row: object) -> None:
    tenant_id = _tenant_of(session)
    if tenant_id == SYSTEM:
        if type(row) not in SYSTEM_TABLES:
            raise TenantBreach(f"work across tenants may not write {type(row).__name__}")
    elif isinstance(row, TenantScoped):
        if row.tenant_id != tenant_id:
            raise TenantBreach("a write for another tenant")
    elif not (isinstance(row, Tenant) and row.id == tenant_id):
        raise TenantBreach(f"a tenant's session may not write {type(row).__name__}")


event.listen(GuardedSession, "after_begin", set_tenant_in_transaction)
