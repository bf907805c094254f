"""Jobs: recorded with the work that causes them, sent as hints, claimed with a lease, ended exactly once."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal, Protocol

import structlog

from app.core import telemetry
from app.core.clock import utc_now
from app.core.database import SYSTEM, Database, WriteSession
from app.core.errors import AppError
from app.core.ids import new_id
from app.core.tenancy import TenantContext
from app.models.job import Job, JobState
from app.repositories.jobs import JobQueue, JobsRepository

log = structlog.get_logger()

_HEARTBEATS_PER_LEASE = 3
_LONGEST_DELAY_SECONDS = 3600.0


Outcome = Literal["succeeded", "retried", "failed"]


class JobKind(StrEnum):
    """What can be done in the background; each is one Celery task."""

    DOCUMENT_PROCESS = "document.process"
    DOCUMENT_PURGE = "document.purge"
    DOCUMENT_PRUNE = "document.prune"


class LeaseLost(Exception):
    """Another worker has taken the job over; whatever this one was about to write must not be written."""


class JobFailure(Exception):
    """The work could not be done. ``is_final`` failures are not tried again: another try would end the same."""

    def __init__(self, code: str, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.is_final = is_final


class JobSender(Protocol):
    """Tells workers that a job waits. It may be lost or doubled: the row decides."""

    def send(self, kind: str, job_id: str) -> None:
        """Send the hint; called in a thread."""
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a job is tried again; times in seconds."""

    max_retries: int = 3
    delay: float = 30.0
    lease: float = 30.0

    def delay_after(self, attempt: int) -> timedelta:
        """The pause after a failed attempt: it doubles each time up to an hour, with up to a quarter of jitter."""
        pause = min(self.delay * 2.0 ** min(attempt - 1, 30), _LONGEST_DELAY_SECONDS)
        return timedelta(seconds=pause * random.uniform(1.0, 1.25))  # noqa: S311 - jitter


def enqueue(session: WriteSession, context: TenantContext, kind: JobKind, subject_id: str) -> Job:
    """Record work in the transaction that causes it; the dispatcher finds it once that has committed."""
    job = Job(
        tenant_id=context.tenant_id, id=new_id("job"), kind=kind, subject_id=subject_id, next_attempt_at=utc_now()
    )
    session.add(job)
    return job


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job that this worker holds, until the lease runs out or another claims it."""

    id: str
    kind: str
    subject_id: str
    attempt: int
    fencing_token: int
    context: TenantContext

    async def confirm(self, session: WriteSession) -> None:
        """Make the session's transaction depend on the lease; raises LeaseLost."""
        await self._set(session, state=JobState.RUNNING)

    async def succeed(self, session: WriteSession) -> None:
        """End the job in the session's transaction, together with its last effect; raises LeaseLost."""
        await self._set(session, state=JobState.SUCCEEDED, finished_at=utc_now(), error_code=None, error_message=None)

    async def fail(self, session: WriteSession, failure: JobFailure) -> None:
        """End the job as failed; raises LeaseLost."""
        await self._set(
            session,
            state=JobState.FAILED,
            finished_at=utc_now(),
            error_code=failure.code,
            error_message=failure.message,
        )

    async def retry(self, session: WriteSession, failure: JobFailure, policy: RetryPolicy) -> None:
        """Put the job back, for later; raises LeaseLost."""
        await self._set(
            session,
            state=JobState.QUEUED,
            lease_until=None,
            next_attempt_at=utc_now() + policy.delay_after(self.attempt),
            error_code=failure.code,
            error_message=failure.message,
        )

    async def put_back(self, session: WriteSession) -> None:
        """Give the job back as if it had not been begun: no fault of its own ended the attempt; raises LeaseLost."""
        await self._set(
            session, state=JobState.QUEUED, lease_until=None, next_attempt_at=utc_now(), attempt=self.attempt - 1
        )

    async def _set(self, session: WriteSession, **values: object) -> None:
        if not await JobsRepository(session, self.context).set_if_held(self.id, self.fencing_token, **values):
            raise LeaseLost


class JobWork(Protocol):
    """What a kind of job does. What ``is_given_up`` after the last retry ends as failed; the rest is tried until it is done."""

    @property
    def is_given_up(self) -> bool:
        """Whether the job may end undone."""
        ...

    async def run(self, job: HeldJob) -> None:
        """Do the work and call ``job.succeed``; raises JobFailure, or anything unforeseen."""
        ...

    async def clear(self, job: HeldJob) -> None:
        """Remove what failed attempts left, before the job ends as failed; it is still held. Raises LeaseLost."""
        ...

    async def give_up(self, job: HeldJob, session: WriteSession, failure: JobFailure, *, is_final: bool) -> None:
        """Show on the subject that an attempt failed, in the transaction that ends or delays the job."""
        ...


