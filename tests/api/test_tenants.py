"""Tenants over HTTP: made, suspended and resumed by the platform, changed by themselves; keys, talks and usage."""

from datetime import UTC, datetime, timedelta

import pytest

from app.core.ids import new_id
from tests.api.test_errors import assert_shaped
from tests.fixtures.service import Service, TenantClient


def test_a_tenant_is_made_whole(service: Service) -> None:
    made = service.make_tenant(name="Tern", system_prompt="Be brief.", default_model="extractive")
    seen = made.http.get("tenant").json()
    assert (seen["id"], seen["slug"], seen["name"], seen["status"]) == (made.id, made.slug, "Tern", "active")
    assert (seen["system_prompt"], seen["default_model"]) == ("Be brief.", "extractive")
    assert service.admin.get(f"tenants/{made.id}").json() == seen
    assert "api_key" not in service.admin.get("tenants").text
    (key,) = made.http.get("api-keys").json()["data"]
    assert (key["role"], key["revoked_at"]) == ("owner", None)


def test_a_slug_is_taken_once(service: Service, tenant: TenantClient) -> None:
    assert_shaped(service.admin.post("tenants", json={"name": "x", "slug": tenant.slug}), 409, "slug_taken")
    for slug in ("", "A", "a b", "-a", "a-", "a.b", "x" * 64, "ü", "a_b", "a/b", "a\n"):
        assert_shaped(service.admin.post("tenants", json={"name": "x", "slug": slug}), 422)


def test_the_platform_lists_tenants_in_pages(service: Service) -> None:
    made = [service.make_tenant().id for _ in range(3)]
    first = service.admin.get("tenants", params={"limit": 2}).json()
    assert [each["id"] for each in first["data"]] == made[:0:-1]
    after = service.admin.get("tenants", params={"limit": 1, "after": first["last_id"]}).json()
    assert after["data"][0]["id"] == made[0]
    before = service.admin.get("tenants", params={"limit": 5, "before": made[0]}).json()
    assert [each["id"] for each in before["data"]][-2:] == made[:0:-1]


def test_a_suspended_tenant_is_refused_at_once_and_can_be_resumed(service: Service, tenant: TenantClient) -> None:
    document = tenant.ready("note.txt", b"The gate is of iron.")
    assert service.admin.post(f"tenants/{tenant.id}/suspend").json()["status"] == "suspended"
    for response in (tenant.http.get("tenant"), tenant.http.post("chat", json={"message": "Hello?"})):
        assert_shaped(response, 401, "invalid_tenant")
    assert service.admin.post(f"tenants/{tenant.id}/suspend").status_code == 200, "twice is once"
    assert service.admin.post(f"tenants/{tenant.id}/resume").json()["status"] == "active"
    assert tenant.http.get(f"documents/{document['id']}").json()["status"] == "ready"
    for action in ("suspend", "resume", "api-keys"):
        body = {"name": "x"} if action == "api-keys" else None
        assert_shaped(service.admin.post(f"tenants/{new_id('tnt')}/{action}", json=body), 404, "not_found")


def test_the_platform_makes_keys_for_who_is_locked_out(service: Service, tenant: TenantClient) -> None:
    issued = service.admin.post(f"tenants/{tenant.id}/api-keys", json={"name": "rescue", "role": "owner"}).json()
    assert service.client(issued["key"]).get("tenant").json()["id"] == tenant.id


def test_a_tenant_changes_itself_and_no_more(tenant: TenantClient, other: TenantClient) -> None:
    before = other.http.get("tenant").json()
    changed = tenant.http.patch("tenant", json={"name": "New", "system_prompt": "Be kind."}).json()
    assert (changed["name"], changed["system_prompt"], changed["slug"]) == ("New", "Be kind.", tenant.slug)
    assert tenant.http.patch("tenant", json={"system_prompt": None}).json()["system_prompt"] is None
    for field in ("slug", "status", "id"):
        assert_shaped(tenant.http.patch("tenant", json={field: "x"}), 422)
    assert other.http.get("tenant").json() == before


def test_keys_show_their_secret_once(tenant: TenantClient) -> None:
    issued = tenant.http.post("api-keys", json={"name": "site", "scopes": ["chat"], "role": "viewer"}).json()
    shown = tenant.http.get(f"api-keys/{issued['id']}").json()
    assert shown == {name: value for name, value in issued.items() if name != "key"}
    assert issued["key"].endswith(shown["hint"][-4:])
    assert_shaped(tenant.http.get(f"api-keys/{new_id('key')}"), 404)
    for bad in ({"scopes": ["all"]}, {"role": "root"}, {"expires_at": "2030-01-01T00:00:00"}, {"name": ""}):
        assert_shaped(tenant.http.post("api-keys", json={"name": "x", **bad}), 422)


def test_a_conversation_is_made_changed_and_deleted_with_its_messages(tenant: TenantClient) -> None:
    talk = tenant.http.post("conversations", json={"title": "Talk", "metadata": {"a": 1}}).json()
    path = f"conversations/{talk['id']}"
    assert tenant.http.patch(path, json={"title": None}).json()["title"] is None
    assert tenant.http.patch(path, json={"metadata": {"b": 2}}).json()["metadata"] == {"b": 2}
    answer = tenant.http.post("chat", json={"message": "Hello?", "conversation_id": talk["id"]}).json()
    messages = tenant.http.get(f"{path}/messages", params={"order": "asc"}).json()["data"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[1]["id"] == answer["message_id"]
    assert tenant.http.delete(path).json() == {"id": talk["id"], "object": "conversation", "deleted": True}
    for gone in (path, f"{path}/messages", f"runs/{answer['run_id']}"):
        assert_shaped(tenant.http.get(gone), 404, "not_found")
    assert_shaped(tenant.http.post("chat", json={"message": "x", "conversation_id": talk["id"]}), 404)


def test_a_foreign_agent_begins_no_conversation(tenant: TenantClient, other: TenantClient) -> None:
    agent = other.http.post("agents", json={"name": "Keeper"}).json()
    for name in (agent["id"], agent["slug"]):
        assert_shaped(tenant.http.post("conversations", json={"agent_id": name}), 404)
    assert tenant.http.get("conversations").json()["data"] == []


def test_usage_adds_up_over_a_span(tenant: TenantClient, other: TenantClient) -> None:
    tenant.ready("note.txt", b"The gate of the garden is of iron.")
    answer = tenant.http.post("chat", json={"message": "What is the gate made of?"}).json()
    report = tenant.http.get("usage").json()
    by_kind = {row["kind"]: row for row in report["data"]}
    assert by_kind.keys() == {"chat", "embedding"}
    chat = by_kind["chat"]
    assert (chat["input_tokens"], chat["output_tokens"]) == tuple(answer["usage"].values())
    assert (chat["events"], by_kind["embedding"]["events"]) == (1, 1)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert tenant.http.get("usage", params={"since": later, "until": later}).json()["data"] == []
    assert other.http.get("usage").json()["data"] == []


@pytest.mark.parametrize(
    "span", [("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"), ("2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z")]
)
def test_odd_spans_of_usage_are_empty(tenant: TenantClient, span: tuple[str, str]) -> None:
    response = tenant.http.get("usage", params={"since": span[0], "until": span[1]})
    assert response.status_code in (200, 422), response.text
    assert response.status_code == 422 or response.json()["data"] == []
    for moment in ("0001-01-02T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        for name in ("since", "until"):
            assert_shaped(tenant.http.get("usage", params={name: moment}), 422)
        assert_shaped(tenant.http.post("api-keys", json={"name": "x", "expires_at": moment}), 422)
