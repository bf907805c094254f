"""API keys: only a keyed hash is kept."""

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.tenancy import Role
from app.models.base import Base, TenantOwned, Timestamps


class ApiKey(TenantOwned, Timestamps, Base):
    """A credential of a tenant's program. ``scopes`` None means all that the role implies."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"),)

    name: Mapped[str] = mapped_column(String(200))
    hint: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(20), default=Role.MEMBER)
    scopes: Mapped[list[str] | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
