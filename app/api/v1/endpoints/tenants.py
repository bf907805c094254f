"""Tenants: made by the platform's operator; and each tenant's own page."""

from fastapi import APIRouter

from app.api.access import PlatformAdmin, TenantAdmin, TenantCaller
from app.api.bodies import StrictJsonRoute
from app.api.deps import ApplicationDep, OwnTenantReading, OwnTenantServiceDep, PageDep
from app.api.errors import errors
from app.schemas.api_key import ApiKeyCreate, ApiKeyIssued, ApiKeyRead
from app.schemas.base import PageOf, page_of
from app.schemas.tenant import TenantCreate, TenantCreated, TenantRead, TenantStatus, TenantUpdate

router = APIRouter(tags=["tenants"], route_class=StrictJsonRoute)


@router.get("/tenant", summary="Get your tenant", responses=errors())
async def get_own_tenant(_: TenantCaller, tenants: OwnTenantReading) -> TenantRead:
    """The tenant that the credential belongs to."""
    return TenantRead.model_validate(await tenants.get())


@router.patch("/tenant", summary="Change your tenant", responses=errors(413))
async def update_own_tenant(_: TenantAdmin, tenants: OwnTenantServiceDep, changes: TenantUpdate) -> TenantRead:
    """Its name, and the system prompt and model of answers that name no agent."""
    return TenantRead.model_validate(await tenants.update(changes))


@router.post("/tenants", status_code=201, summary="Create a tenant", responses=errors(409, 413))
async def create_tenant(_: PlatformAdmin, app: ApplicationDep, wanted: TenantCreate) -> TenantCreated:
    """With its first owner key, whose secret is shown this once."""
    tenant, key, secret = await app.tenants.create(wanted)
    issued = ApiKeyIssued(**ApiKeyRead.model_validate(key).model_dump(), key=secret)
    return TenantCreated(**TenantRead.model_validate(tenant).model_dump(), api_key=issued)


@router.get("/tenants", summary="List tenants", responses=errors())
async def list_tenants(_: PlatformAdmin, app: ApplicationDep, page: PageDep) -> PageOf[TenantRead]:
    """For the platform's operator, who reads none of their content."""
    return page_of(TenantRead, await app.tenants.list(page))


@router.get("/tenants/{tenant_id}", summary="Get a tenant", responses=errors(404))
async def get_tenant(_: PlatformAdmin, app: ApplicationDep, tenant_id: str) -> TenantRead:
    """By id."""
    return TenantRead.model_validate(await app.tenants.get(tenant_id))


@router.post("/tenants/{tenant_id}/suspend", summary="Suspend a tenant", responses=errors(404, 409))
async def suspend_tenant(_: PlatformAdmin, app: ApplicationDep, tenant_id: str) -> TenantRead:
    """Its credentials are refused from now on, and answers under way are stopped; its data stays."""
    tenant = await app.tenants.set_status(tenant_id, TenantStatus.SUSPENDED)
    app.authenticator.forget()
    app.supervisor.stop_tenant(tenant_id)
    return TenantRead.model_validate(tenant)


@router.post("/tenants/{tenant_id}/resume", summary="Resume a tenant", responses=errors(404, 409))
async def resume_tenant(_: PlatformAdmin, app: ApplicationDep, tenant_id: str) -> TenantRead:
    """Its credentials are good again."""
    tenant = await app.tenants.set_status(tenant_id, TenantStatus.ACTIVE)
    app.authenticator.forget()
    return TenantRead.model_validate(tenant)


@router.post(
    "/tenants/{tenant_id}/api-keys", status_code=201, summary="Create a tenant's key", responses=errors(404, 409, 413)
)
async def create_tenant_key(
    _: PlatformAdmin, app: ApplicationDep, tenant_id: str, wanted: ApiKeyCreate
) -> ApiKeyIssued:
    """For a customer who is locked out. The secret is in `key`, this once."""
    key, secret = await app.tenants.create_key(tenant_id, wanted)
    return ApiKeyIssued(**ApiKeyRead.model_validate(key).model_dump(), key=secret)
