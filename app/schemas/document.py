"""Documents on the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from app.models.document import Chunk, Document
from app.schemas.base import InputSchema, Metadata, OutputSchema, read_columns


class LastError(OutputSchema):
    """Why the newest attempt failed."""

    code: str
    message: str


class DocumentRead(OutputSchema):
    """A document and how far its processing is."""

    object: Literal["document"] = "document"
    id: str
    knowledge_base_id: str
    name: str
    title: str | None
    content_type: str
    bytes: int
    content_hash: str = Field(description="SHA-256 of the original bytes, in hex.")
    metadata: dict[str, Any]
    status: Literal["processing", "ready", "failed", "deleting"]
    stage: str = Field(description="`queued`, `parsing`, `chunking`, `embedding`, `storing`, `done` or `failed`.")
    progress: float = Field(description="From 0 to 1.")
    attempts: int
    last_error: LastError | None
    chunk_count: int
    page_count: int | None
    created_at: datetime
    updated_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, value: Any) -> Any:
        if not isinstance(value, Document):
            return value
        error = {"code": value.error_code, "message": value.error_message} if value.error_code else None
        return read_columns(cls, value, metadata=value.meta, last_error=error)


class DocumentAccepted(DocumentRead):
    """A document that was accepted: its bytes are safe, its processing has been recorded."""


class ChunkRead(OutputSchema):
    """A chunk: the unit that is searched and cited."""

    object: Literal["chunk"] = "chunk"
    id: str
    document_id: str
    ordinal: int
    text: str
    page: int | None
    start: int
    end: int
    headings: list[str]

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, value: Any) -> Any:
        if not isinstance(value, Chunk):
            return value
        return read_columns(cls, value)


class UploadFields(InputSchema):
    """The text fields of an upload."""

    knowledge_base_id: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class DocumentFilter(InputSchema):
    """Which documents to list."""

    status: Literal["processing", "ready", "failed"] | None = None
    knowledge_base_id: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class ReplayedRead(OutputSchema):
    """How many failed documents are processed again."""

    object: Literal["document.replay"] = "document.replay"
    replayed: int
