"""What a query asks for, as conditions of the engine: the tenant always on top, everything else below it."""

from collections.abc import Sequence

from qdrant_edge import FieldCondition, Filter, MatchAny, MatchValue, RangeFloat

from app.adapters.vectors import layout
from app.adapters.vectors.base import FilterValue, MetadataFilter, Range, VectorQuery


def of_tenant(tenant_id: str, *others: FieldCondition | Filter) -> Filter:
    """Points of the tenant that meet all other conditions: the only way to make a filter for a request."""
    return Filter(must=[FieldCondition(layout.TENANT, match=MatchValue(tenant_id)), *others])


def of_document(tenant_id: str, document_id: str, *, generation: int | None = None, but: int | None = None) -> Filter:
    """A document's points: all, those of one generation, or all but those of one."""
    conditions: list[FieldCondition | Filter] = [FieldCondition(layout.DOCUMENT, match=MatchValue(document_id))]
    if generation is not None:
        conditions.append(FieldCondition(layout.GENERATION, match=MatchValue(generation)))
    if but is not None:
        conditions.append(Filter(must_not=[FieldCondition(layout.GENERATION, match=MatchValue(but))]))
    return of_tenant(tenant_id, *conditions)


def of_query(tenant_id: str, query: VectorQuery) -> Filter | None:
    """The tenant's points that a query may find; None where an empty list of ids leaves none."""
    conditions: list[FieldCondition | Filter] = []
    for key, identifiers in (
        (layout.KNOWLEDGE_BASE, query.knowledge_base_ids),
        (layout.DOCUMENT, query.document_ids),
    ):
        if identifiers is not None:
            if not identifiers:
                return None
            conditions.append(FieldCondition(key, match=MatchAny(list(identifiers))))
    conditions.extend(_of_metadata(query.metadata))
    return of_tenant(tenant_id, *conditions)


def _of_metadata(wanted: MetadataFilter) -> list[FieldCondition | Filter]:
    return [_of_key(key, value) for key, value in wanted.items()]


def _of_key(key: str, wanted: FilterValue | Sequence[FilterValue] | Range) -> FieldCondition | Filter:
    if isinstance(wanted, Range):
        bounds = RangeFloat(gt=wanted.gt, gte=wanted.gte, lt=wanted.lt, lte=wanted.lte)
        return FieldCondition(layout.metadata_path(key), range=bounds)
    if isinstance(wanted, str | int | float):
        return _equal(key, wanted)
    if not wanted:
        return FieldCondition(layout.metadata_path(key), match=MatchAny([]))  # an empty ``should`` would match all
    return Filter(should=[_equal(key, value) for value in wanted])


def _equal(key: str, value: FilterValue) -> FieldCondition:
    """Numbers are compared as numbers, so that 3 equals 3.0; the engine's match would tell them apart."""
    if isinstance(value, bool):
        return FieldCondition(layout.truths_path(key), match=MatchValue(layout.spell(value)))
    if isinstance(value, str):
        return FieldCondition(layout.metadata_path(key), match=MatchValue(value))
    return FieldCondition(layout.metadata_path(key), range=RangeFloat(gte=float(value), lte=float(value)))
