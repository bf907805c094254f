"""Queries on tenants: by the platform across all of them, by a tenant on itself alone."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import Page, PageRequest
from app.models.tenant import Tenant
from app.repositories.base import keyset_page, not_found


class TenantsRepository:
    """The list of tenants. A tenant's own session sees its own row only; the system's session sees all."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, tenant_id: str) -> Tenant:
        """The tenant with this id; raises NotFound."""
        tenant = await self.find(tenant_id)
        if tenant is None:
            raise not_found("tenant")
        return tenant

    async def find(self, tenant_id: str) -> Tenant | None:
        """The tenant with this id, or None."""
        return await self.session.scalar(select(Tenant).where(Tenant.id == tenant_id))

    async def find_by_slug(self, slug: str) -> Tenant | None:
        """The tenant with this subdomain, or None."""
        return await self.session.scalar(select(Tenant).where(Tenant.slug == slug))

    async def first(self) -> Tenant | None:
        """The oldest tenant, or None where there is none yet."""
        return await self.session.scalar(select(Tenant).order_by(Tenant.id).limit(1))

    async def page(self, request: PageRequest) -> Page[Tenant]:
        """One keyset page of all tenants."""
        return await keyset_page(self.session, select(Tenant), Tenant.id, request)

    def add(self, tenant: Tenant) -> Tenant:
        """Add a new tenant."""
        self.session.add(tenant)
        return tenant

    async def remove(self, tenant: Tenant) -> None:
        """Delete a tenant's row; the database removes what hangs on it."""
        await self.session.delete(tenant)
