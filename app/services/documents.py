"""Documents: accepted, followed, read, deleted."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.adapters.storage.base import StoredObject, TenantFiles
from app.core.database import ReadSession, WriteSession
from app.core.errors import Conflict, NotFound
from app.core.ids import new_id
from app.core.pagination import Page, PageRequest
from app.core.tenancy import TenantContext
from app.models.document import Chunk, Document, DocumentStatus
from app.repositories.base import not_found
from app.repositories.documents import ChunksRepository, DocumentsRepository
from app.repositories.knowledge import KnowledgeRepository
from app.schemas.base import MetadataValue
from app.services.document_jobs import original_of
from app.services.jobs import JobKind, enqueue


@dataclass(frozen=True, slots=True)
class AcceptedFile:
    """A file whose bytes are safe and whose type is known; ``document_id`` names where the bytes lie."""

    document_id: str
    name: str
    content_type: str
    stored: StoredObject
    knowledge_base_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class DocumentsService:
    """The documents of one tenant."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None:
        self._session = session
        self._context = context
        self._documents = DocumentsRepository(session, context)
        self._chunks = ChunksRepository(session, context)

    async def list(
        self,
        page: PageRequest,
        *,
        status: str | None = None,
        knowledge_base_id: str | None = None,
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> Page[Document]:
        """One page of the documents with this status, base and metadata."""
        return await self._documents.list(
            page, status=status, knowledge_base_id=knowledge_base_id, metadata=metadata or {}
        )

    async def get(self, document_id: str) -> Document:
        """A document; raises NotFound."""
        return await self._documents.get(document_id)

    async def knowledge_base_for(self, knowledge_base_id: str | None) -> str:
        """The base that a new document goes to; raises NotFound for a foreign one."""
        bases = KnowledgeRepository(self._session, self._context)
        if knowledge_base_id is not None:
            return (await bases.get(knowledge_base_id)).id
        default = await bases.default()
        if default is None:
            raise NotFound("This tenant has no default knowledge base. Name one in `knowledge_base_id`.")
        return default.id

    async def accept(self, session: WriteSession, file: AcceptedFile) -> Document:
        """Record a document and its processing together: from the commit on, neither can be lost."""
        document = Document(
            tenant_id=self._context.tenant_id,
            id=file.document_id,
            knowledge_base_id=await self.knowledge_base_for(file.knowledge_base_id),
            name=file.name,
            title=None,
            content_type=file.content_type,
            bytes=file.stored.bytes,
            content_hash=file.stored.sha256,
            meta=dict(file.metadata),
        )
        self._documents.add(document)
        enqueue(session, self._context, JobKind.DOCUMENT_PROCESS, document.id)
        await session.flush()
        return document

    async def reprocess(self, session: WriteSession, document_id: str) -> Document:
        """Process a document again; what is visible of it stays so until the new version is. Raises Conflict."""
        document = await self._documents.get(document_id)
        if document.status == DocumentStatus.PROCESSING:
            raise Conflict("The document is being processed. Wait until it is ready or failed.", code="in_progress")
        document.status = DocumentStatus.PROCESSING
        document.stage, document.progress, document.attempts = "queued", 0.0, 0
        document.error_code = document.error_message = None
        enqueue(session, self._context, JobKind.DOCUMENT_PROCESS, document.id)
        await session.flush()
        return document

    async def replay_failed(self, session: WriteSession, limit: int = 100) -> int:
        """Process failed documents again, oldest first; how many that were."""
        page = await self.list(PageRequest(limit=limit, order="asc"), status=DocumentStatus.FAILED)
        for document in page.items:
            await self.reprocess(session, document.id)
        return len(page.items)

    async def delete(self, session: WriteSession, document_id: str) -> Document:
        """Make a document invisible to every read and answer; the rest of it is removed behind it."""
        document = await self._documents.get(document_id)
        document.status = DocumentStatus.DELETING
        enqueue(session, self._context, JobKind.DOCUMENT_PURGE, document.id)
        return document

    async def chunks(self, document_id: str, *, limit: int, after: str | None) -> Page[Chunk]:
        """One page of a document's chunks in reading order; raises NotFound."""
        await self._documents.get(document_id)
        after_ordinal = -1
        if after is not None:
            ordinal = await self._chunks.ordinal_of(document_id, after)
            if ordinal is None:
                raise not_found(ChunksRepository.noun)
            after_ordinal = ordinal
        return await self._chunks.page_of(document_id, limit=limit, after_ordinal=after_ordinal)


def content_of(files: TenantFiles, document_id: str) -> AsyncIterator[bytes]:
    """The original bytes of a document that the caller was found to own."""
    return files.read(original_of(document_id))


def new_document_id() -> str:
    """The id of a document whose bytes are about to arrive."""
    return new_id("doc")
