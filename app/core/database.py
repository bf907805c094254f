"""Engines, sessions and transactions: a session is opened for a tenant, or explicitly for the system."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, NewType

import orjson
import structlog
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from app.core.errors import Conflict, Overloaded

#: A session whose work is never committed.
ReadSession = NewType("ReadSession", AsyncSession)
#: A session that its opener commits; a service may flush.
WriteSession = NewType("WriteSession", AsyncSession)

#: ``session.info`` key of the tenant that the session was opened for.
TENANT: Final = "tenant_id"
#: The value of ``TENANT`` for work across tenants (dispatch, health); the guard allows it few tables.
SYSTEM: Final = "*system*"
_AFTER_COMMIT: Final = "after_commit"
_IMMEDIATE: Final = "insula_begin_immediate"
_BUSY_MILLISECONDS: Final = 15_000
_RETRY_SECONDS: Final = 2.0

log = structlog.get_logger()

AfterCommit = Callable[[], Awaitable[None]]


def _dumps(value: object) -> str:
    """JSON whose keys are found by their own letters, not by escapes of them."""
    return orjson.dumps(value).decode()


class Database:
    """One engine, and the only ways to open a session on it."""

    def __init__(self, url: str, *, session_class: type[Session], pool_size: int = 10) -> None:
        options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": 30,
            "json_serializer": _dumps,
        }
        self.engine: AsyncEngine = create_async_engine(url, **options)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        if self.is_sqlite:
            _use_explicit_sqlite_transactions(self.engine.sync_engine)
        self._sessions = async_sessionmaker(self.engine, sync_session_class=session_class, expire_on_commit=False)

    @asynccontextmanager
    async def read(self, tenant_id: str) -> AsyncIterator[ReadSession]:
        """A session that sees one tenant's rows and is rolled back at the end."""
        async with self._open(tenant_id) as session:
            yield ReadSession(session)

    @asynccontextmanager
    async def write(self, tenant_id: str) -> AsyncIterator[WriteSession]:
        """A session that sees one tenant's rows; it commits at the end, then runs what waits for the commit.

        Within a ``JointTransaction`` of the same tenant it is a part of that, which commits later.
        """
        joint = _joint.get()
        is_part = joint is not None and joint.takes(self, tenant_id)
        async with joint.part() if joint is not None and is_part else self.transaction(tenant_id) as session:
            yield session

    @asynccontextmanager
    async def transaction(self, tenant_id: str) -> AsyncIterator[WriteSession]:
        """The same, as a transaction of its own whatever goes on around it."""
        async with self._open(tenant_id) as session:
            if self.is_sqlite:
                await session.connection(execution_options={_IMMEDIATE: True})
            with _as_conflict():
                yield WriteSession(session)
                await session.commit()
        for callback in session.info.get(_AFTER_COMMIT, ()):
            await callback()

    @asynccontextmanager
    async def _open(self, tenant_id: str) -> AsyncIterator[AsyncSession]:
        if not tenant_id:
            raise ValueError("a session needs a tenant")
        with _as_overload():
            async with self._sessions(info={TENANT: tenant_id}) as session:
                yield session

    async def is_healthy(self) -> bool:
        """Whether a statement runs now; raises whatever the driver raises otherwise."""
        async with self.engine.connect() as connection:
            return bool(await connection.scalar(text("SELECT 1")))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


class JointTransaction:
    """Makes the writes of one task one transaction, so that an effect and the record of it commit together or not at all.

    From the first write to ``commit`` the task must not wait for another writer: SQLite has room for one.
    """

    def __init__(self, database: Database, tenant_id: str) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._task = asyncio.current_task()
        self._stack = AsyncExitStack()
        self._session: WriteSession | None = None
        self._is_over = False

    @contextmanager
    def around(self) -> Iterator[None]:
        """Take the writes of this task, though not of tasks that it starts: those go on when it has ended."""
        token = _joint.set(self)
        try:
            yield
        finally:
            _joint.reset(token)

    def takes(self, database: Database, tenant_id: str) -> bool:
        """Whether a write belongs here."""
        is_same = database is self._database and tenant_id == self._tenant_id
        return is_same and not self._is_over and asyncio.current_task() is self._task

    @asynccontextmanager
    async def part(self) -> AsyncIterator[WriteSession]:
        """A part that can fail without the rest."""
        if self._session is None:
            self._session = await self._stack.enter_async_context(self._database.transaction(self._tenant_id))
        with _as_overload(), _as_conflict():
            async with self._session.begin_nested():
                yield self._session

    async def commit(self) -> None:
        """Commit everything, then run what waits for that; raises Conflict or Overloaded where it cannot be."""
        self._is_over = True
        await self._stack.aclose()

    async def abort(self) -> None:
        """Undo everything; after ``commit`` this changes nothing."""
        self._is_over = True
        if self._session is not None:
            await self._session.rollback()
            self._session.info.pop(_AFTER_COMMIT, None)
        await self._stack.aclose()


_joint: ContextVar[JointTransaction | None] = ContextVar("joint_transaction", default=None)


@contextmanager
def _as_conflict() -> Iterator[None]:
    """Two requests at once both found a name free: the second is told so, as it would be a moment later."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(
            "Something that this depends on changed at the same moment, or the name is taken. Look and try again."
        ) from error


@contextmanager
def _as_overload() -> Iterator[None]:
    """A database that is down, locked or out of connections is a matter of trying again, not of a defect."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        log.warning("database_unavailable", error=type(error).__name__)
        raise Overloaded(
            "The database does not answer now. Nothing was changed; try again in a moment.",
            code="database_unavailable",
            retry_after=_RETRY_SECONDS,
        ) from error


def after_commit(session: WriteSession, callback: AfterCommit) -> None:
    """Run ``callback`` once the session's transaction has committed, and never if it does not."""
    session.info.setdefault(_AFTER_COMMIT, []).append(callback)


def set_tenant_in_transaction(session: Session, _: SessionTransaction, connection: Connection) -> None:
    """Tell PostgreSQL's row-level security whose transaction this is (a listener for ``after_begin``)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('app.tenant_id', :tenant, true)"), {"tenant": session.info[TENANT]})


def _use_explicit_sqlite_transactions(engine: Engine) -> None:
    """Let SQLAlchemy say BEGIN, so that a writer takes its lock at once and waits instead of failing on upgrade.

    Source: SQLAlchemy documentation, "SQLite: Enabling Non-Legacy SQLite Transactional Modes".
    """

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={_BUSY_MILLISECONDS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get(_IMMEDIATE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")
