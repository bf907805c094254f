"""Who is calling and for which tenant: verified once, from the credential and the host, before any endpoint runs."""

import re

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import AppError, InvalidRequest
from app.middleware.responses import send_error
from app.services.application import Application
from app.services.auth import invalid_credentials, invalid_tenant

_HOST = re.compile(r"^(?P<name>[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\])(:\d{1,5})?$")
_PUBLIC = frozenset(
    {
        "/",
        "/health",
        "/health/live",
        "/health/ready",
        "/api/v1/health",
        "/docs",
        "/openapi.json",
        "/metrics",
    }
)


class TenantMiddleware:
    """Puts ``state.principal``, and for tenants ``state.tenant_id`` and ``state.tenant``, in place, or answers 401."""

    def __init__(self, app: ASGIApp, *, base_domain: str) -> None:
        self.app = app
        self._suffix = f".{base_domain.lower()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            slug = self._slug(scope)
            if scope["path"] not in _PUBLIC:
                await _identify(scope, slug)
        except AppError as error:
            await send_error(scope, send, error)
            return
        tenant_id = scope["state"].get("tenant_id")
        with structlog.contextvars.bound_contextvars(**({"tenant_id": tenant_id} if tenant_id else {})):
            await self.app(scope, receive, send)

    def _slug(self, scope: Scope) -> str | None:
        """The tenant's subdomain, or None at the house's own address.

        Parsers disagree on doubled and missing Host headers, so both are refused here, whichever parser is installed.
        """
        hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        match = _HOST.match(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            raise InvalidRequest("Exactly one valid Host header is needed.", code="invalid_host")
        name = match["name"].rstrip(".")
        if not name.endswith(self._suffix):
            return None
        slug = name.removesuffix(self._suffix)
        if "." in slug:
            raise invalid_tenant()
        return slug


async def _identify(scope: Scope, slug: str | None) -> None:
    application: Application = scope["app"].state.application
    principal = await application.authenticator.authenticate(_credential(scope), slug)
    state = scope["state"]
    state["principal"] = principal
    state["tenant"] = principal.tenant
    state["tenant_id"] = principal.tenant.id if principal.tenant else None


def _credential(scope: Scope) -> str:
    """The one credential of the request; two different ones are refused, since either could be meant."""
    given = set()
    for name, value in scope["headers"]:
        text = value.decode("latin-1").strip()
        if name == b"authorization":
            kind, _, token = text.partition(" ")
            if kind.lower() != "bearer" or not token.strip():
                raise invalid_credentials()
            given.add(token.strip())
        elif name == b"x-api-key" and text:
            given.add(text)
    if not given:
        raise invalid_credentials()
    if len(given) > 1:
        raise InvalidRequest(
            "Two different credentials were sent. Send one, in `Authorization` or in `x-api-key`.",
            code="ambiguous_credentials",
        )
    return str(given.pop())
