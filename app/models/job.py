"""Jobs: accepted background work. The row is the truth; a message in the broker is only a hint."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import utc_now
from app.models.base import ID_LENGTH, Base, TenantOwned, Timestamps


class JobState(StrEnum):
    """``sent`` means that the broker was told; it proves nothing, and is taken back after a while."""

    QUEUED = "queued"
    SENT = "sent"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Job(TenantOwned, Timestamps, Base):
    """One piece of work on one subject. ``fencing_token`` grows with every claim: older holders are refused."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state_next_attempt_at", "state", "next_attempt_at"),
        Index("ix_jobs_tenant_id_subject_id", "tenant_id", "subject_id"),
    )

    kind: Mapped[str] = mapped_column(String(50))
    subject_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    state: Mapped[str] = mapped_column(String(20), default=JobState.QUEUED)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    fencing_token: Mapped[int] = mapped_column(Integer, default=0)
    lease_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime] = mapped_column(default=utc_now)
    error_code: Mapped[str | None] = mapped_column(String(100))
    error_message: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None]
