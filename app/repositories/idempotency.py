"""Queries on kept answers."""

from datetime import datetime

from app.models.idempotency import IdempotencyRecord
from app.repositories.base import TenantRepository


class IdempotencyRepository(TenantRepository[IdempotencyRecord]):
    """The kept answers of one tenant."""

    model = IdempotencyRecord
    noun = "idempotency key"

    async def find_by_key(self, key: str) -> IdempotencyRecord | None:
        """What the key was used for, or None."""
        return await self.session.scalar(self.scoped().where(IdempotencyRecord.key == key))

    async def forget_before(self, moment: datetime) -> None:
        """Delete what is older than the promise to remember."""
        await self.session.execute(self.scoped_delete(IdempotencyRecord.created_at < moment))
