"""The port to the vector store: nothing can be asked of it without a tenant, and it returns ids, never text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from app.adapters.embeddings.base import Vector
from app.core.tenancy import TenantContext

FilterValue = str | int | float | bool
SearchMode = Literal["hybrid", "dense", "sparse"]


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds on a numeric metadata value; None is unbounded."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


#: What a metadata key must be: equal to a value, one of several, or within a range.
MetadataFilter = Mapping[str, FilterValue | Sequence[FilterValue] | Range]


@dataclass(frozen=True, slots=True)
class VectorPoint:
    """A chunk as the store keeps it. ``text`` is only encoded for BM25, not stored."""

    id: UUID
    document_id: str
    knowledge_base_id: str
    generation: int
    text: str
    vector: Vector
    metadata: Mapping[str, FilterValue | Sequence[FilterValue]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """What to look for. ``vector`` may be None for ``sparse``; an empty id list matches nothing, None matches all.

    ``dense_weight`` is how much the vector counts in ``hybrid`` beside the words, from 0 (not at all) to 1 (as much);
    ``Embedder.familiarity`` of the text gives it.
    """

    text: str
    vector: Vector | None
    mode: SearchMode = "hybrid"
    dense_weight: float = 1.0
    limit: int = 10
    knowledge_base_ids: Sequence[str] | None = None
    document_ids: Sequence[str] | None = None
    metadata: MetadataFilter = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VectorHit:
    """A chunk found: its id, and a score that orders hits of one query and means nothing else."""

    id: UUID
    score: float


class TenantVectors(Protocol):
    """The store as one tenant sees it: the tenant is a top-level ``must`` of every request."""

    async def upsert(self, points: Sequence[VectorPoint]) -> None:
        """Write points; returns when they are durable and visible. Writing the same ids again replaces them."""
        ...

    async def search(self, query: VectorQuery) -> list[VectorHit]:
        """The best points, best first."""
        ...

    async def count(self, document_id: str, generation: int) -> int:
        """The exact number of points of one version of a document."""
        ...

    async def delete_document(self, document_id: str, *, keep_generation: int | None = None) -> None:
        """Remove a document's points, except those of one generation where it is given."""
        ...

    async def delete_generation(self, document_id: str, generation: int) -> None:
        """Remove the points of one version of a document."""
        ...

    async def delete_all(self) -> None:
        """Remove every point of the tenant."""
        ...


class VectorStore(Protocol):
    """The store itself, which offers no data until a tenant is named."""

    def for_tenant(self, context: TenantContext) -> TenantVectors:
        """The store through the tenant's door."""
        ...

    async def maintain(self) -> bool:
        """Tidy up if the store has been idle; whether anything was done. Called every few seconds."""
        ...

    async def is_healthy(self) -> bool:
        """Whether the store answers a real request now."""
        ...

    async def close(self) -> None:
        """Flush and release the store."""
        ...
