"""Tenants: made by the platform, changed by themselves."""

from app.core.clock import utc_now
from app.core.database import SYSTEM, Database, ReadSession, WriteSession
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.pagination import Page, PageRequest
from app.core.tenancy import SCOPES_OF_ROLE, Role, TenantContext
from app.models.api_key import ApiKey
from app.models.knowledge import KnowledgeBase
from app.models.tenant import Tenant, TenantStatus
from app.repositories.knowledge import KnowledgeRepository
from app.repositories.tenants import TenantsRepository
from app.schemas.api_key import ApiKeyCreate
from app.schemas.tenant import TenantCreate, TenantUpdate
from app.services.api_keys import ApiKeysService


def tenant_is_being_made(tenant_id: str) -> TenantContext:
    """The context in which a new tenant's first rows are written."""
    return TenantContext(tenant_id, "platform", Role.SYSTEM, SCOPES_OF_ROLE[Role.SYSTEM], tenant_id)


class TenantsService:
    """The platform's view: which tenants there are. It reads none of their content."""

    def __init__(self, database: Database, pepper: bytes) -> None:
        self._database = database
        self._pepper = pepper

    async def list(self, page: PageRequest) -> Page[Tenant]:
        """One page of all tenants."""
        async with self._database.read(SYSTEM) as session:
            return await TenantsRepository(session).page(page)

    async def get(self, tenant_id: str) -> Tenant:
        """A tenant; raises NotFound."""
        async with self._database.read(SYSTEM) as session:
            return await TenantsRepository(session).get(tenant_id)

    async def find_by_slug(self, slug: str) -> Tenant | None:
        """The tenant with this subdomain, or None."""
        async with self._database.read(SYSTEM) as session:
            return await TenantsRepository(session).find_by_slug(slug)

    async def first(self) -> Tenant | None:
        """The oldest tenant, or None."""
        async with self._database.read(SYSTEM) as session:
            return await TenantsRepository(session).first()

    async def create(self, wanted: TenantCreate) -> tuple[Tenant, ApiKey, str]:
        """A tenant with its default knowledge base, its first owner key, and that key's secret; raises Conflict."""
        tenant = Tenant(
            id=new_id("tnt"),
            slug=wanted.slug,
            name=wanted.name,
            status=TenantStatus.ACTIVE,
            system_prompt=wanted.system_prompt,
            default_model=wanted.default_model,
        )
        if await self.find_by_slug(wanted.slug):
            raise Conflict(f"The slug `{wanted.slug}` is taken. Choose another.", code="slug_taken", param="slug")
        context = tenant_is_being_made(tenant.id)
        async with self._database.write(tenant.id) as session:
            TenantsRepository(session).add(tenant)
            await session.flush()
            KnowledgeRepository(session, context).add(default_knowledge_base(tenant.id))
            first_key = ApiKeyCreate(name="first owner key", role=Role.OWNER)
            key, secret = await ApiKeysService(session, context, self._pepper).create(first_key)
        return tenant, key, secret

    async def set_status(self, tenant_id: str, status: TenantStatus) -> Tenant:
        """Suspend or resume a tenant; raises NotFound."""
        async with self._database.write(SYSTEM) as session:
            tenant = await TenantsRepository(session).get(tenant_id)
            tenant.status = status
            tenant.updated_at = utc_now()
        return tenant

    async def create_key(self, tenant_id: str, wanted: ApiKeyCreate) -> tuple[ApiKey, str]:
        """A further key of a tenant, for an operator who locked a customer out; raises NotFound."""
        await self.get(tenant_id)
        async with self._database.write(tenant_id) as session:
            return await ApiKeysService(session, tenant_is_being_made(tenant_id), self._pepper).create(wanted)

    async def revoke_key(self, tenant_id: str, key_id: str) -> ApiKey:
        """Make a key of a tenant useless; raises NotFound."""
        await self.get(tenant_id)
        async with self._database.write(tenant_id) as session:
            return await ApiKeysService(session, tenant_is_being_made(tenant_id), self._pepper).revoke(key_id)


def default_knowledge_base(tenant_id: str) -> KnowledgeBase:
    """The base that documents go to where none is named."""
    return KnowledgeBase(
        tenant_id=tenant_id, id=new_id("kb"), name="Documents", is_default=True, description=None, settings={}
    )


class OwnTenantService:
    """A tenant's view of itself."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None:
        self._context = context
        self._tenants = TenantsRepository(session)

    async def get(self) -> Tenant:
        """The caller's tenant."""
        return await self._tenants.get(self._context.tenant_id)

    async def update(self, changes: TenantUpdate) -> Tenant:
        """Change what was sent; what was left out stays."""
        tenant = await self.get()
        for name, value in changes.model_dump(exclude_unset=True).items():
            setattr(tenant, name, value)
        return tenant
