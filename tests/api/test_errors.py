"""Refusals have one shape on every path, and a request id that the log has too."""

import json
import re
from typing import Any

import httpx
import pytest

from app.core.errors import AppError
from app.services.agents import AgentsService
from app.services.tenants import TenantsService
from tests.api.operations import OPERATIONS, path_of_nothing
from tests.api.raw import Answer, exchange, request
from tests.fixtures.service import Service, TenantClient

FIELDS = {"type", "code", "message", "param", "request_id"}


def assert_shaped(response: httpx.Response | Answer, status: int, code: str | None = None) -> dict[str, Any]:
    """The error of a response, which must have the shape of the contract."""
    content = response.content if isinstance(response, httpx.Response) else response.body
    got = response.status_code if isinstance(response, httpx.Response) else response.status
    assert got == status, content
    assert response.headers["content-type"] == "application/json"
    body = json.loads(content)
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == FIELDS
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["message"].endswith("."), error
    assert code in (None, error["code"]), error
    return error


def credential(tenant: TenantClient) -> tuple[str, str]:
    return "Host: localhost", f"Authorization: Bearer {tenant.key}"


def test_unknown_paths_are_404(service: Service, tenant: TenantClient) -> None:
    for path in ("/nowhere", "/api/v1", "/api/v1/nowhere", "/api/v2/chat", "/api/v1/agents/x/y/z", "/health/x", "//"):
        assert_shaped(tenant.http.get(service.base_url + path), 404, "unknown_path")
    for path in ("/nowhere", "/api/v1/nowhere"):
        assert_shaped(service.client(None).get(service.base_url + path), 401, "invalid_credentials")


def test_odd_targets_are_refused(service: Service, tenant: TenantClient) -> None:
    for target in (
        "/api/v1/../../etc/passwd",
        "/api/v1/documents/%2e%2e%2f",
        "/%00",
        "/api/v1/agents/%ff",
        "/api/v1/%0d%0a",
    ):
        answer = request(service, *credential(tenant), target=target)
        assert answer.status in (400, 404), (target, answer)
        if answer.headers.get("content-type") == "application/json":
            assert answer.error["code"] in ("unknown_path", "not_found")


def test_wrong_methods_are_405(service: Service, tenant: TenantClient) -> None:
    patterns = [(method, re.compile(re.sub(r"{\w+}", "[^/]+", path))) for method, path in OPERATIONS]
    for path in {path for _, path in OPERATIONS}:
        taken = {method for method, pattern in patterns if pattern.fullmatch(path)}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - taken:
            url = service.base_url + path_of_nothing(path)
            error = assert_shaped(tenant.http.request(method, url), 405, "method_not_allowed")
            assert error["type"] == "invalid_request_error"


