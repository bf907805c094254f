"""Writes a new version of a document beside the visible one, and puts it in its place in one commit."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from uuid import UUID

from app.adapters.embeddings.base import Vector
from app.adapters.parsing.base import ParsedDocument
from app.adapters.storage.base import FileStorage
from app.adapters.vectors.base import VectorPoint, VectorStore
from app.core.database import Database, WriteSession
from app.core.ids import chunk_uuid, id_of_uuid
from app.models.document import Document, DocumentStatus
from app.repositories.documents import ChunksRepository, DocumentsRepository
from app.services.ingestion.chunk import Chunk
from app.services.ingestion.pipeline import Stage
from app.services.jobs import HeldJob, JobFailure, JobKind, enqueue
from app.services.usage import UsageService


class DocumentGone(JobFailure):
    """The document was deleted while its job waited or ran: nothing is left to do."""

    def __init__(self) -> None:
        super().__init__("document_deleted", "The document was deleted.", is_final=True)


@dataclass(frozen=True, slots=True)
class Stores:
    """The three places that hold a document: rows, vectors, files."""

    database: Database
    vectors: VectorStore
    files: FileStorage


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
            await self._show(session, stage="embedding", progress=progress)
            await ChunksRepository(session, self._job.context).write(rows)

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
        await ChunksRepository(session, self._job.context).remove_other_generations(self._document.id, self._generation)
        if self._document.generation:
            replaced = version_of(self._document.id, self._document.generation)
            enqueue(session, self._job.context, JobKind.DOCUMENT_PRUNE, replaced)

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
            text=f"{_words_of_name(self._document.name)}\n{chunk.text}",
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


def _words_of_name(name: str) -> str:
    """A file's name as words, so that "what does the Oslo policy say" finds ``oslo_policy.pdf``; its type says nothing."""
    return " ".join(re.findall(r"[^\W_]+", PurePath(name).stem))


def version_of(document_id: str, generation: int) -> str:
    """How a job names one version of a document as its subject."""
    return f"{document_id}/{generation}"
