"""API keys: made, listed, revoked."""

from app.core.clock import utc_now
from app.core.database import ReadSession, WriteSession
from app.core.errors import Forbidden
from app.core.ids import new_id
from app.core.pagination import Page, PageRequest
from app.core.security import mint_api_key
from app.core.tenancy import SCOPES_OF_ROLE, Role, TenantContext
from app.models.api_key import ApiKey
from app.repositories.api_keys import ApiKeysRepository
from app.schemas.api_key import ApiKeyCreate


class ApiKeysService:
    """The API keys of one tenant."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext, pepper: bytes) -> None:
        self._context = context
        self._pepper = pepper
        self._keys = ApiKeysRepository(session, context)

    async def list(self, page: PageRequest) -> Page[ApiKey]:
        """One page of the keys, revoked ones among them."""
        return await self._keys.page(page)

    async def get(self, key_id: str) -> ApiKey:
        """A key; raises NotFound."""
        return await self._keys.get(key_id)

    async def create(self, wanted: ApiKeyCreate) -> tuple[ApiKey, str]:
        """A new key and its secret, which is not kept; raises Forbidden where it would exceed or outlive its maker."""
        self._refuse_excess(wanted)
        await self._refuse_outliving(wanted)
        minted = mint_api_key(self._context.tenant_id, self._pepper)
        key = ApiKey(
            tenant_id=self._context.tenant_id,
            id=new_id("key"),
            name=wanted.name,
            hint=minted.hint,
            digest=minted.digest,
            role=wanted.role,
            scopes=None if wanted.scopes is None else [scope.value for scope in wanted.scopes],
            expires_at=wanted.expires_at,
            created_at=utc_now(),
        )
        return self._keys.add(key), minted.text

    async def revoke(self, key_id: str) -> ApiKey:
        """Make a key useless; it stays in the list. Raises NotFound, Forbidden for an owner's key by a lesser one."""
        key = await self._keys.get(key_id)
        if key.role == Role.OWNER and self._context.role not in (Role.OWNER, Role.SYSTEM):
            raise Forbidden("Only an owner may revoke an owner's key. Use a key with the role `owner`.")
        key.revoked_at = key.revoked_at or utc_now()
        return key

    async def _refuse_outliving(self, wanted: ApiKeyCreate) -> None:
        maker = await self._keys.find(self._context.subject)
        if maker is None or maker.expires_at is None:
            return
        if wanted.expires_at is None or wanted.expires_at > maker.expires_at:
            raise Forbidden(
                f"A key cannot outlive the key that makes it. Set `expires_at` to {maker.expires_at.isoformat()} or before.",
                param="expires_at",
            )

    def _refuse_excess(self, wanted: ApiKeyCreate) -> None:
        granted = SCOPES_OF_ROLE[Role(wanted.role)]
        if wanted.scopes is not None:
            granted &= frozenset(wanted.scopes)
        is_owner_by_non_owner = wanted.role is Role.OWNER and self._context.role not in (Role.OWNER, Role.SYSTEM)
        if is_owner_by_non_owner or not granted <= self._context.scopes:
            raise Forbidden(
                "A key cannot be given more than the key that makes it has. Choose a lesser role or fewer scopes.",
                param="role",
            )
