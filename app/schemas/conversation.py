"""Conversations on the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from app.models.conversation import Conversation
from app.schemas.base import InputSchema, Metadata, Name, OutputSchema, example, read_columns, refuse_null
from app.schemas.chat import CitationRead


class ConversationCreate(InputSchema):
    """A new, empty conversation."""

    model_config = example({"title": "Warranty", "metadata": {"customer": "4711"}})

    agent_id: str | None = None
    title: Name | None = None
    metadata: Metadata = Field(default_factory=dict)


class ConversationUpdate(InputSchema):
    """What to change; what is left out stays."""

    model_config = example({"title": "Warranty of a battery"})

    title: Name | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _keep_what_must_be_set(self) -> "ConversationUpdate":
        refuse_null(self, "metadata")
        return self


class ConversationRead(OutputSchema):
    """A conversation."""

    object: Literal["conversation"] = "conversation"
    id: str
    agent_id: str | None
    title: str | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, value: Any) -> Any:
        if not isinstance(value, Conversation):
            return value
        return read_columns(cls, value, metadata=value.meta)


class MessageRead(OutputSchema):
    """One turn of a conversation."""

    object: Literal["message"] = "message"
    id: str
    conversation_id: str
    run_id: str | None
    role: Literal["user", "assistant", "system"]
    content: str
    citations: list[CitationRead]
    status: Literal["completed", "incomplete"]
    created_at: datetime
