"""The only way to start a query: scoped to the tenant that the session was opened for."""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

from sqlalchemy import ColumnElement, CursorResult, Delete, Result, Select, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.errors import NotFound
from app.core.pagination import Page, PageRequest
from app.core.tenancy import TenantContext
from app.models.base import Base, TenantOwned


class _Owned(TenantOwned, Base):
    """What the type checker knows of every tenant's table."""

    __abstract__ = True


M = TypeVar("M", bound=Base)


class TenantRepository(Generic[M]):
    """Rows of one kind of one tenant. ``noun`` is how a refusal names them."""

    model: type[M]
    noun: ClassVar[str]

    def __init__(self, session: AsyncSession, context: TenantContext) -> None:
        self.session = session
        self.tenant_id = context.tenant_id

    @property
    def _columns(self) -> type[_Owned]:
        return cast("type[_Owned]", self.model)

    def scoped(self) -> Select[M]:
        """The rows of this kind that a caller may see; every query starts here."""
        return select(self.model).where(self._columns.tenant_id == self.tenant_id)

    def scoped_update(self, *conditions: ColumnElement[bool]) -> Update:
        """An update of the tenant's rows that meet the conditions; rows that the session has loaded keep their values."""
        statement = update(self.model).where(self._columns.tenant_id == self.tenant_id, *conditions)
        return statement.execution_options(synchronize_session=False)

    def scoped_delete(self, *conditions: ColumnElement[bool]) -> Delete:
        """A delete of the tenant's rows that meet the conditions."""
        statement = delete(self.model).where(self._columns.tenant_id == self.tenant_id, *conditions)
        return statement.execution_options(synchronize_session=False)

    async def find(self, identifier: str) -> M | None:
        """The row with this id, or None."""
        return await self.session.scalar(self.scoped().where(self._columns.id == identifier))

    async def get(self, identifier: str) -> M:
        """The row with this id; raises NotFound, the same for a foreign id as for one that never was."""
        row = await self.find(identifier)
        if row is None:
            raise not_found(self.noun)
        return row

    async def page(self, request: PageRequest, *conditions: ColumnElement[bool]) -> Page[M]:
        """One keyset page of the rows that meet the conditions."""
        return await keyset_page(self.session, self.scoped().where(*conditions), self._columns.id, request)

    def add(self, row: M) -> M:
        """Add a new row; it is written when the session flushes or commits."""
        self.session.add(row)
        return row

    async def remove(self, row: M) -> None:
        """Delete a row when the session flushes or commits."""
        await self.session.delete(row)


async def keyset_page(
    session: AsyncSession, statement: Select[M], key: InstrumentedAttribute[str], request: PageRequest
) -> Page[M]:
    """One page of a statement's rows: forwards from ``after``, else backwards from ``before``, and within both."""
    is_forwards = request.after is not None or request.before is None
    is_upwards = request.order == "asc"
    if request.after is not None:
        statement = statement.where(key > request.after if is_upwards else key < request.after)
    if request.before is not None:
        statement = statement.where(key < request.before if is_upwards else key > request.before)
    order = key.asc() if is_upwards == is_forwards else key.desc()
    rows: Sequence[M] = (await session.scalars(statement.order_by(order).limit(request.limit + 1))).all()
    items = list(rows[: request.limit])
    return Page(items if is_forwards else items[::-1], has_more=len(rows) > request.limit)


def not_found(noun: str) -> NotFound:
    """The refusal for an id that names nothing of this tenant."""
    return NotFound(f"There is no {noun} with this id. Check the id, and that the credential is of the right tenant.")


def rows_changed(result: Result[Any]) -> int:
    """How many rows an update or delete touched."""
    return cast("CursorResult[Any]", result).rowcount
