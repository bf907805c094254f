"""Usage on the wire."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.base import OutputSchema


class UsageRow(OutputSchema):
    """What one model was used for."""

    kind: str = Field(description="`chat` or `embedding`.")
    model: str
    events: int
    input_tokens: int
    output_tokens: int


class UsageReport(OutputSchema):
    """Usage of the tenant over `[since, until)`."""

    object: Literal["usage_report"] = "usage_report"
    since: datetime
    until: datetime
    data: list[UsageRow]
