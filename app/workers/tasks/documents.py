"""Tasks on documents: each takes a job's id and nothing else; tenant and document come from the job's row."""

from celery import Celery, Task

from app.services.jobs import JobKind
from app.workers.base import JobExecutor


def register(app: Celery, executor: JobExecutor) -> None:
    """Make the tasks known to an application. Retries are kept in the job's row, with these numbers as defaults."""

    def process_document(_: Task, job_id: str) -> None:
        """Parse, chunk, embed and store a document."""
        executor.execute(job_id)

    def purge_document(_: Task, job_id: str) -> None:
        """Remove what a deleted document left."""
        executor.execute(job_id)

    retries = {"max_retries": 3, "default_retry_delay": 30}
    app.task(bind=True, name=JobKind.DOCUMENT_PROCESS.value, **retries)(process_document)
    app.task(bind=True, name=JobKind.DOCUMENT_PURGE.value, **retries)(purge_document)
