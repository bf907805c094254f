"""The vector store as it is meant, exact and in memory: the reference that the conformance suite holds others to."""

import math
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from app.adapters.vectors import layout, lexical
from app.adapters.vectors.base import FilterValue, Range, VectorHit, VectorPoint, VectorQuery
from app.adapters.vectors.errors import ForeignPoint
from app.adapters.vectors.fusion import Ranking, combine
from app.core.tenancy import TenantContext

_Wanted = FilterValue | Sequence[FilterValue] | Range


class InMemoryVectorStore:
    """Points in a dictionary; every search looks at every point of the tenant. For tests and small experiments."""

    def __init__(self) -> None:
        self._points: dict[UUID, tuple[str, VectorPoint]] = {}

    def for_tenant(self, context: TenantContext) -> "InMemoryTenantVectors":
        """The store through the tenant's door."""
        return InMemoryTenantVectors(self._points, context.tenant_id)

    async def maintain(self) -> bool:
        """Nothing to tidy."""
        return False

    async def is_healthy(self) -> bool:
        """Always."""
        return True

    async def close(self) -> None:
        """Forget everything."""
        self._points.clear()


class InMemoryTenantVectors:
    """The store as one tenant sees it."""

    def __init__(self, points: dict[UUID, tuple[str, VectorPoint]], tenant_id: str) -> None:
        self._points = points
        self._tenant_id = tenant_id

    async def upsert(self, points: Sequence[VectorPoint]) -> None:
        """Write the points. Raises ForeignPoint, with none of them written, where an id is another tenant's."""
        for point in points:
            for key in point.metadata:
                layout.metadata_path(key)
            if self._points.get(point.id, (self._tenant_id,))[0] != self._tenant_id:
                raise ForeignPoint("a chunk id is taken")
        self._points.update({point.id: (self._tenant_id, point) for point in points})

    async def search(self, query: VectorQuery) -> list[VectorHit]:
        """The best points, best first. Raises ValueError where the mode needs a vector and there is none."""
        for key in query.metadata:
            layout.metadata_path(key)
        wanted = [point for point in self._own() if _is_wanted(point, query)]
        if query.mode == "sparse":
            best = self._sparse(query.text, wanted)
        elif query.mode == "dense":
            best = _dense(query, wanted)
        else:
            best = combine(self._sparse(query.text, wanted), _dense(query, wanted), query.dense_weight)
        return [VectorHit(identifier, score) for identifier, score in best[: max(query.limit, 0)]]

    async def count(self, document_id: str, generation: int) -> int:
        """The number of points of one version of a document."""
        return sum(point.document_id == document_id and point.generation == generation for point in self._own())

    async def delete_document(self, document_id: str, *, keep_generation: int | None = None) -> None:
        """Remove a document's points, except those of one generation where it is given."""
        self._delete(lambda point: point.document_id == document_id and point.generation != keep_generation)

    async def delete_generation(self, document_id: str, generation: int) -> None:
        """Remove the points of one version of a document."""
        self._delete(lambda point: point.document_id == document_id and point.generation == generation)

    async def delete_all(self) -> None:
        """Remove every point of the tenant."""
        self._delete(lambda _: True)

    def _own(self) -> list[VectorPoint]:
        return [point for tenant_id, point in list(self._points.values()) if tenant_id == self._tenant_id]

    def _delete(self, is_doomed: Callable[[VectorPoint], bool]) -> None:
        for point in self._own():
            if is_doomed(point):
                del self._points[point.id]

    def _sparse(self, text: str, wanted: Sequence[VectorPoint]) -> Ranking:
        """BM25 with IDF ``ln(1 + (N - n + 0.5) / (n + 0.5))`` over all of the tenant's points."""
        own = {point.id: lexical.encode_passage(point.text) for point in self._own()}
        scores: dict[UUID, float] = {}
        for term in lexical.encode_query(text):
            containing = sum(term in weights for weights in own.values())
            idf = math.log1p((len(own) - containing + 0.5) / (containing + 0.5))
            for point in wanted:
                if term in own[point.id]:
                    scores[point.id] = scores.get(point.id, 0.0) + idf * own[point.id][term]
        return _ranked(scores)


def _dense(query: VectorQuery, wanted: Sequence[VectorPoint]) -> Ranking:
    if query.vector is None:
        raise ValueError(f"a {query.mode} search needs a vector")
    return _ranked({point.id: float(point.vector @ query.vector) for point in wanted})


def _ranked(scores: Mapping[UUID, float]) -> Ranking:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _is_wanted(point: VectorPoint, query: VectorQuery) -> bool:
    return (
        (query.knowledge_base_ids is None or point.knowledge_base_id in query.knowledge_base_ids)
        and (query.document_ids is None or point.document_id in query.document_ids)
        and all(_matches(point.metadata.get(key), wanted) for key, wanted in query.metadata.items())
    )


def _matches(value: FilterValue | Sequence[FilterValue] | None, wanted: _Wanted) -> bool:
    """Whether a value, or one element of a list, is what is wanted; numbers compare as numbers, and True is none."""
    if value is None:
        return False
    values = [value] if isinstance(value, str | int | float) else value
    if isinstance(wanted, Range):
        return any(_is_number(element) and _is_within(float(element), wanted) for element in values)
    choices = [wanted] if isinstance(wanted, str | int | float) else wanted
    return any(_kind(element) is _kind(choice) and element == choice for element in values for choice in choices)


def _kind(value: FilterValue) -> type:
    return float if _is_number(value) else type(value)


def _is_number(value: FilterValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_within(value: float, bounds: Range) -> bool:
    return (
        (bounds.gt is None or value > bounds.gt)
        and (bounds.gte is None or value >= bounds.gte)
        and (bounds.lt is None or value < bounds.lt)
        and (bounds.lte is None or value <= bounds.lte)
    )
