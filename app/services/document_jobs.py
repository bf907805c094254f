"""The background work on documents: processing an upload, and removing what a deletion or a new version left behind."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from app.adapters.embeddings.errors import EmbeddingFailed
from app.adapters.parsing.base import ParseFailure
from app.core.database import WriteSession
from app.models.document import Document, DocumentStatus
from app.repositories.documents import ChunksRepository, DocumentsRepository
from app.services.document_sink import DocumentGone, DocumentSink, Stores, version_of
from app.services.ingestion.pipeline import Pipeline
from app.services.jobs import HeldJob, JobFailure, JobKind, LeaseLost, enqueue

#: Failures of the parsing process, not of the file: another try may end better.
_WORTH_RETRYING = frozenset({"parser_crashed", "parser_cancelled"})


def original_of(document_id: str) -> str:
    """The storage name of a document's original bytes."""
    return f"{document_id}/original"


class ProcessDocument:
    """Parses, chunks, embeds and stores a document; doing it twice changes nothing."""

    is_given_up = True

    def __init__(self, stores: Stores, pipeline: Pipeline) -> None:
        self._stores = stores
        self._pipeline = pipeline

    async def run(self, job: HeldJob) -> None:
        """Take the document through the pipeline, and end the job in the commit that makes it visible."""
        document = await self._load(job)
        sink = DocumentSink(self._stores, job, document, model=self._pipeline.embedder.name)
        try:
            async with self._original(job, document) as path:
                await self._pipeline.ingest(path, document.content_type, sink, sink.report)
        except LeaseLost:
            await self._withdraw(job, document)
            raise
        except ParseFailure as failure:
            raise JobFailure(failure.code, failure.message, is_final=failure.code not in _WORTH_RETRYING) from failure
        except EmbeddingFailed as failure:
            raise JobFailure("embedding_failed", str(failure), is_final=not failure.is_retryable) from failure

    async def clear(self, job: HeldJob) -> None:
        """Remove the vectors of the version that did not come about; all of them where the document was deleted."""
        async with self._stores.database.write(job.context.tenant_id) as session:
            await job.confirm(session)
            document = await DocumentsRepository(session, job.context).find(job.subject_id)
        vectors = self._stores.vectors.for_tenant(job.context)
        await vectors.delete_document(job.subject_id, keep_generation=document.generation if document else None)

    async def give_up(self, job: HeldJob, session: WriteSession, failure: JobFailure, *, is_final: bool) -> None:
        """Show the failure on the document; a version that was visible before stays visible."""
        documents = DocumentsRepository(session, job.context)
        is_there = await documents.set(
            job.subject_id,
            status=DocumentStatus.FAILED if is_final else DocumentStatus.PROCESSING,
            stage="failed" if is_final else "waiting",
            attempts=job.attempt,
            error_code=failure.code,
            error_message=failure.message,
        )
        document = await documents.find(job.subject_id) if is_there and is_final else None
        if document is not None:
            chunks = ChunksRepository(session, job.context)
            await chunks.remove_other_generations(document.id, document.generation)

    async def _load(self, job: HeldJob) -> Document:
        async with self._stores.database.write(job.context.tenant_id) as session:
            await job.confirm(session)
            document = await DocumentsRepository(session, job.context).find(job.subject_id)
            if document is None:
                raise DocumentGone
            document.attempts = job.attempt
            document.status = DocumentStatus.PROCESSING
        return document

    @asynccontextmanager
    async def _original(self, job: HeldJob, document: Document) -> AsyncIterator[Path]:
        """The uploaded file; raises JobFailure where it is gone or not what was uploaded."""
        files = self._stores.files.for_tenant(job.context)
        async with AsyncExitStack() as stack:
            try:
                path = await stack.enter_async_context(files.local_copy(original_of(document.id)))
            except FileNotFoundError as error:
                raise JobFailure("file_missing", "The stored file is gone. Upload it again.", is_final=True) from error
            if await asyncio.to_thread(_sha256, path) != document.content_hash:
                raise JobFailure("corrupt", "The stored file was damaged. Upload it again.", is_final=True)
            yield path

    async def _withdraw(self, job: HeldJob, document: Document) -> None:
        """Remove what this worker wrote after others had gone on without it.

        As long as the version that it was to make may still come about, its points are those of the one who makes it.
        """
        made = document.generation + 1
        async with self._stores.database.write(job.context.tenant_id) as session:
            now = await DocumentsRepository(session, job.context).find(document.id)
            if now is None or now.generation > made:
                enqueue(session, job.context, JobKind.DOCUMENT_PRUNE, version_of(document.id, made))


class PruneDocument:
    """Removes the vectors of a version that another has replaced: nobody sees them, but they crowd every search."""

    is_given_up = False

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def run(self, job: HeldJob) -> None:
        """Remove the version, unless it is the visible one or yet to come."""
        document_id, _, generation = job.subject_id.partition("/")
        database = self._stores.database
        async with database.read(job.context.tenant_id) as session:
            document = await DocumentsRepository(session, job.context).find(document_id)
        if document is None or int(generation) < document.generation:
            await self._stores.vectors.for_tenant(job.context).delete_generation(document_id, int(generation))
        async with database.write(job.context.tenant_id) as session:
            await job.succeed(session)

    async def clear(self, job: HeldJob) -> None:
        """Nothing: what is left is the job itself."""

    async def give_up(self, job: HeldJob, session: WriteSession, failure: JobFailure, *, is_final: bool) -> None:
        """Nothing shows it: it is tried until it is done."""


class PurgeDocument:
    """Removes what a deleted document left: vectors, files, and at last its row with its chunks."""

    is_given_up = False

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def run(self, job: HeldJob) -> None:
        """Remove everything; what is already gone is no error."""
        await self._stores.vectors.for_tenant(job.context).delete_document(job.subject_id)
        await self._stores.files.for_tenant(job.context).delete(job.subject_id)
        async with self._stores.database.write(job.context.tenant_id) as session:
            await job.succeed(session)
            documents = DocumentsRepository(session, job.context)
            document = await documents.find_even_if_deleting(job.subject_id)
            if document is not None:
                await documents.remove(document)

    async def clear(self, job: HeldJob) -> None:
        """Nothing: what is left is the job itself."""

    async def give_up(self, job: HeldJob, session: WriteSession, failure: JobFailure, *, is_final: bool) -> None:
        """The document stays invisible; it is tried until nothing of it is left."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