def test_unknown_fields_are_422(service: Service, tenant: TenantClient) -> None:
    for (method, path), operation in OPERATIONS.items():
        if operation.body is None:
            continue
        client = service.admin if operation.access == "platform" else tenant.http
        for extra in ("tenant_id", "id", "owner_id", "created_at", "is_admin", "quota", "usage", "__proto__"):
            body = {**operation.body, extra: "x"}
            response = client.request(method, service.base_url + path_of_nothing(path), json=body)
            error = assert_shaped(response, 422, "validation_error")
            assert error["param"] == extra


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": }',
        b"\xff\xfe",
        b'{"name": "x"} trailing',
        b"name=x",
        b'{"name": NaN}',
        b'{"name": "a", "name": "b"}',
        b'{"temperature": Infinity, "name": "x"}',
        b'{"metadata": {"k": 1, "k": 2}, "name": "x"}',
        b"[" * 100_000,
        b'{"name":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"name": "x", "max_tokens": ' + b"9" * 100_000 + b"}",
    ],
    ids=lambda body: str(body[:30]),
)
def test_what_is_no_json_is_refused(tenant: TenantClient, body: bytes) -> None:
    response = tenant.http.post("agents", content=body, headers={"content-type": "application/json"})
    assert_shaped(response, 422 if not body else 400, None if not body else "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{}",
        b'{"name": null}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "\\ud800"}',
        b'{"name": "x", "metadata": {"\\udfff": "x"}}',
        b'{"name": "x", "metadata": {"k": "\\udfff"}}',
        b'{"name": "x", "metadata": {"k\\u0000": "x"}}',
        b'{"name": "x", "metadata": {"k": 1e999}}',
        b'{"name": "x", "metadata": {"k": 36893488147419103232}}',
        b'{"name": "x", "metadata": {"k": [1]}}',
        b'{"name": "x", "temperature": 1e999}',
        b'{"name": "x", "temperature": "hot"}',
        b'{"name": "x", "max_tokens": 9007199254740993}',
        b'{"name": "x", "max_tokens": 1.5}',
        b'{"name": "x", "slug": "No Slug"}',
        b'{"name": "x", "slug": "x\\n"}',
        b'{"name": "x", "description": "\\ud800"}',
        b'{"name": "x", "model": ""}',
        b'{"name": "' + b"x" * 201 + b'"}',
        b'{"name": "   "}',
    ],
    ids=lambda body: str(body[:50]),
)
def test_what_is_no_agent_is_422(tenant: TenantClient, body: bytes) -> None:
    response = tenant.http.post("agents", content=body, headers={"content-type": "application/json"})
    error = assert_shaped(response, 422, "validation_error")
    assert "pydantic" not in response.text
    assert "Value error" not in error["message"]
    assert tenant.http.get("agents").json()["data"] == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/xml", None]
)
def test_json_under_another_name_is_refused(tenant: TenantClient, kind: str | None) -> None:
    """So that no form of another site can send it with a visitor's credential."""
    headers = {"content-type": kind} if kind else {}
    response = tenant.http.post("agents", content=b'{"name": "x"}', headers=headers)
    assert response.status_code in (415, 422), response.text
    assert_shaped(response, response.status_code)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=", "order=up", "after=x", "before=%00", "after="]
)
def test_bad_query_values_are_422(tenant: TenantClient, query: str) -> None:
    for path in ("agents", "documents", "knowledge", "conversations", "runs", "api-keys"):
        error = assert_shaped(tenant.http.get(f"{path}?{query}"), 422, "validation_error")
        assert error["param"] == query.split("=", maxsplit=1)[0]


@pytest.mark.parametrize(
    "path",
    [
        "usage?since=yesterday",
        "usage?since=2026-01-01T00:00:00",
        "usage?until=99999-01-01T00:00:00Z",
        "documents?status=gone",
        "documents?metadata=x",
        "documents?metadata=[]",
        'documents?metadata={"k":{"a":1}}',
        'documents?metadata={"":1}',
        "runs/run_x/stream?stream_format=xml",
        "runs/run_x/stream?starting_after=-1",
        "runs/run_x/stream?starting_after=1e3",
    ],
)
def test_bad_values_of_single_routes_are_422(tenant: TenantClient, path: str) -> None:
    assert_shaped(tenant.http.get(path), 422, "validation_error")


def test_a_large_body_is_413_announced_or_not(service: Service, tenant: TenantClient) -> None:
    limit = service.settings.max_body_bytes
    body = b'{"name": "' + b"x" * limit + b'"}'
    kind = "Content-Type: application/json"
    announced = request(
        service, *credential(tenant), kind, f"Content-Length: {len(body)}", method="POST", target="/api/v1/agents"
    )
    assert_shaped(announced, 413, "request_too_large")
    head = "\r\n".join(
        ["POST /api/v1/agents HTTP/1.1", *credential(tenant), kind, "Transfer-Encoding: chunked", "", ""]
    )
    pieces = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[i : i + 65536] for i in range(0, len(body), 65536))]
    assert_shaped(exchange(service, head.encode(), *pieces, b"0\r\n\r\n"), 413, "request_too_large")
    assert tenant.http.get("agents").json()["data"] == []


