"""Every condition that reaches the engine begins with the tenant."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from qdrant_edge import FieldCondition, Filter, MatchValue

from app.adapters.vectors import filters, layout
from app.adapters.vectors.base import Range, VectorPoint, VectorQuery

_ID = UUID(int=1)
QUERIES: list[dict[str, Any]] = [
    {},
    {"knowledge_base_ids": ["a", "b"]},
    {"document_ids": ["a"], "metadata": {"tenant_id": "other"}},
    {"metadata": {"a": Range(gt=1), "b": [1, "x", True], "c": []}},
]


def tenants_on_top(wanted: Filter) -> list[object]:
    assert wanted.should is None
    assert wanted.must_not is None
    matches = [c.match for c in wanted.must or [] if isinstance(c, FieldCondition) and c.key == layout.TENANT]
    return [match.value for match in matches if isinstance(match, MatchValue)]


@pytest.mark.parametrize("query", QUERIES)
def test_a_querys_filter_has_one_tenant_on_top(query: dict[str, Any]) -> None:
    wanted = filters.of_query("mine", VectorQuery("text", None, **query))
    assert wanted is not None
    assert tenants_on_top(wanted) == ["mine"]


def test_a_documents_filter_has_one_tenant_on_top() -> None:
    for wanted in (filters.of_document("mine", "d"), filters.of_document("mine", "d", generation=1, but=2)):
        assert tenants_on_top(wanted) == ["mine"]


def test_a_users_metadata_cannot_pass_for_ours() -> None:
    metadata: dict[str, Any] = {"tenant_id": "other", "document_id": "x", "flag": True, "list": [False, 1, "a"]}
    point = VectorPoint(_ID, "d", "kb", 3, "text", np.ones(2, dtype=np.float32), metadata)
    assert layout.payload_of("mine", point) == {
        "tenant_id": "mine",
        "document_id": "d",
        "knowledge_base_id": "kb",
        "generation": 3,
        "metadata": {"tenant_id": ["other"], "document_id": ["x"], "list": [1, "a"]},
        "truths": {"flag": ["true"], "list": ["false"]},
    }


def test_collections_of_different_models_have_different_safe_names() -> None:
    names = {layout.collection_name(name) for name in ("a/b", "a-b", "../a b", "A/B")}
    assert len(names) == 4
    assert all("/" not in name and not name.startswith(".") for name in names)
