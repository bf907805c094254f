"""Agents on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from app.models.agent import Agent
from app.schemas.base import (
    InputSchema,
    LongText,
    MaxTokens,
    Metadata,
    ModelName,
    Name,
    OutputSchema,
    Slug,
    Temperature,
    example,
    read_columns,
    refuse_null,
)

KnowledgeBaseIds = Annotated[
    list[str], Field(max_length=100, description="Where answers may come from; empty is all of the tenant's documents.")
]
FallbackModels = Annotated[list[ModelName], Field(max_length=5, description="Asked in turn when the model is down.")]


class RetrievalSettings(InputSchema):
    """How an agent looks things up before it answers."""

    mode: Literal["always", "off"] = Field("always", description="`off` answers from the model alone.")
    top_k: int = Field(6, ge=1, le=50, description="Passages that the model reads.")
    search: Literal["hybrid", "dense", "sparse"] = Field("hybrid", description="How passages are found.")


class AgentCreate(InputSchema):
    """A new agent."""

    model_config = example(
        {"name": "Support", "system_prompt": "You answer customers of Tern Bicycles, briefly and kindly."}
    )

    name: Name = Field(examples=["Support"])
    slug: Slug | None = Field(None, description="Made from the name when unset.", examples=["support"])
    description: LongText | None = None
    model: ModelName | None = Field(None, description="The tenant's default model when unset.")
    system_prompt: LongText | None = Field(
        None, examples=["You answer customers of Tern Bicycles, briefly and kindly."]
    )
    temperature: Temperature | None = None
    max_tokens: MaxTokens = 4096
    knowledge_base_ids: KnowledgeBaseIds = Field(default_factory=list)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
    fallback_models: FallbackModels = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)


class AgentUpdate(InputSchema):
    """What to change; what is left out stays."""

    model_config = example({"temperature": 0.2, "retrieval": {"mode": "always", "top_k": 8}})

    name: Name | None = None
    slug: Slug | None = None
    description: LongText | None = None
    model: ModelName | None = None
    system_prompt: LongText | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    knowledge_base_ids: KnowledgeBaseIds | None = None
    retrieval: RetrievalSettings | None = None
    fallback_models: FallbackModels | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _keep_what_must_be_set(self) -> "AgentUpdate":
        refuse_null(
            self, "name", "slug", "max_tokens", "knowledge_base_ids", "retrieval", "fallback_models", "metadata"
        )
        return self


class AgentRead(OutputSchema):
    """An agent."""

    object: Literal["agent"] = "agent"
    id: str
    name: str
    slug: str
    description: str | None
    model: str | None
    system_prompt: str | None
    temperature: float | None
    max_tokens: int
    knowledge_base_ids: list[str]
    retrieval: RetrievalSettings
    fallback_models: list[str]
    metadata: Metadata
    created_at: datetime
    updated_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, value: Any) -> Any:
        if not isinstance(value, Agent):
            return value
        bases = [base.id for base in value.knowledge_bases]
        return read_columns(cls, value, metadata=value.meta, knowledge_base_ids=bases)
