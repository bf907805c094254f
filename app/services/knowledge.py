"""Knowledge bases, and search in what they hold."""

from collections.abc import Mapping, Sequence

from app.adapters.vectors.base import Range
from app.core.database import Database, ReadSession, WriteSession
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.pagination import Page, PageRequest
from app.core.tenancy import TenantContext
from app.models.knowledge import KnowledgeBase
from app.repositories.agents import AgentsRepository
from app.repositories.base import not_found
from app.repositories.documents import ChunkRead, ChunksRepository, DocumentsRepository
from app.repositories.knowledge import KnowledgeRepository
from app.schemas.knowledge import KnowledgeBaseCreate, KnowledgeBaseUpdate, RangeFilter, SearchRequest
from app.services.documents import DocumentsService
from app.services.retrieval.passages import FoundPassage
from app.services.retrieval.search import ReadPassages, Retriever, SearchQuery


class KnowledgeService:
    """The knowledge bases of one tenant."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None:
        self._session = session
        self._context = context
        self._bases = KnowledgeRepository(session, context)

    async def list(self, page: PageRequest) -> Page[KnowledgeBase]:
        """One page of the knowledge bases."""
        return await self._bases.page(page)

    async def get(self, base_id: str) -> KnowledgeBase:
        """A knowledge base; raises NotFound."""
        return await self._bases.get(base_id)

    async def create(self, wanted: KnowledgeBaseCreate) -> KnowledgeBase:
        """A new, empty knowledge base."""
        base = KnowledgeBase(tenant_id=self._context.tenant_id, id=new_id("kb"), **wanted.model_dump())
        self._bases.add(base)
        await self._session.flush()
        return base

    async def update(self, base_id: str, changes: KnowledgeBaseUpdate) -> KnowledgeBase:
        """Change what was sent; raises NotFound."""
        base = await self._bases.get(base_id)
        for name, value in changes.model_dump(exclude_unset=True).items():
            setattr(base, name, value)
        await self._session.flush()
        return base

    async def delete(self, session: WriteSession, base_id: str) -> KnowledgeBase:
        """Remove a knowledge base with its documents; raises NotFound, Conflict for the default one."""
        base = await self._bases.get(base_id)
        if base.is_default:
            raise Conflict("The default knowledge base cannot be deleted: documents go there that name none.")
        await self._refuse_widening(base_id)
        documents = DocumentsService(session, self._context)
        for document_id in await DocumentsRepository(session, self._context).ids_of_base(base_id):
            await documents.delete(session, document_id)
        await session.flush()
        await self._bases.remove(base)
        return base

    async def _refuse_widening(self, base_id: str) -> None:
        """An agent without bases answers from all documents: it must not come to that by losing its last one."""
        agents = await AgentsRepository(self._session, self._context).confined_to(base_id)
        if agents:
            names = ", ".join(f"`{agent.slug}`" for agent in agents)
            raise Conflict(
                f"It is the only knowledge base of the agents {names}. Give them another one, or delete them first.",
                code="knowledge_base_in_use",
            )


def search_query(request: SearchRequest) -> SearchQuery:
    """What a search request asks of the retriever."""
    return SearchQuery(
        text=request.query,
        top_k=request.top_k,
        mode=request.mode,
        knowledge_base_ids=request.knowledge_base_ids,
        document_ids=request.document_ids,
        metadata={
            key: Range(**value.model_dump()) if isinstance(value, RangeFilter) else value
            for key, value in request.filters.items()
        },
    )


async def search(
    database: Database, retriever: Retriever, context: TenantContext, request: SearchRequest
) -> Sequence[FoundPassage]:
    """The passages that fit best; raises NotFound where a knowledge base is not the tenant's."""
    await require_bases(database, context, request.knowledge_base_ids or ())
    return await retriever.search(context, search_query(request))


async def require_bases(database: Database, context: TenantContext, base_ids: Sequence[str]) -> None:
    """Raise NotFound unless every knowledge base is the tenant's."""
    if not base_ids:
        return
    async with database.read(context.tenant_id) as session:
        found = await KnowledgeRepository(session, context).list_by_ids(base_ids)
    if len(found) < len(set(base_ids)):
        raise not_found(KnowledgeRepository.noun)


def passages_reader(database: Database) -> ReadPassages:
    """How the retriever gets the text of what it found: from the database, as the tenant."""

    async def read(context: TenantContext, chunk_ids: Sequence[str]) -> Mapping[str, FoundPassage]:
        async with database.read(context.tenant_id) as session:
            chunks = await ChunksRepository(session, context).read(chunk_ids)
        return {chunk_id: _passage(chunk) for chunk_id, chunk in chunks.items()}

    return read


def _passage(chunk: ChunkRead) -> FoundPassage:
    return FoundPassage(
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        title=chunk.title,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        headings=chunk.headings,
    )
