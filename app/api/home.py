"""The root page: says what answers here and where to read on."""

from fastapi import APIRouter

from app.schemas.health import HomeRead

router = APIRouter(include_in_schema=False)


# rule: allow route-without-access because it says nothing of any tenant
@router.get("/")
async def get_home() -> HomeRead:
    """What this is."""
    return HomeRead()
