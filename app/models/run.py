"""Runs: one answer each, from the question to its last event."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import ID_LENGTH, Base, JsonObject, TenantOwned, Timestamps


class RunStatus(StrEnum):
    """A run ends exactly once, in one of the last three."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Run(TenantOwned, Timestamps, Base):
    """One answer. While in progress it is leased by a process; a lease that runs out closes it as failed."""

    __tablename__ = "runs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "conversation_id"], ["conversations.tenant_id", "conversations.id"], ondelete="CASCADE"
        ),
        Index("ix_runs_status_lease_until", "status", "lease_until"),
        Index("ix_runs_tenant_id_conversation_id", "tenant_id", "conversation_id"),
    )

    conversation_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    agent_id: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    message_id: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    model: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20), default=RunStatus.IN_PROGRESS)
    lease_until: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(100))
    error_message: Mapped[str | None] = mapped_column(Text)
    input_tokens: Mapped[int] = mapped_column(default=0)
    output_tokens: Mapped[int] = mapped_column(default=0)
    events: Mapped[list[JsonObject]] = mapped_column(default=list)
    finished_at: Mapped[datetime | None]
