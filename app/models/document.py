"""Documents and the chunks that they were cut into."""

from enum import StrEnum

from sqlalchemy import BigInteger, Float, ForeignKeyConstraint, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import ID_LENGTH, Base, JsonObject, TenantOwned, Timestamps


class DocumentStatus(StrEnum):
    """``deleting`` is invisible from the moment the row says so; the rest is tidied up behind it."""

    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


class Document(TenantOwned, Timestamps, Base):
    """A file that was accepted. ``generation`` is the version that answers may use; 0 means none yet."""

    __tablename__ = "documents"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "knowledge_base_id"], ["knowledge_bases.tenant_id", "knowledge_bases.id"], ondelete="CASCADE"
        ),
        Index("ix_documents_tenant_id_knowledge_base_id", "tenant_id", "knowledge_base_id"),
        Index("ix_documents_tenant_id_status", "tenant_id", "status"),
    )

    knowledge_base_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    name: Mapped[str] = mapped_column(String(500))
    title: Mapped[str | None] = mapped_column(String(500))
    content_type: Mapped[str] = mapped_column(String(200))
    bytes: Mapped[int] = mapped_column(BigInteger)
    content_hash: Mapped[str] = mapped_column(String(64))
    meta: Mapped[JsonObject] = mapped_column("metadata", default=dict)
    status: Mapped[str] = mapped_column(String(20), default=DocumentStatus.PROCESSING)
    stage: Mapped[str] = mapped_column(String(20), default="queued")
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error_code: Mapped[str | None] = mapped_column(String(100))
    error_message: Mapped[str | None] = mapped_column(Text)
    generation: Mapped[int] = mapped_column(Integer, default=0)
    chunk_count: Mapped[int] = mapped_column(Integer, default=0)
    page_count: Mapped[int | None] = mapped_column(Integer)


class Chunk(TenantOwned, Base):
    """A piece of one version of a document: ``[start, end)`` in code points of the document's text."""

    __tablename__ = "chunks"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "document_id"], ["documents.tenant_id", "documents.id"], ondelete="CASCADE"),
        Index(
            "ix_chunks_tenant_id_document_id_generation_ordinal",
            "tenant_id",
            "document_id",
            "generation",
            "ordinal",
            unique=True,
        ),
    )

    document_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    generation: Mapped[int] = mapped_column(Integer)
    ordinal: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)
    start: Mapped[int] = mapped_column(Integer)
    end: Mapped[int] = mapped_column(Integer)
    page: Mapped[int | None] = mapped_column(Integer)
    headings: Mapped[list[str]] = mapped_column(default=list)
