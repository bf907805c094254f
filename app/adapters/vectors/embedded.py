"""The vector store in this process, without a server: the Qdrant engine over a local folder."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from qdrant_edge import (
    CountRequest,
    EdgeShard,
    Filter,
    IdfParams,
    PayloadSelector,
    Point,
    Query,
    QueryBatchRequest,
    QueryRequest,
    Record,
    ScoredPoint,
    ScrollRequest,
    SearchParams,
    SparseVector,
    UpdateOperation,
)

from app.adapters.vectors import filters, layout, lexical
from app.adapters.vectors.base import VectorHit, VectorPoint, VectorQuery
from app.adapters.vectors.engine import Engine, open_shard
from app.adapters.vectors.errors import ForeignPoint, VectorStoreFailed
from app.adapters.vectors.fusion import combine
from app.core.tenancy import TenantContext

_log = structlog.get_logger()
#: The engine holds the interpreter for an update: 1.3 ms for 50 points, 2.5 ms (at worst 7) for 100.
_POINTS_PER_UPDATE: Final = 50
#: ... and 4 microseconds for each point it deletes.
_POINTS_PER_DELETION: Final = 250
#: How deep both rankings go before they are fused; 30 and 50 measured at most 0.005 of nDCG lower.
_CANDIDATES: Final = 100
#: A flush holds the interpreter for 40 to 130 ms, optimising for 22 microseconds a point of the whole store. The latter
#: only frees the space of what was deleted or replaced: worth it rarely, and only when nobody waits.
_IDLE_BEFORE_FLUSH: Final = 5.0
_UNFLUSHED_AT_MOST: Final = 5_000
_IDLE_BEFORE_OPTIMISING: Final = 60.0
_CHANGES_WORTH_OPTIMISING: Final = 20_000


class EmbeddedVectorStore:
    """One collection in a folder that this process alone has open; callable from any event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changes = 0
        self._unflushed = 0

    @classmethod
    async def open(
        cls, directory: Path, *, embedder_name: str, dimension: int, read_threads: int = 2
    ) -> "EmbeddedVectorStore":
        """Open the embedder's collection, or create it.

        Raises VectorStoreInUse where another process has it, VectorStoreFailed where it cannot be read.
        """
        name = layout.collection_name(embedder_name)
        shard = await asyncio.to_thread(open_shard, directory, name, dimension)
        return cls(Engine(shard, read_threads=read_threads))

    def for_tenant(self, context: TenantContext) -> "EmbeddedTenantVectors":
        """The store through the tenant's door."""
        return EmbeddedTenantVectors(self, self._engine, context.tenant_id)

    async def is_healthy(self) -> bool:
        """Whether the engine reads a point now."""
        try:
            await self._engine.upkeep(lambda shard: shard.scroll(ScrollRequest(limit=1)))
        except (VectorStoreFailed, RuntimeError):  # RuntimeError: closed
            return False
        return True

    async def maintain(self) -> bool:
        """Flush and, after many changes, optimise, if the store has been idle; whether anything was done.

        Meant to be called every few seconds; both stop the whole process for a moment, hence only when idle. Only a
        store that is never idle is flushed in between, so that a loss of power costs it no more than some documents.
        """
        is_idle = self._engine.idle_seconds >= _IDLE_BEFORE_FLUSH
        if self._changes >= _CHANGES_WORTH_OPTIMISING and self._engine.idle_seconds >= _IDLE_BEFORE_OPTIMISING:
            self._changes = 0
            await self._engine.upkeep(lambda shard: shard.optimize())
        elif (is_idle and self._unflushed) or self._unflushed >= _UNFLUSHED_AT_MOST:
            self._unflushed = 0
            await self._engine.upkeep(lambda shard: shard.flush())
        else:
            return False
        return True

    async def close(self) -> None:
        """Finish what was begun, flush, and let another process open the store."""
        await self._engine.close()

    def note_changes(self, points: int) -> None:
        """Count changed points, by which ``maintain`` decides."""
        self._changes += points
        self._unflushed += points


