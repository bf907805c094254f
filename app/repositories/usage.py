"""Queries on usage."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.engine import Row

from app.models.usage import UsageEvent
from app.repositories.base import TenantRepository


class UsageRepository(TenantRepository[UsageEvent]):
    """What one tenant used."""

    model = UsageEvent
    noun = "usage event"

    async def totals(self, since: datetime, until: datetime) -> Sequence[Row[str, str, int, int, int]]:
        """Kind, model, number of events, input and output tokens, summed over ``[since, until)``."""
        statement = (
            self.scoped()
            .with_only_columns(
                UsageEvent.kind,
                UsageEvent.model,
                func.count(),
                func.coalesce(func.sum(UsageEvent.input_tokens), 0),
                func.coalesce(func.sum(UsageEvent.output_tokens), 0),
            )
            .where(UsageEvent.created_at >= since, UsageEvent.created_at < until)
            .group_by(UsageEvent.kind, UsageEvent.model)
            .order_by(UsageEvent.kind, UsageEvent.model)
        )
        return (await self.session.execute(statement)).all()
