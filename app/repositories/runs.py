"""Queries on runs, and on the leases that close those whose process died."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.run import Run, RunStatus
from app.repositories.base import TenantRepository, rows_changed


class RunsRepository(TenantRepository[Run]):
    """The runs of one tenant."""

    model = Run
    noun = "run"

    async def finish(self, run_id: str, **values: Any) -> bool:
        """Close a run that is still in progress; whether it was."""
        statement = self.scoped_update(Run.id == run_id, Run.status == RunStatus.IN_PROGRESS)
        return rows_changed(await self.session.execute(statement.values(**values))) == 1


class RunLeases:
    """The leases of runs across tenants, for the process that holds them and the one that sweeps up."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def extend(self, run_ids: Sequence[str], until: datetime) -> None:
        """Keep runs alive."""
        statement = update(Run).where(Run.id.in_(run_ids), Run.status == RunStatus.IN_PROGRESS)
        await self.session.execute(
            statement.values(lease_until=until), execution_options={"synchronize_session": False}
        )

    async def expired(self, now: datetime, limit: int = 100) -> Sequence[Run]:
        """Runs in progress that nobody keeps alive."""
        statement = select(Run).where(
            Run.status == RunStatus.IN_PROGRESS, or_(Run.lease_until.is_(None), Run.lease_until < now)
        )
        return (await self.session.scalars(statement.limit(limit))).all()
