"""Health on the wire."""

from typing import Literal

from app.schemas.base import OutputSchema


class HealthRead(OutputSchema):
    """Whether each part answered a real request just now."""

    status: Literal["healthy", "degraded"]
    checks: dict[str, bool]
    details: dict[str, str]


class LiveRead(OutputSchema):
    """That the process runs."""

    status: Literal["alive"] = "alive"


class HomeRead(OutputSchema):
    """What answers at the root."""

    name: Literal["Insula"] = "Insula"
    docs: Literal["/docs"] = "/docs"
    health: Literal["/health"] = "/health"
