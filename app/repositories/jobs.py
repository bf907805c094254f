"""Queries on jobs: a tenant's own, and the queue across tenants that dispatch and workers share."""

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.job import Job, JobState
from app.repositories.base import TenantRepository, rows_changed

#: Rows that the session has loaded keep their values: nobody reads them again in these transactions.
_UNSYNCED = {"synchronize_session": False}


class JobsRepository(TenantRepository[Job]):
    """The jobs of one tenant."""

    model = Job
    noun = "job"

    async def set_if_held(self, job_id: str, fencing_token: int, **values: Any) -> bool:
        """Change a running job, unless someone else has claimed it since; whether it was still held."""
        statement = self.scoped_update(
            Job.id == job_id, Job.fencing_token == fencing_token, Job.state == JobState.RUNNING
        )
        return rows_changed(await self.session.execute(statement.values(**values))) == 1

    async def open_jobs_of(self, subject_id: str, kind: str) -> Sequence[Job]:
        """Jobs on a subject that have not ended."""
        statement = self.scoped().where(Job.subject_id == subject_id, Job.kind == kind)
        return (
            await self.session.scalars(statement.where(Job.state.not_in((JobState.SUCCEEDED, JobState.FAILED))))
        ).all()


class JobQueue:
    """The queue across tenants."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def due(self, now: datetime, *, resend_before: datetime, per_tenant: int, limit: int) -> Sequence[Job]:
        """What to send next: round-robin over tenants, so that one tenant's thousand files delay nobody's one.

        A job is due when it waits and its time has come, when it was sent before ``resend_before`` and never begun,
        or when its holder's lease has run out. A tenant has at most ``per_tenant`` jobs sent or running at a time,
        and at most ``limit`` jobs are sent or running in all. Whoever has fewest comes first; among equals the draw
        decides, as by age the tenants with the oldest backlogs would share everything among them.
        """
        held = await self._held(now, resend_before)
        waiting = [
            (held.get(tenant_id, 0) + turn, random.random(), job_id)  # noqa: S311 - a fair draw, no secret
            for job_id, tenant_id, turn in await self._waiting(now, resend_before, per_tenant)
            if held.get(tenant_id, 0) + turn <= per_tenant
        ]
        chosen = [job_id for _, _, job_id in sorted(waiting)[: max(0, limit - sum(held.values()))]]
        if not chosen:
            return []
        jobs = {job.id: job for job in await self.session.scalars(select(Job).where(Job.id.in_(chosen)))}
        return [jobs[job_id] for job_id in chosen]

    async def _held(self, now: datetime, resend_before: datetime) -> dict[str, int]:
        """How many jobs each tenant has sent or running."""
        is_held = or_(
            and_(Job.state == JobState.SENT, Job.updated_at >= resend_before),
            and_(Job.state == JobState.RUNNING, Job.lease_until >= now),
        )
        counts = await self.session.execute(select(Job.tenant_id, func.count()).where(is_held).group_by(Job.tenant_id))
        return dict(counts.all())

    async def _waiting(self, now: datetime, resend_before: datetime, per_tenant: int) -> Sequence[Row[str, str, int]]:
        """The first due jobs of each tenant: id, tenant, and place in the tenant's line."""
        is_due = or_(
            and_(Job.state == JobState.QUEUED, Job.next_attempt_at <= now),
            and_(Job.state == JobState.SENT, Job.updated_at < resend_before),
            and_(Job.state == JobState.RUNNING, Job.lease_until < now),
        )
        turn = func.row_number().over(partition_by=Job.tenant_id, order_by=(Job.next_attempt_at, Job.id)).label("turn")
        line = select(Job.id, Job.tenant_id, turn).where(is_due).subquery()
        statement = select(Job.id, Job.tenant_id, line.c.turn).join(
            line, and_(line.c.id == Job.id, line.c.tenant_id == Job.tenant_id)
        )
        return (await self.session.execute(statement.where(line.c.turn <= per_tenant))).all()

    async def mark_sent(self, jobs: Sequence[Job], now: datetime) -> None:
        """Remember that the broker is being told; the send itself follows the commit."""
        for job in jobs:
            job.state = JobState.SENT
            job.updated_at = now
        await self.session.flush()

    async def take_back(self, job_ids: Sequence[str]) -> None:
        """Let jobs wait again that the broker did not take."""
        statement = update(Job).where(Job.id.in_(job_ids), Job.state == JobState.SENT)
        await self.session.execute(statement.values(state=JobState.QUEUED))

    async def claim(self, job_id: str, now: datetime, lease_until: datetime) -> Job | None:
        """Take a job whose turn has come: counts the attempt before the work. None where it is not to be had."""
        statement = (
            update(Job)
            .where(
                Job.id == job_id,
                or_(
                    and_(Job.state.in_((JobState.QUEUED, JobState.SENT)), Job.next_attempt_at <= now),
                    and_(Job.state == JobState.RUNNING, Job.lease_until < now),
                ),
            )
            .values(
                state=JobState.RUNNING,
                attempt=Job.attempt + 1,
                fencing_token=Job.fencing_token + 1,
                lease_until=lease_until,
            )
            .returning(Job)
        )
        return await self.session.scalar(statement)

    async def extend_lease(self, job_id: str, fencing_token: int, lease_until: datetime) -> bool:
        """Keep a job; whether it is still held."""
        statement = update(Job).where(
            Job.id == job_id, Job.fencing_token == fencing_token, Job.state == JobState.RUNNING
        )
        return (
            rows_changed(
                await self.session.execute(statement.values(lease_until=lease_until), execution_options=_UNSYNCED)
            )
            == 1
        )

    async def release_all(self, now: datetime) -> int:
        """Take back every job that was sent or running: right only when no other process can hold one."""
        statement = update(Job).where(Job.state.in_((JobState.SENT, JobState.RUNNING)))
        return rows_changed(
            await self.session.execute(
                statement.values(state=JobState.QUEUED, lease_until=None, next_attempt_at=now),
                execution_options=_UNSYNCED,
            )
        )

    async def forget_succeeded(self, before: datetime) -> int:
        """Delete jobs that succeeded before a moment; failed ones stay, for whoever has to look into them."""
        statement = delete(Job).where(Job.state == JobState.SUCCEEDED, Job.finished_at < before)
        return rows_changed(await self.session.execute(statement, execution_options=_UNSYNCED))

    async def count_by_state(self) -> dict[str, int]:
        """How many jobs there are in each state that is not an end."""
        statement = select(Job.state, func.count()).group_by(Job.state)
        rows = await self.session.execute(
            statement.where(Job.state.in_((JobState.QUEUED, JobState.SENT, JobState.RUNNING)))
        )
        return dict(rows.all())
