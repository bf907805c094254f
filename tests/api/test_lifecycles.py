"""What ends with what it belonged to: runs with their conversation or tenant, keys with their maker."""

import socket
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.server import HEAD_LIMIT
from tests.fixtures.service import Service, TenantClient

SLOW = {"model": "scripted:ft10-it50-n200", "retrieval": {"mode": "off"}}


def begin(tenant: TenantClient) -> dict[str, Any]:
    """A background run that takes ten seconds, once it has said something."""
    agent = tenant.http.post("agents", json={"name": "Slow", **SLOW}).json()
    run: dict[str, Any] = tenant.http.post(
        "chat", json={"message": "Go on.", "agent_id": agent["id"], "background": True}
    ).json()
    time.sleep(0.3)
    return run


def test_a_conversation_that_is_deleted_takes_its_run_along(tenant: TenantClient) -> None:
    run = begin(tenant)
    assert tenant.http.delete(f"conversations/{run['conversation_id']}").status_code == 200
    assert tenant.http.get(f"runs/{run['run_id']}/stream").status_code == 404
    assert tenant.http.get(f"runs/{run['run_id']}").status_code == 404


def test_a_tenant_that_is_suspended_says_no_more(service: Service, tenant: TenantClient) -> None:
    run = begin(tenant)
    live = service.application.supervisor.find(tenant.id, run["run_id"])
    assert live is not None
    assert service.admin.post(f"tenants/{tenant.id}/suspend").status_code == 200
    deadline = time.monotonic() + 5
    while not live.log.is_closed and time.monotonic() < deadline:
        time.sleep(0.02)
    assert live.log.is_closed


def test_a_key_does_not_outlive_its_maker(service: Service, tenant: TenantClient) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    maker = service.client(tenant.key_with(role="admin", expires_at=end.isoformat()))
    assert maker.post("api-keys", json={"name": "eternal", "role": "admin"}).status_code == 403
    later = (end + timedelta(seconds=1)).isoformat()
    assert maker.post("api-keys", json={"name": "longer", "expires_at": later}).status_code == 403
    assert maker.post("api-keys", json={"name": "short", "expires_at": end.isoformat()}).status_code == 201


def test_an_admin_does_not_revoke_an_owner(service: Service, tenant: TenantClient) -> None:
    keys = tenant.http.get("api-keys").json()["data"]
    (owner,) = [key["id"] for key in keys if key["role"] == "owner"]
    admin = service.client(tenant.key_with(role="admin"))
    assert admin.delete(f"api-keys/{owner}").status_code == 403
    assert tenant.http.get("tenant").status_code == 200


@pytest.mark.parametrize(
    ("wanted", "names"),
    [("0", {"zero"}), ("1", {"one"}), ('"1"', {"text"}), ("true", {"true"}), ("false", {"false"})],
)
def test_metadata_filters_know_kinds_apart(tenant: TenantClient, wanted: str, names: set[str]) -> None:
    values = {"zero": "0", "one": "1", "text": '"1"', "true": "true", "false": "false", "word": '"abc"', "none": '""'}
    for name, value in values.items():
        tenant.upload(f"{name}.txt", b"text", metadata=f'{{"名前": {value}}}')
    found = tenant.http.get("documents", params={"metadata": f'{{"名前": {wanted}}}'}).json()["data"]
    assert {document["name"].removesuffix(".txt") for document in found} == names


def test_a_head_without_end_is_refused_before_it_costs_anything(service: Service) -> None:
    host, port = service.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
        answer = b""
        try:
            for _ in range(4 * HEAD_LIMIT // 8192):
                connection.sendall(b"x" * 8192)
            answer = connection.recv(1024)
        except ConnectionError:
            pass
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431")
    assert service.client(None).get(f"{service.base_url}/health/live").status_code == 200


def test_a_head_that_does_not_come_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.server.HEAD_SECONDS", 0.2)
    host, port = service.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(ConnectionError):
            assert connection.recv(1024) == b""