class JobRunner:
    """Runs one job at a time by its id: claims it, keeps the lease, ends it."""

    def __init__(self, database: Database, work: Mapping[str, JobWork], policy: RetryPolicy) -> None:
        self._database = database
        self._work = work
        self._policy = policy
        self._tasks: set[asyncio.Task[object]] = set()
        self._stopping = asyncio.Event()

    @property
    def in_work(self) -> int:
        """How many jobs are in work."""
        return len(self._tasks)

    async def run(self, job_id: str) -> bool:
        """Do the job, if it is to be had; whether it was. Doubled and stale messages end here.

        Runs in a task of its own for each job, which ``stop`` cancels.
        """
        task = asyncio.current_task()
        if self._stopping.is_set() or task is None:
            return False
        self._tasks.add(task)
        try:
            return await self._run(job_id)
        except asyncio.CancelledError:
            if self._stopping.is_set():
                return False
            raise
        finally:
            self._tasks.discard(task)

    async def stop(self) -> None:
        """Begin nothing more; what is in work is broken off and put back, to be begun anew by whoever starts next."""
        self._stopping.set()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job_id: str) -> bool:
        job = await self._claim(job_id)
        if job is None:
            log.info("job_not_available", job_id=job_id)
            return False
        with structlog.contextvars.bound_contextvars(tenant_id=job.context.tenant_id, job_id=job.id):
            await self._run_held(job)
        return True

    async def _claim(self, job_id: str) -> HeldJob | None:
        now = utc_now()
        async with self._database.write(SYSTEM) as session:
            row = await JobQueue(session).claim(job_id, now, now + timedelta(seconds=self._policy.lease))
        if row is None:
            return None
        context = TenantContext.for_job(row.tenant_id, row.id)
        return HeldJob(row.id, row.kind, row.subject_id, row.attempt, row.fencing_token, context)

    async def _run_held(self, job: HeldJob) -> None:
        heartbeat = asyncio.create_task(self._keep_lease(job))
        try:
            with telemetry.JOB_SECONDS.labels(job.kind).time():
                outcome = await self._attempt(job)
            telemetry.JOBS_ENDED.labels(job.kind, outcome).inc()
        except LeaseLost:
            telemetry.JOBS_ENDED.labels(job.kind, "lease_lost").inc()
            log.warning("job_lease_lost", kind=job.kind, attempt=job.attempt)
        except asyncio.CancelledError:
            await self._put_back(job)
            raise
        finally:
            heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await heartbeat

    async def _put_back(self, job: HeldJob) -> None:
        try:
            async with self._database.write(job.context.tenant_id) as session:
                await job.put_back(session)
        except (LeaseLost, AppError) as error:
            log.warning("job_not_put_back", kind=job.kind, error=type(error).__name__)

    async def _attempt(self, job: HeldJob) -> Outcome:
        work = self._work[job.kind]
        try:
            if work.is_given_up and job.attempt > self._policy.max_retries + 1:
                raise JobFailure(
                    "worker_lost",
                    "Processing stopped without a word each time it was tried. The file may exhaust the worker's memory.",
                    is_final=True,
                )
            await work.run(job)
            log.info("job_succeeded", kind=job.kind, attempt=job.attempt)
        except LeaseLost:
            raise
        except JobFailure as failure:
            return await self._end(work, job, failure)
        except Exception as error:  # rule: allow broad-except because a defect must end the attempt, not lose the job
            log.exception("job_crashed", kind=job.kind, attempt=job.attempt)
            return await self._end(work, job, _unforeseen(error))
        return "succeeded"

    async def _end(self, work: JobWork, job: HeldJob, failure: JobFailure) -> Outcome:
        is_final = failure.is_final or (work.is_given_up and job.attempt > self._policy.max_retries)
        if is_final:
            await self._clear(work, job)
        async with self._database.write(job.context.tenant_id) as session:
            if is_final:
                await job.fail(session, failure)
            else:
                await job.retry(session, failure, self._policy)
            await work.give_up(job, session, failure, is_final=is_final)
        log.warning("job_attempt_failed", kind=job.kind, attempt=job.attempt, code=failure.code, is_final=is_final)
        return "failed" if is_final else "retried"

    async def _clear(self, work: JobWork, job: HeldJob) -> None:
        try:
            await work.clear(job)
        except LeaseLost:
            raise
        except Exception:  # rule: allow broad-except because leftovers are invisible, a job without an end is not
            log.exception("job_leftovers_stay", kind=job.kind)

    async def _keep_lease(self, job: HeldJob) -> None:
        is_held = True
        while is_held:
            await asyncio.sleep(self._policy.lease / _HEARTBEATS_PER_LEASE)
            try:
                is_held = await self._extend_lease(job)
            except AppError as error:
                log.warning("job_heartbeat_missed", code=error.code)

    async def _extend_lease(self, job: HeldJob) -> bool:
        until = utc_now() + timedelta(seconds=self._policy.lease)
        async with self._database.write(SYSTEM) as session:
            return await JobQueue(session).extend_lease(job.id, job.fencing_token, until)


def _unforeseen(error: Exception) -> JobFailure:
    return JobFailure(
        "internal_error",
        f"Something went wrong on our side ({type(error).__name__}). It is tried again by itself.",
        is_final=False,
    )
