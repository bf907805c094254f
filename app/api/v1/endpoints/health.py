"""Health: whether every part works, whether the process lives, whether it should be sent requests."""

from fastapi import APIRouter, Request, Response

from app.api.deps import ApplicationDep
from app.api.errors import Responses
from app.schemas.health import HealthRead, LiveRead
from app.services.health import check

router = APIRouter(tags=["health"])
health_only = APIRouter(tags=["health"])

_DEGRADED: Responses = {
    503: {"model": HealthRead, "description": "A part does not work; `details` says which and how."}
}


# rule: allow route-without-access because load balancers have no credential
@health_only.get("/health", summary="Check every part", operation_id="get_health_v1", responses=_DEGRADED)
@router.get("/health", summary="Check every part", responses=_DEGRADED)
async def get_health(app: ApplicationDep, response: Response) -> HealthRead:
    """Each part is asked a real question just now; 503 when one does not answer."""
    health = await check(app.probes)
    response.status_code = 200 if health.status == "healthy" else 503
    return health


# rule: allow route-without-access because load balancers have no credential
@router.get("/health/live", summary="Check the process")
async def get_live() -> LiveRead:
    """The process runs and its event loop turns."""
    return LiveRead()


# rule: allow route-without-access because load balancers have no credential
@router.get("/health/ready", summary="Check readiness", responses=_DEGRADED)
async def get_ready(app: ApplicationDep, request: Request, response: Response) -> HealthRead:
    """Every part works, the schema is at head, and the process is not on its way out."""

    async def is_staying() -> bool:
        return not request.app.state.is_draining

    health = await check({**app.probes, "not_draining": is_staying})
    response.status_code = 200 if health.status == "healthy" else 503
    return health
