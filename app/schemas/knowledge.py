"""Knowledge bases and search on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from app.schemas.base import (
    InputSchema,
    LongText,
    MetadataKey,
    MetadataValue,
    Name,
    OutputSchema,
    Text,
    example,
    refuse_null,
)


class KnowledgeBaseCreate(InputSchema):
    """A new knowledge base."""

    model_config = example({"name": "Handbook", "description": "What our customers may know."})

    name: Name = Field(examples=["Handbook"])
    description: LongText | None = None
    settings: dict[str, Any] = Field(default_factory=dict, max_length=0, description="Reserved; must be empty.")


class KnowledgeBaseUpdate(InputSchema):
    """What to change; what is left out stays."""

    model_config = example({"name": "Handbook 2026"})

    name: Name | None = None
    description: LongText | None = None

    @model_validator(mode="after")
    def _keep_what_must_be_set(self) -> "KnowledgeBaseUpdate":
        refuse_null(self, "name")
        return self


class KnowledgeBaseRead(OutputSchema):
    """A knowledge base."""

    object: Literal["knowledge_base"] = "knowledge_base"
    id: str
    name: str
    description: str | None
    settings: dict[str, Any]
    is_default: bool = Field(description="Whether documents go here that name no knowledge base.")
    created_at: datetime
    updated_at: datetime


class RangeFilter(InputSchema):
    """Bounds on a number."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


FilterValue = Annotated[
    RangeFilter | Annotated[list[MetadataValue], Field(max_length=100)] | MetadataValue,
    Field(description="A value, a list of values of which one must match, or bounds on a number."),
]
Question = Annotated[Text, StringConstraints(min_length=1, max_length=8000)]


class SearchRequest(InputSchema):
    """A search of the tenant's documents."""

    model_config = example({"query": "How long is the warranty?", "top_k": 5, "filters": {"year": {"gte": 2025}}})

    query: Question = Field(examples=["How long is the warranty?"])
    knowledge_base_ids: list[str] | None = Field(None, max_length=100, description="Unset is all of them.")
    document_ids: list[str] | None = Field(None, max_length=1000, description="Unset is all of them.")
    filters: dict[MetadataKey, FilterValue] = Field(
        default_factory=dict, max_length=20, examples=[{"year": {"gte": 2025}}]
    )
    top_k: int = Field(10, ge=1, le=100)
    mode: Literal["hybrid", "dense", "sparse"] = "hybrid"


class SearchHit(OutputSchema):
    """A passage that was found; ranks are public, similarity scores are not."""

    rank: int
    chunk_id: str
    document_id: str
    title: str
    text: str
    page: int | None
    start: int = Field(description="First code point of the passage in the document's text.")
    end: int = Field(description="One past the last code point.")
    headings: list[str]


class SearchResponse(OutputSchema):
    """Passages, best first."""

    object: Literal["list"] = "list"
    data: list[SearchHit]
