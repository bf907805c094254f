"""Agents, and the knowledge bases that each may answer from."""

from sqlalchemy import Float, ForeignKeyConstraint, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import ID_LENGTH, Base, JsonObject, TenantOwned, TenantScoped, Timestamps
from app.models.knowledge import KnowledgeBase


class AgentKnowledgeBase(TenantScoped, Base):
    """That an agent may answer from a knowledge base."""

    __tablename__ = "agent_knowledge_bases"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "agent_id"], ["agents.tenant_id", "agents.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(
            ["tenant_id", "knowledge_base_id"], ["knowledge_bases.tenant_id", "knowledge_bases.id"], ondelete="CASCADE"
        ),
    )

    agent_id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    knowledge_base_id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)


class Agent(TenantOwned, Timestamps, Base):
    """How to answer: the instructions, the model, and where from. No knowledge base means all documents."""

    __tablename__ = "agents"
    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)

    name: Mapped[str] = mapped_column(String(200))
    slug: Mapped[str] = mapped_column(String(63))
    description: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(String(200))
    system_prompt: Mapped[str | None] = mapped_column(Text)
    temperature: Mapped[float | None] = mapped_column(Float)
    max_tokens: Mapped[int] = mapped_column(Integer, default=4096)
    retrieval: Mapped[JsonObject] = mapped_column(default=dict)
    fallback_models: Mapped[list[str]] = mapped_column(default=list)
    meta: Mapped[JsonObject] = mapped_column("metadata", default=dict)

    knowledge_bases: Mapped[list[KnowledgeBase]] = relationship(
        secondary="agent_knowledge_bases", lazy="raise", order_by="KnowledgeBase.id"
    )
