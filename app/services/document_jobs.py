"""The background work on documents: processing an upload, and removing what a deletion left behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.adapters.embeddings.base import Vector
from app.adapters.embeddings.errors import EmbeddingFailed
from app.adapters.parsing.base import ParsedDocument, ParseFailure
from app.adapters.storage.base import FileStorage
from app.adapters.vectors.base import VectorPoint, VectorStore
from app.core.database import Database, WriteSession
from app.core.ids import chunk_uuid, id_of_uuid
from app.models.document import Document, DocumentStatus
from app.repositories.documents import ChunksRepository, DocumentsRepository
from app.services.ingestion.chunk import Chunk
from app.services.ingestion.pipeline import Pipeline, Stage
from app.services.jobs import HeldJob, JobFailure
from app.services.usage import UsageService

#: Failures of the parsing process, not of the file: another try may end better.
_WORTH_RETRYING = frozenset({"parser_crashed"})


class DocumentGone(JobFailure):
    """The document was deleted while its job waited: nothing is left to do."""

    def __init__(self) -> None:
        super().__init__("document_deleted", "The document was deleted.", is_final=True)


def original_of(document_id: str) -> str:
    """The storage name of a document's original bytes."""
    return f"{document_id}/original"


@dataclass(frozen=True, slots=True)
class Stores:
    """The three places that hold a document: rows, vectors, files."""

    database: Database
    vectors: VectorStore
    files: FileStorage


class ProcessDocument:
    """Parses, chunks, embeds and stores a document; doing it twice changes nothing."""

    def __init__(self, stores: Stores, pipeline: Pipeline) -> None:
        self._stores = stores
        self._pipeline = pipeline

    async def run(self, job: HeldJob) -> None:
        """Take the document through the pipeline, and end the job in the commit that makes it visible."""
        document = await self._load(job)
        sink = DocumentSink(self._stores, job, document, model=self._pipeline.embedder.name)
        try:
            async with self._stores.files.for_tenant(job.context).local_copy(original_of(document.id)) as path:
                await self._pipeline.ingest(path, document.content_type, sink, sink.report)
        except DocumentGone:
            await self._stores.vectors.for_tenant(job.context).delete_document(document.id)
            raise
        except ParseFailure as failure:
            raise JobFailure(failure.code, failure.message, is_final=failure.code not in _WORTH_RETRYING) from failure
        except EmbeddingFailed as failure:
            raise JobFailure("embedding_failed", str(failure), is_final=False) from failure
        except FileNotFoundError as failure:
            raise JobFailure("file_missing", "The stored file is gone. Upload it again.", is_final=True) from failure
        await self._remove_old_vectors(job, document)

    async def give_up(self, job: HeldJob, session: WriteSession, failure: JobFailure, *, is_final: bool) -> None:
        """Show the failure on the document; a version that was visible before stays visible."""
        await DocumentsRepository(session, job.context).set(
            job.subject_id,
            status=DocumentStatus.FAILED if is_final else DocumentStatus.PROCESSING,
            stage="failed" if is_final else "waiting",
            attempts=job.attempt,
            error_code=failure.code,
            error_message=failure.message,
        )

    async def _load(self, job: HeldJob) -> Document:
        async with self._stores.database.write(job.context.tenant_id) as session:
            await job.confirm(session)
            documents = DocumentsRepository(session, job.context)
            document = await documents.find(job.subject_id)
            if document is None:
                raise DocumentGone
            document.attempts = job.attempt
            document.status = DocumentStatus.PROCESSING
        return document

    async def _remove_old_vectors(self, job: HeldJob, document: Document) -> None:
        if document.generation:
            vectors = self._stores.vectors.for_tenant(job.context)
            await vectors.delete_document(document.id, keep_generation=document.generation + 1)


