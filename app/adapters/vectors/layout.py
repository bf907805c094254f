"""How chunks lie in a vector store: names, payload and collections, the same embedded and on a server."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.adapters.vectors.base import FilterValue, VectorPoint

DENSE: Final = "dense"
SPARSE: Final = "bm25"

TENANT: Final = "tenant_id"
DOCUMENT: Final = "document_id"
KNOWLEDGE_BASE: Final = "knowledge_base_id"
GENERATION: Final = "generation"
#: What a user says about a document lies in an object of its own, so no key of theirs can pass for one of ours.
METADATA: Final = "metadata"
#: True and False lie apart and in words: the engine's binding turns them into 1 and 0 in conditions, not in payloads.
TRUTHS: Final = "truths"

#: One graph per tenant and none over all: a search walks only the asking tenant's points.
HNSW_M: Final = 0
HNSW_PAYLOAD_M: Final = 16
HNSW_EF_CONSTRUCT: Final = 100


def collection_name(embedder_name: str) -> str:
    """The collection of an embedding model: readable, safe as a folder's name, and different for different models."""
    readable = re.sub(r"[^a-z0-9.]+", "-", embedder_name.lower()).strip("-.")
    return f"{readable}-{hashlib.sha256(embedder_name.encode()).hexdigest()[:8]}"


def payload_of(tenant_id: str, point: VectorPoint) -> dict[str, Any]:
    """What is stored beside a point's vectors. The tenant comes from the context alone."""
    return {
        TENANT: tenant_id,
        DOCUMENT: point.document_id,
        KNOWLEDGE_BASE: point.knowledge_base_id,
        GENERATION: point.generation,
        METADATA: _only(point.metadata, truths=False),
        TRUTHS: _only(point.metadata, truths=True),
    }


def metadata_path(key: str) -> str:
    """The path of a metadata key's strings and numbers in the payload.

    Raises ValueError for the empty key and for keys with a quotation mark or a backslash: no path can name them.
    """
    return f'{METADATA}."{_checked(key)}"'


def truths_path(key: str) -> str:
    """The path of a metadata key's truth values in the payload. Raises ValueError as ``metadata_path``."""
    return f'{TRUTHS}."{_checked(key)}"'


def _only(metadata: Mapping[str, Any], *, truths: bool) -> dict[str, Any]:
    listed = {_checked(key): _elements(value) for key, value in metadata.items()}
    kept = {key: [value for value in values if isinstance(value, bool) is truths] for key, values in listed.items()}
    return {key: [spell(value) for value in values] if truths else values for key, values in kept.items() if values}


def spell(truth: FilterValue) -> str:
    """How a truth value is stored."""
    return str(truth).lower()


def _elements(value: FilterValue | Sequence[FilterValue]) -> Sequence[FilterValue]:
    return [value] if isinstance(value, str | int | float) else value


def _checked(key: str) -> str:
    if not key or '"' in key or "\\" in key:
        raise ValueError("a metadata key is not empty and has neither quotation mark nor backslash")
    return key
