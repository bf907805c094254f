"""Who acts, and for which tenant: made once from verified credentials, then passed to everything that touches data."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a principal may do within a tenant; ``platform_admin`` manages tenants and reads no tenant's content."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"
    PLATFORM_ADMIN = "platform_admin"
    SYSTEM = "system"


class Scope(StrEnum):
    """What an API key may do; a role implies a set of them."""

    CHAT = "chat"
    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    AGENTS_WRITE = "agents:write"
    ADMIN = "admin"


_READ = frozenset({Scope.CHAT, Scope.DOCUMENTS_READ})
_WRITE = _READ | {Scope.DOCUMENTS_WRITE, Scope.AGENTS_WRITE}
SCOPES_OF_ROLE: dict[Role, frozenset[Scope]] = {
    Role.OWNER: _WRITE | {Scope.ADMIN},
    Role.ADMIN: _WRITE | {Scope.ADMIN},
    Role.MEMBER: _WRITE,
    Role.VIEWER: _READ,
    Role.PLATFORM_ADMIN: frozenset(),
    Role.SYSTEM: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class TenantContext:
    """The tenant on whose behalf code runs. There is no query, search, file or task without one."""

    tenant_id: str
    subject: str
    role: Role
    scopes: frozenset[Scope]
    request_id: str

    @classmethod
    def for_job(cls, tenant_id: str, job_id: str) -> "TenantContext":
        """The context of a worker, rebuilt from the job's row (never from the message)."""
        return cls(tenant_id, job_id, Role.SYSTEM, SCOPES_OF_ROLE[Role.SYSTEM], job_id)

    def has_scope(self, scope: Scope) -> bool:
        """Whether the principal may do what the scope names."""
        return scope in self.scopes
