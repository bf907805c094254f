"""What was used: append-only, one row for each thing that is billed once."""

from datetime import datetime

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import utc_now
from app.models.base import ID_LENGTH, Base, TenantOwned


class UsageEvent(TenantOwned, Base):
    """Tokens of one run, or of one document's embedding; ``subject_id`` with ``kind`` can be recorded only once."""

    __tablename__ = "usage_events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_id", "kind"),
        Index("ix_usage_events_tenant_id_created_at", "tenant_id", "created_at"),
    )

    kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[str] = mapped_column(String(ID_LENGTH + 20))
    model: Mapped[str] = mapped_column(String(200))
    input_tokens: Mapped[int]
    output_tokens: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
