"""Knowledge bases and search over HTTP, and what a deletion takes with it."""

import json
from typing import Any

from app.core.ids import new_id
from tests.api.test_errors import assert_shaped
from tests.fixtures.service import TenantClient

IRON = b"The gate of the garden is made of iron."
OAK = b"The door of the cellar is made of oak."


def found(tenant: TenantClient, query: str, **more: Any) -> list[str]:
    """The documents that a search finds, best first."""
    response = tenant.http.post("knowledge/search", json={"query": query, **more})
    assert response.status_code == 200, response.text
    return [hit["document_id"] for hit in response.json()["data"]]


def test_a_new_tenant_has_a_default_base(tenant: TenantClient) -> None:
    (base,) = tenant.http.get("knowledge").json()["data"]
    assert base["is_default"] is True
    assert tenant.upload("a.txt", IRON)["knowledge_base_id"] == base["id"]
    assert_shaped(tenant.http.delete(f"knowledge/{base['id']}"), 409, "conflict")


def test_a_base_is_made_changed_and_deleted(tenant: TenantClient) -> None:
    made = tenant.http.post("knowledge", json={"name": "Papers", "description": "Old ones"}).json()
    path = f"knowledge/{made['id']}"
    changed = tenant.http.patch(path, json={"description": None}).json()
    assert (changed["name"], changed["description"], changed["is_default"]) == ("Papers", None, False)
    assert tenant.http.patch(path, json={"name": "Letters"}).json()["name"] == "Letters"
    assert tenant.http.delete(path).json() == {"id": made["id"], "object": "knowledge_base", "deleted": True}
    for method in ("GET", "DELETE"):
        assert_shaped(tenant.http.request(method, path), 404, "not_found")


def test_a_name_cannot_be_taken_away(tenant: TenantClient) -> None:
    base = tenant.http.post("knowledge", json={"name": "Papers"}).json()
    assert_shaped(tenant.http.patch(f"knowledge/{base['id']}", json={"name": None}), 422)
    assert_shaped(tenant.http.patch("tenant", json={"name": None}), 422)


def test_search_shows_passages_and_ranks_but_no_scores(tenant: TenantClient) -> None:
    document = tenant.ready("gate.txt", IRON)
    for mode in ("hybrid", "dense", "sparse"):
        body = tenant.http.post("knowledge/search", json={"query": "iron gate", "mode": mode}).json()
        (hit,) = body["data"]
        assert hit["rank"] == 1
        assert (hit["document_id"], hit["text"]) == (document["id"], IRON.decode())
        assert "score" not in json.dumps(body)


def test_search_is_narrowed_by_base_document_and_metadata(tenant: TenantClient) -> None:
    base = tenant.http.post("knowledge", json={"name": "Cellar"}).json()["id"]
    gate = tenant.ready("gate.txt", IRON, metadata='{"year": 1911, "kind": "gate", "old": true}')["id"]
    door = tenant.ready("door.txt", OAK, knowledge_base_id=base, metadata='{"year": 1950.5, "kind": "door"}')["id"]
    query = "is made of"
    assert set(found(tenant, query)) == {gate, door}
    assert found(tenant, query, knowledge_base_ids=[base]) == [door]
    assert found(tenant, query, document_ids=[gate]) == [gate]
    assert found(tenant, query, document_ids=[]) == []
    assert found(tenant, query, knowledge_base_ids=[]) == []
    assert found(tenant, query, filters={"year": 1911}) == [gate]
    assert found(tenant, query, filters={"year": {"gt": 1911}}) == [door]
    assert found(tenant, query, filters={"kind": ["door", "window"]}) == [door]
    assert found(tenant, query, filters={"old": True}) == [gate]
    assert found(tenant, query, filters={"kind": "door", "year": 1911}) == []
    assert found(tenant, query, filters={"kind": []}) == []
    assert found(tenant, query, knowledge_base_ids=[base], document_ids=[gate]) == []
    assert_shaped(
        tenant.http.post("knowledge/search", json={"query": query, "knowledge_base_ids": [base, new_id("kb")]}), 404
    )
    assert len(found(tenant, query, top_k=1)) == 1


