"""The wall in the ORM: no statement of a tenant's session reaches another tenant's rows, on any database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Insert, event
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlalchemy.sql.elements import ColumnElement

from app.core.database import SYSTEM, TENANT, set_tenant_in_transaction
from app.models.base import TenantScoped
from app.models.job import Job
from app.models.run import Run
from app.models.tenant import Tenant

#: What work across tenants may touch: the queue, the leases of runs, and the list of tenants.
SYSTEM_TABLES: frozenset[type[Any]] = frozenset({Job, Run, Tenant})


class TenantBreach(RuntimeError):
    """Code tried to cross the wall between tenants; always a defect of ours, never the caller's fault."""


class GuardedSession(Session):
    """The session class of the whole application."""


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
    if tenant_id == SYSTEM:
        _allow_system_tables_only(state)
    elif isinstance(state.statement, Insert):
        _check_inserted_rows(state, tenant_id)
    elif not state.is_column_load and not state.is_relationship_load:
        state.statement = state.statement.options(
            with_loader_criteria(TenantScoped, lambda entity: entity.tenant_id == tenant_id, include_aliases=True)
        )
        _scope_tenants_table(state, tenant_id)


def _scope_tenants_table(state: ORMExecuteState, tenant_id: str) -> None:
    def own(entity: type[Tenant]) -> ColumnElement[bool]:
        return entity.id == tenant_id

    state.statement = state.statement.options(with_loader_criteria(Tenant, own, include_aliases=True))


def _allow_system_tables_only(state: ORMExecuteState) -> None:
    touched = {mapper.class_ for mapper in state.all_mappers}
    if not touched <= SYSTEM_TABLES:
        names = sorted(table.__name__ for table in touched - SYSTEM_TABLES)
        raise TenantBreach(f"work across tenants may not touch {', '.join(names)}")


def _check_inserted_rows(state: ORMExecuteState, tenant_id: str) -> None:
    parameters = state.parameters or {}
    rows = [parameters] if isinstance(parameters, Mapping) else parameters
    for row in rows:
        if row.get(TENANT) != tenant_id:
            raise TenantBreach("an insert for another tenant")


@event.listens_for(GuardedSession, "before_flush")
def _check_flush(session: Session, _: UOWTransaction, __: object) -> None:
    tenant_id = _tenant_of(session)
    for row in (*session.new, *session.dirty, *session.deleted):
        if tenant_id == SYSTEM:
            if type(row) not in SYSTEM_TABLES:
                raise TenantBreach(f"work across tenants may not write {type(row).__name__}")
        elif isinstance(row, TenantScoped):
            if row.tenant_id != tenant_id:
                raise TenantBreach("a write for another tenant")
        elif not (isinstance(row, Tenant) and row.id == tenant_id):
            raise TenantBreach(f"a tenant's session may not write {type(row).__name__}")


event.listen(GuardedSession, "after_begin", set_tenant_in_transaction)
