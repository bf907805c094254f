"""Queries on kept answers: a tenant's own, and across tenants their leases and their end."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.idempotency import IdempotencyRecord
from app.repositories.base import TenantRepository, rows_changed


class IdempotencyRepository(TenantRepository[IdempotencyRecord]):
    """The kept answers of one tenant."""

    model = IdempotencyRecord
    noun = "idempotency key"

    async def find_by_key(self, key_digest: bytes) -> IdempotencyRecord | None:
        """What the key was used for, or None."""
        return await self.session.scalar(self.scoped().where(IdempotencyRecord.key_digest == key_digest))

    async def complete(self, record_id: str, *, request_digest: bytes, answer: bytes) -> bool:
        """Keep the answer, unless someone else has taken the key over; whether it was still held."""
        statement = self.scoped_update(IdempotencyRecord.id == record_id, IdempotencyRecord.answer.is_(None))
        values = {"request_digest": request_digest, "answer": answer}
        return rows_changed(await self.session.execute(statement.values(**values))) == 1

    async def forget(self, record_id: str) -> None:
        """Make the key free again."""
        await self.session.execute(self.scoped_delete(IdempotencyRecord.id == record_id))


class IdempotencyLeases:
    """Requests under way across tenants, and answers past the promise to remember them."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def extend(self, record_ids: Sequence[str], until: datetime) -> None:
        """Keep requests of this process alive."""
        statement = update(IdempotencyRecord).where(IdempotencyRecord.id.in_(record_ids))
        await self.session.execute(
            statement.values(lease_until=until), execution_options={"synchronize_session": False}
        )

    async def forget_before(self, moment: datetime) -> int:
        """Delete what is older than the promise to remember; how many that were."""
        statement = delete(IdempotencyRecord).where(IdempotencyRecord.created_at < moment)
        return rows_changed(await self.session.execute(statement, execution_options={"synchronize_session": False}))

    async def release_all(self) -> int:
        """Free the keys of requests that never ended: right only where no other process can be at one."""
        statement = delete(IdempotencyRecord).where(IdempotencyRecord.answer.is_(None))
        return rows_changed(await self.session.execute(statement, execution_options={"synchronize_session": False}))
