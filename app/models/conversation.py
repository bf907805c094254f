"""Conversations and their messages."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import utc_now
from app.models.base import ID_LENGTH, Base, JsonObject, TenantOwned, Timestamps


class MessageStatus(StrEnum):
    """Whether a message is whole; a cut or cancelled answer keeps what was said."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class Conversation(TenantOwned, Timestamps, Base):
    """A thread of messages. The agent may be deleted later, so it is remembered by id only."""

    __tablename__ = "conversations"

    agent_id: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    title: Mapped[str | None] = mapped_column(String(200))
    meta: Mapped[JsonObject] = mapped_column("metadata", default=dict)


class Message(TenantOwned, Base):
    """One turn. ``citations`` are as they were sent, so that an old answer still shows what it relied on."""

    __tablename__ = "messages"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "conversation_id"], ["conversations.tenant_id", "conversations.id"], ondelete="CASCADE"
        ),
        Index("ix_messages_tenant_id_conversation_id", "tenant_id", "conversation_id", "id"),
    )

    conversation_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    run_id: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    role: Mapped[str] = mapped_column(String(20))
    content: Mapped[str] = mapped_column(Text)
    citations: Mapped[list[JsonObject]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(String(20), default=MessageStatus.COMPLETED)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
