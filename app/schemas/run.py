"""Runs on the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import model_validator

from app.models.run import Run
from app.schemas.base import OutputSchema, read_columns
from app.schemas.chat import UsageRead
from app.schemas.document import LastError


class RunRead(OutputSchema):
    """One answer: where it stands, and what it cost."""

    object: Literal["run"] = "run"
    id: str
    conversation_id: str
    agent_id: str | None
    message_id: str | None
    model: str
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    error: LastError | None
    usage: UsageRead
    created_at: datetime
    finished_at: datetime | None

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, value: Any) -> Any:
        if not isinstance(value, Run):
            return value
        error = {"code": value.error_code, "message": value.error_message} if value.error_code else None
        usage = {"input_tokens": value.input_tokens, "output_tokens": value.output_tokens}
        return read_columns(cls, value, error=error, usage=usage)
