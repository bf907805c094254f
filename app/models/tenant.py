"""A tenant: a customer of whoever runs the house."""

from enum import StrEnum

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import ID_LENGTH, Base, Timestamps


class TenantStatus(StrEnum):
    """A suspended tenant keeps its data and is refused at the door."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Tenant(Timestamps, Base):
    """One household: its name, its subdomain, and what its agents fall back to."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20), default=TenantStatus.ACTIVE)
    system_prompt: Mapped[str | None] = mapped_column(Text)
    default_model: Mapped[str | None] = mapped_column(String(200))
