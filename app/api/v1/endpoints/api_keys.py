"""API keys: credentials for a tenant's programs."""

from fastapi import APIRouter

from app.api.access import TenantAdmin
from app.api.bodies import StrictJsonRoute
from app.api.deps import ApiKeysReading, ApiKeysServiceDep, PageDep
from app.api.errors import errors
from app.schemas.api_key import ApiKeyCreate, ApiKeyIssued, ApiKeyRead
from app.schemas.base import PageOf, page_of

router = APIRouter(prefix="/api-keys", tags=["api keys"], route_class=StrictJsonRoute)


@router.post("", status_code=201, summary="Create an API key", responses=errors(409, 413))
async def create_api_key(_: TenantAdmin, keys: ApiKeysServiceDep, wanted: ApiKeyCreate) -> ApiKeyIssued:
    """The secret is in `key`, this once. A key can be given no more than the key that makes it has."""
    key, secret = await keys.create(wanted)
    return ApiKeyIssued(**ApiKeyRead.model_validate(key).model_dump(), key=secret)


@router.get("", summary="List API keys", responses=errors())
async def list_api_keys(_: TenantAdmin, keys: ApiKeysReading, page: PageDep) -> PageOf[ApiKeyRead]:
    """Without their secrets; revoked ones among them."""
    return page_of(ApiKeyRead, await keys.list(page))


@router.get("/{key_id}", summary="Get an API key", responses=errors(404))
async def get_api_key(_: TenantAdmin, keys: ApiKeysReading, key_id: str) -> ApiKeyRead:
    """Without its secret."""
    return ApiKeyRead.model_validate(await keys.get(key_id))


@router.delete("/{key_id}", summary="Revoke an API key", responses=errors(404))
async def revoke_api_key(_: TenantAdmin, keys: ApiKeysServiceDep, key_id: str) -> ApiKeyRead:
    """It is refused from now on, and stays in the list."""
    return ApiKeyRead.model_validate(await keys.revoke(key_id))
