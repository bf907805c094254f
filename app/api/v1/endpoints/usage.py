"""Usage: what the tenant used."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.api.access import TenantAdmin
from app.api.deps import UsageReading
from app.api.errors import errors
from app.core.clock import utc_now
from app.schemas.base import Moment
from app.schemas.usage import UsageReport

router = APIRouter(prefix="/usage", tags=["usage"])


@router.get("", summary="Report usage", responses=errors())
async def report_usage(
    _: TenantAdmin,
    usage: UsageReading,
    since: Annotated[Moment | None, Query(description="30 days before `until` when unset.")] = None,
    until: Annotated[Moment | None, Query(description="Now when unset.")] = None,
) -> UsageReport:
    """Tokens by kind and model over `[since, until)`, as the vendors count them."""
    end = until or utc_now()
    start = since or end - timedelta(days=30)
    return UsageReport(since=start, until=end, data=await usage.report(start, end))
