"""Who may call what: each alias carries the caller's context and the right that an endpoint needs."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from app.core.errors import Forbidden
from app.core.tenancy import Role, Scope, TenantContext
from app.services.auth import Principal


def current_principal(request: Request) -> Principal:
    """The verified caller, as the middleware put it in place."""
    principal: Principal = request.state.principal
    return principal


async def current_context(request: Request) -> TenantContext:
    """The caller's context in its tenant; raises Forbidden for a platform admin."""
    return current_principal(request).context(request.state.request_id)


def _requires(scope: Scope) -> Callable[[Request], Awaitable[TenantContext]]:
    async def check(request: Request) -> TenantContext:
        context = await current_context(request)
        if not context.has_scope(scope):
            raise Forbidden(
                f"This needs the scope `{scope}`, which the credential does not have. Use a key with that scope.",
                code="missing_scope",
            )
        return context

    return check


async def _platform_admin(request: Request) -> Principal:
    principal = current_principal(request)
    if principal.role is not Role.PLATFORM_ADMIN:
        raise Forbidden("Only the platform's operator may do this. Use the platform admin key.")
    return principal


TenantCaller = Annotated[TenantContext, Depends(current_context)]
ChatCaller = Annotated[TenantContext, Depends(_requires(Scope.CHAT))]
AgentsReader = Annotated[TenantContext, Depends(current_context)]
AgentsWriter = Annotated[TenantContext, Depends(_requires(Scope.AGENTS_WRITE))]
DocumentsReader = Annotated[TenantContext, Depends(_requires(Scope.DOCUMENTS_READ))]
DocumentsWriter = Annotated[TenantContext, Depends(_requires(Scope.DOCUMENTS_WRITE))]
TenantAdmin = Annotated[TenantContext, Depends(_requires(Scope.ADMIN))]
PlatformAdmin = Annotated[Principal, Depends(_platform_admin)]
