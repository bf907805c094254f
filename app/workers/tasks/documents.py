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

    def prune_document(_: Task, job_id: str) -> None:
        """Remove a document's version that another has replaced."""
        executor.execute(job_id)

    # Shared tasks, the default, would be those of every application in the process.
    options = {"bind": True, "shared": False, "max_retries": 3, "default_retry_delay": 30}
    app.task(name=JobKind.DOCUMENT_PROCESS.value, **options)(process_document)
    app.task(name=JobKind.DOCUMENT_PURGE.value, **options)(purge_document)
    app.task(name=JobKind.DOCUMENT_PRUNE.value, **options)(prune_document)
