"""Answers to creating requests, kept so that a repeated request gets the first answer again."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import utc_now
from app.models.base import ID_LENGTH, Base, TenantOwned


class IdempotencyRecord(TenantOwned, Base):
    """What one ``Idempotency-Key`` was used for; without an answer the request is under way for as long as its lease.

    The tenant is no foreign key: the operator's own requests are kept under a name that is no tenant's, and whatever a
    deleted tenant leaves is gone within a day and sealed until then.
    """

    __tablename__ = "idempotency_records"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key_digest"),
        Index("ix_idempotency_records_created_at", "created_at"),
    )

    tenant_id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, sort_order=-20)
    key_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    request_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    lease_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
