"""The table of contents of version 1."""

from fastapi import APIRouter, Security
from fastapi.security import HTTPBearer

from app.api.v1.endpoints import (
    agents,
    api_keys,
    chat,
    conversations,
    documents,
    health,
    knowledge,
    runs,
    tenants,
    usage,
)

#: For the OpenAPI document alone, so that its page can ask for a key; the middleware is what verifies.
_BEARER = HTTPBearer(auto_error=False, description="An API key or a JWT.")

router = APIRouter(prefix="/api/v1", dependencies=[Security(_BEARER)])
router.include_router(chat.router)
router.include_router(documents.router)
router.include_router(knowledge.router)
router.include_router(agents.router)
router.include_router(conversations.router)
router.include_router(runs.router)
router.include_router(api_keys.router)
router.include_router(tenants.router)
router.include_router(usage.router)
router.include_router(health.health_only)
