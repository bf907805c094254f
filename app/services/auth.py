"""Who is calling: a credential becomes a principal, once, and is remembered for a moment."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.core.cache import MomentaryCache
from app.core.clock import utc_now
from app.core.database import SYSTEM, Database
from app.core.errors import Forbidden, Unauthenticated
from app.core.security import (
    InvalidToken,
    Secrets,
    TokenClaims,
    TokenVerifier,
    api_key_digest,
    credential_fingerprint,
    is_same_secret,
    tenant_of_api_key,
)
from app.core.tenancy import SCOPES_OF_ROLE, Role, Scope, TenantContext
from app.models.api_key import ApiKey
from app.models.tenant import Tenant, TenantStatus
from app.repositories.api_keys import ApiKeysRepository
from app.repositories.tenants import TenantsRepository

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class TenantSnapshot:
    """A tenant as a request sees it."""

    id: str
    slug: str
    name: str
    system_prompt: str | None
    default_model: str | None


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. A platform admin has no tenant; everybody else has exactly one."""

    subject: str
    role: Role
    scopes: frozenset[Scope]
    tenant: TenantSnapshot | None

    def context(self, request_id: str) -> TenantContext:
        """The caller's context in its tenant; raises Forbidden for a platform admin, who reads no tenant's content."""
        if self.tenant is None:
            raise Forbidden(
                "A platform admin manages tenants and has no tenant of its own. Use a key of the tenant for this.",
                code="tenant_required",
            )
        return TenantContext(self.tenant.id, self.subject, self.role, self.scopes, request_id)


def invalid_credentials() -> Unauthenticated:
    """The one answer to every credential that is not good, whatever is wrong with it."""
    return Unauthenticated(
        "No valid credential. Send `Authorization: Bearer <API key or JWT>` or `x-api-key: <API key>`.",
        code="invalid_credentials",
    )


def invalid_tenant() -> Unauthenticated:
    """The one answer where a host or token names no active tenant, whether it is unknown or suspended."""
    return Unauthenticated(
        "There is no active tenant here. Check the subdomain, or the tenant that the credential was made for.",
        code="invalid_tenant",
    )


class Authenticator:
    """Verifies credentials. What it remembers is at most ``cache_seconds`` old, so that a revoked key dies soon."""

    def __init__(
        self,
        database: Database,
        secrets: Secrets,
        tokens: TokenVerifier,
        *,
        cache_seconds: float,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._tokens = tokens
        self._principals: MomentaryCache[bytes, Principal] = MomentaryCache(_REMEMBERED, cache_seconds, timer=timer)
        self._slugs: MomentaryCache[str, str | None] = MomentaryCache(_REMEMBERED, cache_seconds, timer=timer)

    async def authenticate(self, credential: str, slug: str | None) -> Principal:
        """The principal of a credential, at the host of a tenant or (None) at the house's own.

        Raises Unauthenticated for a bad credential or tenant, Forbidden where host and credential disagree.
        """
        fingerprint = credential_fingerprint(credential)
        principal = await self._principals.get(fingerprint, lambda: self._verify(credential))
        if slug is not None:
            await self._agree(principal, slug)
        return principal

    def forget(self) -> None:
        """Look everything up again: something that was remembered has changed."""
        self._principals.clear()
        self._slugs.clear()

    async def _agree(self, principal: Principal, slug: str) -> None:
        tenant_id = await self._slugs.get(slug, lambda: self._active_tenant_at(slug))
        if tenant_id is None:
            raise invalid_tenant()
        if principal.tenant is None or principal.tenant.id != tenant_id:
            raise Forbidden(
                "The credential belongs to another tenant than this host. Use the tenant's own subdomain, or none.",
                code="tenant_mismatch",
            )

    async def _active_tenant_at(self, slug: str) -> str | None:
        async with self._database.read(SYSTEM) as session:
            tenant = await TenantsRepository(session).find_by_slug(slug)
        return tenant.id if tenant and tenant.status == TenantStatus.ACTIVE else None

    async def _verify(self, credential: str) -> Principal:
        if is_same_secret(credential, self._secrets.platform_admin_key):
            return Principal("platform", Role.PLATFORM_ADMIN, frozenset(), None)
        tenant_id = tenant_of_api_key(credential)
        if tenant_id is not None:
            return await self._verify_api_key(credential, tenant_id)
        try:
            claims = self._tokens.verify(credential)
        except InvalidToken:
            raise invalid_credentials() from None
        return await self._principal_of_claims(claims)

    async def _verify_api_key(self, text: str, tenant_id: str) -> Principal:
        context = TenantContext(tenant_id, "authenticator", Role.SYSTEM, frozenset(), "")
        async with self._database.read(tenant_id) as session:
            found = await ApiKeysRepository(session, context).find_with_tenant(
                api_key_digest(text, self._secrets.api_key_pepper)
            )
        if found is None or not _is_usable(found[0]):
            raise invalid_credentials()
        key, tenant = found[0], found[1]
        if tenant.status != TenantStatus.ACTIVE:
            raise invalid_tenant()
        role = Role(key.role)
        scopes = SCOPES_OF_ROLE[role] if key.scopes is None else SCOPES_OF_ROLE[role] & set(map(Scope, key.scopes))
        return Principal(key.id, role, scopes, snapshot(tenant))

    async def _principal_of_claims(self, claims: TokenClaims) -> Principal:
        try:
            role = Role(claims.role)
        except ValueError:
            raise invalid_credentials() from None
        subject = f"token:{claims.subject}"  # never the id of an API key, whatever the issuer wrote
        if role is Role.PLATFORM_ADMIN and claims.tenant_id is None:
            return Principal(subject, role, frozenset(), None)
        if claims.tenant_id is None or role in (Role.PLATFORM_ADMIN, Role.SYSTEM):
            raise invalid_credentials()
        async with self._database.read(claims.tenant_id) as session:
            tenant = await TenantsRepository(session).find(claims.tenant_id)
        if tenant is None or tenant.status != TenantStatus.ACTIVE:
            raise invalid_tenant()
        return Principal(subject, role, SCOPES_OF_ROLE[role], snapshot(tenant))


def _is_usable(key: ApiKey) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > utc_now())


def snapshot(tenant: Tenant) -> TenantSnapshot:
    """A tenant's row without the session."""
    return TenantSnapshot(tenant.id, tenant.slug, tenant.name, tenant.system_prompt, tenant.default_model)