class DocumentSink:
    """Writes one new generation of a document; readers see nothing of it until ``finish``."""

    def __init__(self, stores: Stores, job: HeldJob, document: Document, *, model: str) -> None:
        self._stores = stores
        self._job = job
        self._document = document
        self._model = model
        self._generation = document.generation + 1
        self._vectors = stores.vectors.for_tenant(job.context)

    async def report(self, stage: Stage, progress: float) -> None:
        """Show where the work is."""
        async with self._stores.database.write(self._job.context.tenant_id) as session:
            await self._job.confirm(session)
            await self._show(session, stage=stage, progress=progress)

    async def begin(self) -> None:
        """Clear what an earlier attempt at this generation left."""
        await self._vectors.delete_document(self._document.id, keep_generation=self._document.generation)
        async with self._stores.database.write(self._job.context.tenant_id) as session:
            await self._job.confirm(session)
            chunks = ChunksRepository(session, self._job.context)
            await chunks.remove_other_generations(self._document.id, self._document.generation)

    async def store(self, chunks: Sequence[Chunk], vectors: Sequence[Vector], progress: float) -> None:
        """Keep a batch: vectors first, so that a row never names a vector that is not there."""
        await self._vectors.upsert([self._point(chunk, vector) for chunk, vector in zip(chunks, vectors, strict=True)])
        rows = await asyncio.to_thread(lambda: [self._row(chunk) for chunk in chunks])
        async with self._stores.database.write(self._job.context.tenant_id) as session:
            await self._job.confirm(session)
            await ChunksRepository(session, self._job.context).write(rows)
            await self._show(session, stage="embedding", progress=progress)

    async def finish(self, document: ParsedDocument, *, chunk_count: int, tokens: int) -> None:
        """Check the vectors' number, then flip the generation and end the job in one commit."""
        stored = await self._vectors.count(self._document.id, self._generation)
        if stored != chunk_count:
            raise JobFailure(
                "vectors_incomplete", "The vector store lost a part of the document. It is tried again.", is_final=False
            )
        async with self._stores.database.write(self._job.context.tenant_id) as session:
            await self._job.succeed(session)
            await self._flip(session, document, chunk_count)
            UsageService(session, self._job.context).record(
                "embedding",
                f"{self._document.id}/{self._generation}",
                model=self._model,
                input_tokens=tokens,
            )

    async def _flip(self, session: WriteSession, document: ParsedDocument, chunk_count: int) -> None:
        await ChunksRepository(session, self._job.context).remove_other_generations(self._document.id, self._generation)
        await self._show(
            session,
            status=DocumentStatus.READY,
            stage="done",
            progress=1.0,
            generation=self._generation,
            chunk_count=chunk_count,
            page_count=len(document.pages) or None,
            title=(document.title or "")[:500] or self._document.title,
            error_code=None,
            error_message=None,
        )

    async def _show(self, session: WriteSession, **values: object) -> None:
        if not await DocumentsRepository(session, self._job.context).set(self._document.id, **values):
            raise DocumentGone

    def _uuid(self, chunk: Chunk) -> UUID:
        return chunk_uuid(self._job.context.tenant_id, self._document.id, self._generation, chunk.ordinal)

    def _point(self, chunk: Chunk, vector: Vector) -> VectorPoint:
        return VectorPoint(
            id=self._uuid(chunk),
            document_id=self._document.id,
            knowledge_base_id=self._document.knowledge_base_id,
            generation=self._generation,
            text=chunk.text,
            vector=vector,
            metadata=self._document.meta,
        )

    def _row(self, chunk: Chunk) -> dict[str, object]:
        return {
            "tenant_id": self._job.context.tenant_id,
            "id": id_of_uuid("chk", self._uuid(chunk)),
            "document_id": self._document.id,
            "generation": self._generation,
            "ordinal": chunk.ordinal,
            "text": chunk.text,
            "start": chunk.start,
            "end": chunk.end,
            "page": chunk.page,
            "headings": list(chunk.headings),
        }


class PurgeDocument:
    """Removes what a deleted document left: vectors, files, and at last its row with its chunks."""

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

    async def give_up(self, job: HeldJob, session: WriteSession, failure: JobFailure, *, is_final: bool) -> None:
        """The document stays invisible; the failed job tells the operator what is left to remove."""
