"""Knowledge: sets of documents, and search in them."""

from fastapi import APIRouter

from app.api.access import DocumentsReader, DocumentsWriter
from app.api.bodies import StrictJsonRoute
from app.api.deps import ApplicationDep, KnowledgeReading, KnowledgeServiceDep, PageDep, WriteSessionDep
from app.api.errors import errors
from app.schemas.base import Deleted, PageOf, page_of
from app.schemas.knowledge import (
    KnowledgeBaseCreate,
    KnowledgeBaseRead,
    KnowledgeBaseUpdate,
    SearchHit,
    SearchRequest,
    SearchResponse,
)
from app.services.knowledge import search

router = APIRouter(prefix="/knowledge", tags=["knowledge"], route_class=StrictJsonRoute)


@router.post("/search", summary="Search documents", responses=errors(404, 409, 413))
async def search_knowledge(caller: DocumentsReader, app: ApplicationDep, request: SearchRequest) -> SearchResponse:
    """The passages that fit a question best, by meaning and by words. Ranks are public, similarity scores are not."""
    passages = await search(app.resources.database, app.retriever, caller, request)
    hits = [
        SearchHit.model_validate({"rank": rank, **{name: getattr(found, name) for name in _PASSAGE_FIELDS}})
        for rank, found in enumerate(passages, start=1)
    ]
    return SearchResponse(data=hits)


_PASSAGE_FIELDS = ("chunk_id", "document_id", "title", "text", "page", "start", "end", "headings")


@router.post("", status_code=201, summary="Create a knowledge base", responses=errors(409, 413))
async def create_knowledge_base(
    _: DocumentsWriter, knowledge: KnowledgeServiceDep, wanted: KnowledgeBaseCreate
) -> KnowledgeBaseRead:
    """An empty set of documents that agents can be given."""
    return KnowledgeBaseRead.model_validate(await knowledge.create(wanted))


@router.get("", summary="List knowledge bases", responses=errors())
async def list_knowledge_bases(
    _: DocumentsReader, knowledge: KnowledgeReading, page: PageDep
) -> PageOf[KnowledgeBaseRead]:
    """Newest first unless `order=asc`."""
    return page_of(KnowledgeBaseRead, await knowledge.list(page))


@router.get("/{knowledge_base_id}", summary="Get a knowledge base", responses=errors(404))
async def get_knowledge_base(
    _: DocumentsReader, knowledge: KnowledgeReading, knowledge_base_id: str
) -> KnowledgeBaseRead:
    """By id."""
    return KnowledgeBaseRead.model_validate(await knowledge.get(knowledge_base_id))


@router.patch("/{knowledge_base_id}", summary="Change a knowledge base", responses=errors(404, 413))
async def update_knowledge_base(
    _: DocumentsWriter, knowledge: KnowledgeServiceDep, knowledge_base_id: str, changes: KnowledgeBaseUpdate
) -> KnowledgeBaseRead:
    """What is left out stays as it is."""
    return KnowledgeBaseRead.model_validate(await knowledge.update(knowledge_base_id, changes))


@router.delete("/{knowledge_base_id}", summary="Delete a knowledge base", responses=errors(404, 409))
async def delete_knowledge_base(
    _: DocumentsWriter, knowledge: KnowledgeServiceDep, session: WriteSessionDep, knowledge_base_id: str
) -> Deleted:
    """With its documents, which are gone from every answer when this returns.

    Two cannot be deleted: the default one, and one that is an agent's only one (the agent would answer from all).
    """
    return Deleted(id=(await knowledge.delete(session, knowledge_base_id)).id, object="knowledge_base")