@pytest.mark.parametrize("length", ["-1", "x", "1.5", "+1", "0x10", "1, 1", "", "99999999999999999999999999"])
def test_odd_lengths_are_refused(service: Service, tenant: TenantClient, length: str) -> None:
    answer = request(
        service,
        *credential(tenant),
        "Content-Type: application/json",
        f"Content-Length: {length}",
        method="POST",
        target="/api/v1/agents",
        body=b"{}",
    )
    assert answer.status in (400, 413, 422), answer


def test_two_framings_are_refused(service: Service, tenant: TenantClient) -> None:
    for framing in (
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: x"],
    ):
        answer = request(service, *credential(tenant), *framing, method="POST", target="/api/v1/agents", body=b"{}")
        assert answer.status in (0, 400, 411, 415, 422, 501), (framing, answer)


@pytest.mark.parametrize("identifier", ["abcdefgh", "0" * 128, "a.b-c_d.E1"])
def test_a_well_formed_request_id_is_taken(service: Service, tenant: TenantClient, identifier: str) -> None:
    for path in ("/health", "/api/v1/tenant", "/api/v1/nowhere"):
        response = tenant.http.get(service.base_url + path, headers={"X-Request-Id": identifier})
        assert response.headers.get_list("x-request-id") == [identifier]


@pytest.mark.parametrize(
    "identifier", ["", "short", "x" * 129, "with space", "a\tb", "ümläut-x", "<script>alert</script>"]
)
def test_any_other_request_id_is_replaced(service: Service, tenant: TenantClient, identifier: str) -> None:
    answer = request(service, *credential(tenant), f"X-Request-Id: {identifier}", target="/api/v1/nowhere")
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.error["request_id"] == answer.headers["x-request-id"]


def test_every_response_has_an_id_and_may_load_nothing(service: Service, tenant: TenantClient) -> None:
    for path in ("/", "/health", "/health/live", "/openapi.json", "/metrics", "/api/v1/tenant", "/nowhere"):
        response = tenant.http.get(service.base_url + path)
        assert response.headers["x-request-id"].startswith("req_"), path
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers
        assert "access-control-allow-origin" not in response.headers


class Secret(Exception):
    """A failure whose text nobody outside may read."""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise Secret("SELECT password FROM /srv/insula at 10.0.0.1")

    monkeypatch.setattr(AgentsService, "get", fail)
    monkeypatch.setattr(TenantsService, "get", fail)


@pytest.mark.usefixtures("broken")
def test_a_crash_is_counted_as_one(service: Service, tenant: TenantClient) -> None:
    tenant.http.get("agents/x")
    text = service.admin.get(f"{service.base_url}/metrics").text
    assert 'insula_http_requests_total{method="GET",route="/api/v1/agents/{agent_id}",status="500"}' in text


@pytest.mark.usefixtures("broken")
def test_a_500_tells_nothing_of_the_inside(service: Service, tenant: TenantClient) -> None:
    for response in (tenant.http.get("agents/x"), service.admin.get("tenants/x")):
        error = assert_shaped(response, 500, "internal_error")
        assert error["type"] == "api_error"
        for inside in ("Secret", "SELECT", "password", "srv", "10.0", "Traceback", ".py", "sqlalchemy"):
            assert inside not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"


def test_every_status_of_the_contract_has_its_error() -> None:
    kinds: list[type[AppError]] = [AppError, *AppError.__subclasses__()]
    assert {kind.status for kind in kinds} >= {400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503}


def test_metrics_count_whole_templates_and_no_ids(service: Service, tenant: TenantClient) -> None:
    tenant.http.get("documents/doc_nothing")
    tenant.http.get("nowhere/at/all")
    assert service.client(None).get(f"{service.base_url}/metrics").status_code == 401
    assert tenant.http.get(f"{service.base_url}/metrics").status_code == 401
    text = service.admin.get(f"{service.base_url}/metrics").text
    routes = {line.split('route="')[1].split('"')[0] for line in text.splitlines() if 'route="' in line}
    own = {"/", "/docs", "/docs/oauth2-redirect", "/openapi.json", "unmatched"}
    assert "/api/v1/documents/{document_id}" in routes
    assert routes <= {path for _, path in OPERATIONS} | own
    assert tenant.id not in text
    assert tenant.slug not in text
