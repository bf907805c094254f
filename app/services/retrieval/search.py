"""Search: the question is embedded, the vector store gives ids, the database gives the text that may be seen."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from app.adapters.embeddings.base import Embedder, Vector
from app.adapters.embeddings.errors import EmbeddingFailed
from app.adapters.vectors.base import MetadataFilter, SearchMode, VectorQuery, VectorStore
from app.adapters.vectors.errors import VectorStoreError
from app.core.errors import Overloaded
from app.core.ids import id_of_uuid
from app.core.tenancy import TenantContext
from app.services.retrieval.passages import FoundPassage

#: Gives the visible passages among chunk ids; the second wall, since it asks the database as the tenant.
ReadPassages = Callable[[TenantContext, Sequence[str]], Awaitable[Mapping[str, FoundPassage]]]

#: How many times ``top_k`` the store is asked for: at first, and each time that what it found is mostly not visible.
_DEPTHS = (2, 8, 64)
_RETRY_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for, and where; None looks everywhere in the tenant."""

    text: str
    top_k: int = 10
    mode: SearchMode = "hybrid"
    knowledge_base_ids: Sequence[str] | None = None
    document_ids: Sequence[str] | None = None
    metadata: MetadataFilter = field(default_factory=dict)


class Retriever:
    """Finds passages for one question at a time."""

    def __init__(self, embedder: Embedder, vectors: VectorStore, read_passages: ReadPassages) -> None:
        self._embedder = embedder
        self._vectors = vectors
        self._read_passages = read_passages

    async def search(self, context: TenantContext, query: SearchQuery) -> list[FoundPassage]:
        """The passages that fit best, best first; at most ``top_k``; raises Overloaded where model or store is down.

        The store may also find what is not visible: of a document that is being processed or removed, or whose version
        was replaced between its answer and the database's. Where that leaves too little, it is asked again, for more.
        """
        with _as_overload():
            return await self._search(context, query)

    async def _search(self, context: TenantContext, query: SearchQuery) -> list[FoundPassage]:
        vector = None if query.mode == "sparse" else await self._embedder.embed_query(query.text)
        found: list[FoundPassage] = []
        for factor in _DEPTHS:
            hits = await self._vectors.for_tenant(context).search(self._asked(query, vector, query.top_k * factor))
            identifiers = [id_of_uuid("chk", hit.id) for hit in hits]
            passages = await self._read_passages(context, identifiers) if identifiers else {}
            found = [passages[identifier] for identifier in identifiers if identifier in passages]
            if len(found) >= query.top_k or len(found) == len(hits):
                break
        return found[: query.top_k]

    def _asked(self, query: SearchQuery, vector: Vector | None, limit: int) -> VectorQuery:
        return VectorQuery(
            text=query.text,
            vector=vector,
            mode=query.mode,
            dense_weight=self._embedder.familiarity(query.text),
            limit=limit,
            knowledge_base_ids=query.knowledge_base_ids,
            document_ids=query.document_ids,
            metadata=query.metadata,
        )


@contextmanager
def _as_overload() -> Iterator[None]:
    """An answer without its sources would be worth nothing: the caller is told to ask again."""
    try:
        yield
    except (EmbeddingFailed, VectorStoreError) as error:
        log.warning("search_unavailable", error=type(error).__name__)
        raise Overloaded(
            "Documents cannot be searched now. Nothing was lost; ask again in a moment.",
            code="search_unavailable",
            retry_after=_RETRY_SECONDS,
        ) from error