class EmbeddedTenantVectors:
    """The store as one tenant sees it."""

    def __init__(self, store: EmbeddedVectorStore, engine: Engine, tenant_id: str) -> None:
        self._store = store
        self._engine = engine
        self._tenant_id = tenant_id

    async def upsert(self, points: Sequence[VectorPoint]) -> None:
        """Write the points in small updates, each durable when the next begins.

        Raises ForeignPoint, with the update in question unwritten, where an id is another tenant's.
        """
        for first in range(0, len(points), _POINTS_PER_UPDATE):
            await self._engine.write(partial(self._upsert, points[first : first + _POINTS_PER_UPDATE]))

    async def search(self, query: VectorQuery) -> list[VectorHit]:
        """The best points, best first. Raises ValueError where the mode needs a vector and there is none."""
        wanted = filters.of_query(self._tenant_id, query)
        if wanted is None or query.limit < 1:
            return []
        return await self._engine.read(partial(self._search, query, wanted))

    async def count(self, document_id: str, generation: int) -> int:
        """The exact number of points of one version of a document."""
        wanted = filters.of_document(self._tenant_id, document_id, generation=generation)
        return await self._engine.read(lambda shard: int(shard.count(CountRequest(exact=True, filter=wanted))))

    async def delete_document(self, document_id: str, *, keep_generation: int | None = None) -> None:
        """Remove a document's points, except those of one generation where it is given."""
        await self._delete(filters.of_document(self._tenant_id, document_id, but=keep_generation))

    async def delete_generation(self, document_id: str, generation: int) -> None:
        """Remove the points of one version of a document."""
        await self._delete(filters.of_document(self._tenant_id, document_id, generation=generation))

    async def delete_all(self) -> None:
        """Remove every point of the tenant."""
        await self._delete(filters.of_tenant(self._tenant_id))

    async def _delete(self, wanted: Filter) -> None:
        while await self._engine.write(partial(self._delete_some, wanted)):
            pass

    def _delete_some(self, wanted: Filter, shard: EdgeShard) -> bool:
        records, _ = shard.scroll(ScrollRequest(limit=_POINTS_PER_DELETION, filter=wanted, with_payload=False))
        if records:
            shard.update(UpdateOperation.delete_points([record.id for record in records]))
            self._store.note_changes(len(records))
        return len(records) == _POINTS_PER_DELETION

    def _upsert(self, points: Sequence[VectorPoint], shard: EdgeShard) -> None:
        """Look before writing; nothing comes between, since one thread does all the writing."""
        foreign = self._foreign([point.id for point in points], shard)
        if foreign:
            _log.error("vector_id_of_other_tenant", tenant_id=self._tenant_id, points=len(foreign))
            raise ForeignPoint("a chunk id is taken")
        shard.update(UpdateOperation.upsert_points([self._as_stored(point) for point in points]))
        self._store.note_changes(len(points))

    def _as_stored(self, point: VectorPoint) -> Point:
        weights = lexical.encode_passage(point.text)
        vectors = {
            layout.DENSE: point.vector.tolist(),
            layout.SPARSE: SparseVector(list(weights), list(weights.values())),
        }
        return Point(point.id, vectors, layout.payload_of(self._tenant_id, point))

    def _search(self, query: VectorQuery, wanted: Filter, shard: EdgeShard) -> list[VectorHit]:
        if query.mode == "hybrid":
            depth = max(_CANDIDATES, query.limit)
            requests = [self._sparse_request(query.text, wanted, depth), self._dense_request(query, wanted, depth)]
            sparse, dense = shard.query_batch(QueryBatchRequest(requests))
            best = combine(_ranking(sparse), _ranking(dense), query.dense_weight)[: query.limit]
        elif query.mode == "dense":
            best = _ranking(shard.query(self._dense_request(query, wanted, query.limit)))
        else:
            best = _ranking(shard.query(self._sparse_request(query.text, wanted, query.limit)))
        foreign = self._foreign([identifier for identifier, _ in best], shard)
        for identifier in foreign:
            _log.critical("vector_of_other_tenant_found", tenant_id=self._tenant_id, point_id=str(identifier))
        return [VectorHit(identifier, score) for identifier, score in best if identifier not in foreign]

    def _sparse_request(self, text: str, wanted: Filter, depth: int) -> QueryRequest:
        """BM25 with the IDF of the tenant's own texts, so that no tenant's words weigh on another's results."""
        weights = lexical.encode_query(text)
        return QueryRequest(
            limit=depth,
            query=Query.Nearest(SparseVector(list(weights), list(weights.values())), using=layout.SPARSE),
            filter=wanted,
            params=SearchParams(idf=IdfParams(corpus=filters.of_tenant(self._tenant_id))),
        )

    def _dense_request(self, query: VectorQuery, wanted: Filter, depth: int) -> QueryRequest:
        if query.vector is None:
            raise ValueError(f"a {query.mode} search needs a vector")
        return QueryRequest(
            limit=depth,
            query=Query.Nearest(query.vector.tolist(), using=layout.DENSE),
            filter=wanted,
        )

    def _foreign(self, identifiers: Sequence[UUID], shard: EdgeShard) -> set[UUID]:
        """Those of the points that exist and are another tenant's: none, unless a filter or the engine is broken."""
        stored = shard.retrieve([*identifiers], PayloadSelector.Include([layout.TENANT]), False)
        return {_identifier(point) for point in stored if (point.payload or {}).get(layout.TENANT) != self._tenant_id}


def _ranking(found: Sequence[ScoredPoint]) -> list[tuple[UUID, float]]:
    return [(_identifier(point), point.score) for point in found]


def _identifier(point: ScoredPoint | Record) -> UUID:
    if not isinstance(point.id, UUID):
        raise TypeError("a point of ours has a UUID")
    return point.id
