"""Who may call what: every operation against every kind of caller, from one table."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpx
import pytest

from app.core.tenancy import Scope
from tests.api.operations import OPERATIONS, Operation, path_of_nothing, served
from tests.fixtures.service import Service

ROLES: Final[dict[str, set[str]]] = {
    "viewer": {"chat", "documents:read"},
    "member": {"chat", "documents:read", "documents:write", "agents:write"},
    "admin": {"chat", "documents:read", "documents:write", "agents:write", "admin"},
    "owner": {"chat", "documents:read", "documents:write", "agents:write", "admin"},
}
SCOPES: Final[dict[str, set[str]]] = {f"only {scope.value}": {scope.value} for scope in Scope}
HELD: Final[dict[str, set[str]]] = ROLES | SCOPES | {"no scope": set()}
#: Outside of the table: the page that says what this is, and what FastAPI serves of its own.
UNLISTED: Final = {"/", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
CALLERS: Final = ["anonymous", *ROLES, *SCOPES, "no scope", "platform"]


def expected(operation: Operation, caller: str) -> str:
    """``let in``, or the code of the refusal."""
    if operation.access == "public":
        return "let in"
    if caller == "anonymous" or (operation.access == "metrics" and caller != "platform"):
        return "invalid_credentials"
    if operation.access == "metrics":
        return "let in"
    if caller == "platform":
        return "let in" if operation.access == "platform" else "tenant_required"
    if operation.access == "platform":
        return "permission_denied"
    held = HELD[caller]
    return "let in" if operation.access == "tenant" or operation.access in held else "missing_scope"


@pytest.fixture(scope="module")
def clients(service: Service) -> dict[str, httpx.Client]:
    tenant = service.make_tenant()
    keys = {role: tenant.key_with(role=role) for role in ROLES}
    keys |= {name: tenant.key_with(role="owner", scopes=sorted(scopes)) for name, scopes in SCOPES.items()}
    keys["no scope"] = tenant.key_with(role="owner", scopes=[])
    return {
        "anonymous": service.client(None),
        "platform": service.admin,
        **{name: service.client(key) for name, key in keys.items()},
    }


def call(service: Service, client: httpx.Client, method: str, path: str, operation: Operation) -> httpx.Response:
    body = operation.body
    if body and "slug" in body:
        body = {**body, "slug": f"t{path_of_nothing('{tenant_id}')[-26:]}"}
    url = service.base_url + path_of_nothing(path)
    return client.request(method, url, json=body, files=operation.files)


@pytest.mark.parametrize("caller", CALLERS)
def test_every_operation_lets_in_whom_the_table_says(
    service: Service, clients: dict[str, httpx.Client], caller: str
) -> None:
    surprises = []
    for (method, path), operation in OPERATIONS.items():
        response = call(service, clients[caller], method, path, operation)
        is_refused = response.status_code in (401, 403)
        seen = response.json()["error"]["code"] if is_refused else "let in"
        if seen != expected(operation, caller) or response.status_code >= 500:
            surprises.append((method, path, response.status_code, seen))
    assert surprises == []


def test_every_operation_has_a_row(service: Service) -> None:
    assert {(method, path) for method, path, _ in served(service.app)} == OPERATIONS.keys()


def paths_of(routes: Iterable[Any]) -> Iterator[str]:
    """The full paths of routes, those of included routers among them."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from paths_of(route.effective_candidates())
        else:
            yield route.path


def test_every_route_is_documented(service: Service) -> None:
    """A route that no table of ours knows is one that nobody tests."""
    documented = {path for _, path in OPERATIONS}
    assert set(paths_of(service.app.routes)) - documented == UNLISTED
    assert httpx.get(f"{service.base_url}/", trust_env=False).status_code == 200


def test_a_key_is_given_no_more_than_its_maker_has(service: Service) -> None:
    tenant = service.make_tenant()
    admin = service.client(tenant.key_with(role="admin"))
    narrow = service.client(tenant.key_with(role="owner", scopes=["admin", "chat"]))
    asked: list[tuple[httpx.Client, dict[str, Any]]] = [
        (admin, {"role": "owner"}),
        (admin, {"role": "owner", "scopes": []}),
        (narrow, {"role": "member"}),
        (narrow, {"role": "admin", "scopes": ["documents:write"]}),
    ]
    for client, wanted in asked:
        response = client.post("api-keys", json={"name": "more", **wanted})
        assert response.status_code == 403, (wanted, response.text)
    assert narrow.post("api-keys", json={"name": "less", "role": "viewer", "scopes": ["chat"]}).status_code == 201
    for role in ("platform_admin", "system", "root"):
        assert admin.post("api-keys", json={"name": "more", "role": role}).status_code == 422
