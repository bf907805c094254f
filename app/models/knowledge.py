"""Knowledge bases: named sets of a tenant's documents."""

from sqlalchemy import Boolean, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, JsonObject, TenantOwned, Timestamps


class KnowledgeBase(TenantOwned, Timestamps, Base):
    """A set of documents that agents can be given."""

    __tablename__ = "knowledge_bases"

    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    settings: Mapped[JsonObject] = mapped_column(default=dict)
    is_default: Mapped[bool] = mapped_column(Boolean, default=False)
