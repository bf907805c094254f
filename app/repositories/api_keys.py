"""Queries on API keys."""

from sqlalchemy.engine import Row

from app.models.api_key import ApiKey
from app.models.tenant import Tenant
from app.repositories.base import TenantRepository


class ApiKeysRepository(TenantRepository[ApiKey]):
    """The keys of one tenant."""

    model = ApiKey
    noun = "API key"

    async def find_with_tenant(self, digest: str) -> Row[ApiKey, Tenant] | None:
        """The key with this digest and its tenant, in one statement."""
        statement = (
            self.scoped().add_columns(Tenant).join(Tenant, Tenant.id == ApiKey.tenant_id).where(ApiKey.digest == digest)
        )
        row: Row[ApiKey, Tenant] | None = (await self.session.execute(statement)).first()
        return row