def test_lists_of_documents_are_narrowed_too(tenant: TenantClient) -> None:
    base = tenant.http.post("knowledge", json={"name": "Cellar"}).json()["id"]
    gate = tenant.ready("gate.txt", IRON, metadata='{"year": 1911, "old": true}')["id"]
    door = tenant.ready("door.txt", OAK, knowledge_base_id=base, metadata='{"kind": "door"}')["id"]

    def listed(**query: str) -> list[str]:
        return [each["id"] for each in tenant.http.get("documents", params=query).json()["data"]]

    assert listed() == [door, gate]
    assert listed(knowledge_base_id=base) == [door]
    assert listed(status="ready") == [door, gate]
    assert listed(status="failed") == []
    assert listed(metadata='{"year": 1911}') == [gate]
    assert listed(metadata='{"old": true}') == [gate]
    assert listed(metadata='{"kind": "door"}') == [door]
    assert listed(metadata='{"kind": "door", "year": 1911}') == []


def is_gone(tenant: TenantClient, document_id: str) -> bool:
    """Whether nothing that a caller can reach shows the document."""
    paths = [f"documents/{document_id}{part}" for part in ("", "/content", "/chunks", "/events")]
    assert {tenant.http.get(path).status_code for path in paths} == {404}
    answer = tenant.http.post("chat", json={"message": "What is the gate made of?"}).json()
    listed = [each["id"] for each in tenant.http.get("documents").json()["data"]]
    cited = [each["document_id"] for each in answer["citations"]]
    searched = [hit for mode in ("hybrid", "dense", "sparse") for hit in found(tenant, "iron gate", mode=mode)]
    return document_id not in [*listed, *cited, *searched]


def test_a_deleted_document_is_gone_when_the_call_returns(tenant: TenantClient) -> None:
    document = tenant.ready("gate.txt", IRON)
    assert found(tenant, "iron gate") == [document["id"]]
    answer = tenant.http.delete(f"documents/{document['id']}").json()
    assert answer == {"id": document["id"], "object": "document", "deleted": True}
    assert is_gone(tenant, document["id"])
    assert_shaped(tenant.http.delete(f"documents/{document['id']}"), 404)
    assert_shaped(tenant.http.post(f"documents/{document['id']}/reprocess"), 404)


def test_a_document_that_is_still_in_work_can_be_deleted(tenant: TenantClient) -> None:
    document = tenant.upload("gate.txt", IRON)
    assert tenant.http.delete(f"documents/{document['id']}").status_code == 200
    assert is_gone(tenant, document["id"])


def test_a_deleted_base_takes_its_documents(tenant: TenantClient) -> None:
    base = tenant.http.post("knowledge", json={"name": "Garden"}).json()["id"]
    gate = tenant.ready("gate.txt", IRON, knowledge_base_id=base)["id"]
    door = tenant.ready("door.txt", OAK)["id"]
    spare = tenant.http.post("knowledge", json={"name": "Spare"}).json()["id"]
    agent = tenant.http.post("agents", json={"name": "Keeper", "knowledge_base_ids": [base, spare]}).json()
    assert tenant.http.delete(f"knowledge/{base}").status_code == 200
    assert is_gone(tenant, gate)
    assert found(tenant, "oak door") == [door]
    assert_shaped(tenant.http.post("knowledge/search", json={"query": "x", "knowledge_base_ids": [base]}), 404)
    upload = tenant.http.post("documents/upload", files={"file": ("a.txt", IRON)}, data={"knowledge_base_id": base})
    assert_shaped(upload, 404)
    assert tenant.http.get(f"agents/{agent['id']}").json()["knowledge_base_ids"] == [spare]


def test_an_agents_last_base_is_not_deleted_behind_its_back(tenant: TenantClient) -> None:
    """No base means all documents, and an agent comes to that by being told so only."""
    base = tenant.http.post("knowledge", json={"name": "Garden"}).json()["id"]
    tenant.ready("door.txt", OAK)
    tenant.http.post("agents", json={"name": "Keeper", "knowledge_base_ids": [base]})
    asked = {"message": "What is the door of the cellar made of?", "agent_id": "keeper"}
    assert tenant.http.post("chat", json=asked).json()["citations"] == []
    error = assert_shaped(tenant.http.delete(f"knowledge/{base}"), 409, "knowledge_base_in_use")
    assert "`keeper`" in error["message"]
    assert tenant.http.post("chat", json=asked).json()["citations"] == []
    tenant.http.patch("agents/keeper", json={"knowledge_base_ids": []})
    assert tenant.http.delete(f"knowledge/{base}").status_code == 200
