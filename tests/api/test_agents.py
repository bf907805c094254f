"""Agents over HTTP."""

from app.core.ids import new_id
from tests.api.test_errors import assert_shaped
from tests.fixtures.service import TenantClient


def test_an_agent_has_defaults_that_are_shown(tenant: TenantClient) -> None:
    agent = tenant.http.post("agents", json={"name": "Süpport & Sales!"}).json()
    assert agent["slug"] == "support-sales"
    assert agent["object"] == "agent"
    assert (agent["max_tokens"], agent["temperature"], agent["model"], agent["knowledge_base_ids"]) == (
        4096,
        None,
        None,
        [],
    )
    assert agent["retrieval"] == {"mode": "always", "top_k": 6, "search": "hybrid"}
    assert agent["created_at"].endswith("Z")


def test_an_agent_is_found_by_id_and_slug(tenant: TenantClient) -> None:
    made = tenant.http.post("agents", json={"name": "Keeper"}).json()
    for name in (made["id"], "keeper"):
        assert tenant.http.get(f"agents/{name}").json() == made
    for name in (new_id("agt"), "nobody", "agt_", "KEEPER", tenant.id):
        assert_shaped(tenant.http.get(f"agents/{name}"), 404, "not_found")


def test_an_update_changes_what_was_sent(tenant: TenantClient) -> None:
    base = tenant.http.post("knowledge", json={"name": "Papers"}).json()["id"]
    wanted = {"name": "Keeper", "system_prompt": "Be brief.", "temperature": 0.5, "metadata": {"team": "a"}}
    made = tenant.http.post("agents", json=wanted).json()
    path = f"agents/{made['id']}"
    changed = tenant.http.patch(path, json={"temperature": 1, "knowledge_base_ids": [base]}).json()
    assert changed == {**made, "temperature": 1, "knowledge_base_ids": [base], "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > made["updated_at"]
    cleared = tenant.http.patch(path, json={"system_prompt": None, "knowledge_base_ids": [], "metadata": {}}).json()
    assert (cleared["system_prompt"], cleared["knowledge_base_ids"], cleared["metadata"]) == (None, [], {})
    assert cleared["temperature"] == 1
    assert tenant.http.get(path).json() == cleared
    assert tenant.http.patch(path, json={}).json()["name"] == "Keeper"
    for required in ("name", "slug", "max_tokens", "retrieval", "knowledge_base_ids", "metadata", "fallback_models"):
        assert_shaped(tenant.http.patch(path, json={required: None}), 422)


def test_an_update_by_slug_may_change_the_slug(tenant: TenantClient) -> None:
    made = tenant.http.post("agents", json={"name": "Keeper"}).json()
    assert tenant.http.patch("agents/keeper", json={"slug": "warden"}).json()["id"] == made["id"]
    assert tenant.http.get("agents/keeper").status_code == 404
    assert tenant.http.patch("agents/warden", json={"slug": "warden"}).status_code == 200


def test_slugs_are_unique_within_a_tenant(tenant: TenantClient, other: TenantClient) -> None:
    tenant.http.post("agents", json={"name": "Keeper"})
    assert_shaped(tenant.http.post("agents", json={"name": "x", "slug": "keeper"}), 409, "slug_taken")
    second = tenant.http.post("agents", json={"name": "Keeper"}).json()
    assert second["slug"].startswith("keeper-")
    assert_shaped(tenant.http.patch(f"agents/{second['id']}", json={"slug": "keeper"}), 409, "slug_taken")
    assert other.http.post("agents", json={"name": "Keeper"}).json()["slug"] == "keeper"


def test_an_agent_of_no_letters_gets_a_slug(tenant: TenantClient) -> None:
    assert tenant.http.post("agents", json={"name": "日本"}).json()["slug"] == "agent"
    long = tenant.http.post("agents", json={"name": "x" * 200}).json()
    assert tenant.http.get(f"agents/{long['slug']}").json()["id"] == long["id"]


def test_a_foreign_knowledge_base_is_refused_whole(tenant: TenantClient, other: TenantClient) -> None:
    own, theirs = (each.http.post("knowledge", json={"name": "Base"}).json()["id"] for each in (tenant, other))
    assert_shaped(tenant.http.post("agents", json={"name": "x", "knowledge_base_ids": [own, theirs]}), 404)
    assert tenant.http.get("agents").json()["data"] == []
    agent = tenant.http.post("agents", json={"name": "x", "knowledge_base_ids": [own, own]}).json()
    assert agent["knowledge_base_ids"] == [own]
    change = {"name": "changed", "knowledge_base_ids": [theirs]}
    assert_shaped(tenant.http.patch(f"agents/{agent['id']}", json=change), 404)
    assert tenant.http.get(f"agents/{agent['id']}").json() == agent


def test_a_deleted_agent_is_gone_and_its_conversations_stay(tenant: TenantClient) -> None:
    agent = tenant.http.post("agents", json={"name": "Keeper"}).json()
    talk = tenant.http.post("conversations", json={"agent_id": agent["id"]}).json()
    assert tenant.http.post("chat", json={"message": "Hello?", "agent_id": "keeper"}).status_code == 200
    assert tenant.http.delete("agents/keeper").json() == {"id": agent["id"], "object": "agent", "deleted": True}
    for response in (
        tenant.http.get(f"agents/{agent['id']}"),
        tenant.http.delete(f"agents/{agent['id']}"),
        tenant.http.post("chat", json={"message": "Hello?", "agent_id": "keeper"}),
    ):
        assert_shaped(response, 404, "not_found")
    assert tenant.http.get(f"conversations/{talk['id']}").json()["agent_id"] == agent["id"]
