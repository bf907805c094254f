"""Lists: keyset pages in both directions, complete and without repetition, the same way for every noun."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.service import TenantClient

COUNT = 7


def make_agents(tenant: TenantClient) -> None:
    for number in range(COUNT):
        assert tenant.http.post("agents", json={"name": f"Agent {number}"}).status_code == 201


def make_bases(tenant: TenantClient) -> None:
    for number in range(COUNT - 1):  # the default one is there already
        assert tenant.http.post("knowledge", json={"name": f"Base {number}"}).status_code == 201


def make_conversations(tenant: TenantClient) -> None:
    for number in range(COUNT):
        assert tenant.http.post("conversations", json={"title": f"Talk {number}"}).status_code == 201


def make_keys(tenant: TenantClient) -> None:
    for number in range(COUNT - 1):  # the first owner key is there already
        tenant.key_with(name=f"Key {number}")


def make_documents(tenant: TenantClient) -> None:
    for number in range(COUNT):
        tenant.upload(f"{number}.txt", b"A note.")


NOUNS: dict[str, Callable[[TenantClient], None]] = {
    "agents": make_agents,
    "knowledge": make_bases,
    "conversations": make_conversations,
    "api-keys": make_keys,
    "documents": make_documents,
}


def page(tenant: TenantClient, noun: str, **query: Any) -> dict[str, Any]:
    response = tenant.http.get(noun, params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert found.keys() == {"object", "data", "has_more", "first_id", "last_id"}
    ids = [item["id"] for item in found["data"]]
    assert (found["first_id"], found["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return found


def ids_of(found: dict[str, Any]) -> list[str]:
    return [item["id"] for item in found["data"]]


@pytest.mark.parametrize("noun", NOUNS)
def test_pages_are_complete_in_both_directions(tenant: TenantClient, noun: str) -> None:
    NOUNS[noun](tenant)
    everything = ids_of(page(tenant, noun))
    assert len(everything) == COUNT
    assert everything == sorted(everything, reverse=True), "newest first"
    for order, expected in (("desc", everything), ("asc", everything[::-1])):
        forwards: list[str] = []
        found = page(tenant, noun, limit=3, order=order)
        while found["data"]:
            forwards += ids_of(found)
            assert found["has_more"] == (len(forwards) < COUNT)
            found = page(tenant, noun, limit=3, order=order, after=found["last_id"])
        assert forwards == expected
        backwards: list[str] = []
        found = page(tenant, noun, limit=3, order=order, before=expected[-1])
        while found["data"]:
            backwards = ids_of(found) + backwards
            assert found["has_more"] == (len(backwards) < COUNT - 1)
            found = page(tenant, noun, limit=3, order=order, before=found["first_id"])
        assert backwards == expected[:-1]


def test_a_page_between_two_items(tenant: TenantClient) -> None:
    make_agents(tenant)
    everything = ids_of(page(tenant, "agents"))
    between = page(tenant, "agents", after=everything[0], before=everything[3])
    assert ids_of(between) == everything[1:3]


def test_the_limit_has_bounds(tenant: TenantClient) -> None:
    make_agents(tenant)
    assert len(page(tenant, "agents", limit=1)["data"]) == 1
    assert page(tenant, "agents", limit=COUNT)["has_more"] is False
    assert page(tenant, "agents", limit=100)["has_more"] is False


def test_an_item_that_was_deleted_is_still_a_place(tenant: TenantClient) -> None:
    make_agents(tenant)
    everything = ids_of(page(tenant, "agents"))
    tenant.http.delete(f"agents/{everything[2]}")
    assert ids_of(page(tenant, "agents", after=everything[2])) == everything[3:]
    assert ids_of(page(tenant, "agents", before=everything[2])) == everything[:2]


def test_chunks_come_in_reading_order(tenant: TenantClient) -> None:
    text = "\n\n".join(f"# Part {number}\n\n" + f"Sentence {number} of the text. " * 60 for number in range(5))
    document = tenant.ready("long.md", text.encode())
    path = f"documents/{document['id']}/chunks"
    everything = tenant.http.get(path, params={"limit": 100}).json()["data"]
    assert [chunk["ordinal"] for chunk in everything] == list(range(document["chunk_count"]))
    walked: list[Any] = []
    found = tenant.http.get(path, params={"limit": 2}).json()
    while found["data"]:
        walked += found["data"]
        found = tenant.http.get(path, params={"limit": 2, "after": found["last_id"]}).json()
    assert walked == everything
    assert len(everything) > 3
