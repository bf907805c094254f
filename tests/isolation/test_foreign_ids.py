"""Ids of another tenant in every place that takes an id: the same bytes as an id that never was, and nothing changes.

The calls are made from the OpenAPI description of the running service, so that a new route is in them by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx
import pytest

from app.core.ids import new_id
from tests.api.operations import OPERATIONS, PATH_PREFIXES, parameters_in, served
from tests.fixtures.service import Service
from tests.isolation.world import SECRET, Household, files_of, rows_of, settle

Place = Literal["path", "query", "body", "form"]
#: Parameters and fields that take an id, and the kind that they are meant for; a cursor's kind is that of its list.
ID_FIELDS: Final = {
    "after": None,
    "before": None,
    "agent_id": "agt",
    "conversation_id": "conv",
    "document_ids": "doc",
    "knowledge_base_id": "kb",
    "knowledge_base_ids": "kb",
}
#: Names that take no id of a thing, and what they are.
NO_IDS: Final = {
    "last-event-id": "the number of an event",
    "starting_after": "the number of an event",
    "since": "a time",
    "until": "a time",
    **dict.fromkeys(("limit", "order", "status", "metadata", "stream_format"), "a choice or filter of its own"),
}
#: Slots that filter instead of naming a thing: another's id finds nothing there.
FILTERS: Final = {
    ("GET", "/api/v1/documents", "knowledge_base_id"),
    ("POST", "/api/v1/knowledge/search", "document_ids"),
}
CURSORS: Final = ("after", "before")


@dataclass(frozen=True)
class Slot:
    """One place of one operation that takes an id."""

    method: str
    path: str
    place: Place
    name: str
    is_list: bool = False

    @property
    def is_filter(self) -> bool:
        """Whether another's id is no error here."""
        is_list_cursor = self.name in CURSORS and not self.path.endswith("/chunks")
        return is_list_cursor or (self.method, self.path, self.name) in FILTERS


def body_fields(service: Service, described: dict[str, Any]) -> dict[str, Any]:
    """The fields of an operation's JSON body or form, by name."""
    fields: dict[str, Any] = {}
    for content in described.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if "$ref" in schema:
            schema = service.app.openapi()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        fields |= schema["properties"]
    return fields


def slots_of(service: Service) -> Iterator[Slot]:
    for method, path, described in served(service.app):
        for name in parameters_in(described, "path"):
            yield Slot(method, path, "path", name)
        for name in parameters_in(described, "query"):
            if name in ID_FIELDS:
                yield Slot(method, path, "query", name)
        place: Place = "form" if OPERATIONS[method, path].files else "body"
        for name in body_fields(service, described):
            if name in ID_FIELDS:
                yield Slot(method, path, place, name, is_list=name.endswith("_ids"))


@dataclass(frozen=True)
class Neighbours:
    """Two tenants. What is ``mine`` was made before what is ``theirs``, so that a cursor's age tells nothing."""

    service: Service
    mine: Household
    theirs: Household
    never: dict[str, str]

    def send(self, client: httpx.Client, slot: Slot, identifier: str) -> httpx.Response:
        """Call a slot's operation with an id there, and with what is mine in all other places."""
        operation = OPERATIONS[slot.method, slot.path]
        path, query, body, form = slot.path, {}, dict(operation.body or {}), {}
        for name, prefix in PATH_PREFIXES.items():
            own = self.mine.context_ids[prefix]
            path = path.replace(f"{{{name}}}", identifier if name == slot.name and slot.place == "path" else own)
        if slot.place == "query":
            query[slot.name] = identifier
        elif slot.place == "body":
            body[slot.name] = [identifier] if slot.is_list else identifier
        elif slot.place == "form":
            form[slot.name] = identifier
        return client.request(
            slot.method,
            self.service.base_url + path,
            params=query,
            json=body if operation.body else None,
            files=operation.files,
            data=form,
        )


@pytest.fixture(scope="module")
def neighbours(service: Service) -> Neighbours:
    mine, theirs = settle(service, "The garden has a gate of iron."), settle(service)
    never = {kind: new_id(kind) if kind.isalpha() else f"no-{kind.replace(' ', '-')}" for kind in theirs.context_ids}  # type: ignore[arg-type]
    return Neighbours(service, mine, theirs, never)


def seen(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """What a caller sees, but for the request's own id, the date, and ids of what the request itself made."""
    body = response.content.replace(response.headers["x-request-id"].encode(), b"<request>")
    own = ("x-request-id", "date", "x-run-id", "x-conversation-id")
    return response.status_code, body, {name: value for name, value in response.headers.items() if name not in own}


def test_an_id_of_another_tenant_is_an_id_that_never_was(neighbours: Neighbours) -> None:
    service, theirs = neighbours.service, neighbours.theirs
    data_dir = service.settings.data_dir
    before = rows_of(data_dir, theirs.tenant.id), files_of(data_dir, theirs.tenant.id)
    differences, calls = [], 0
    for slot in slots_of(service):
        is_platform = OPERATIONS[slot.method, slot.path].access == "platform"
        for kind, identifier in theirs.context_ids.items():
            foreign = seen(neighbours.send(neighbours.mine.tenant.http, slot, identifier))
            absent = seen(neighbours.send(neighbours.mine.tenant.http, slot, neighbours.never[kind]))
            calls += 1
            expected = {403} if is_platform else {200, 422} if slot.is_filter else {404, 422}
            if foreign != absent or foreign[0] not in expected or SECRET.encode() in foreign[1]:
                differences.append((slot, kind, foreign, absent))
    assert differences == []
    assert calls > 600
    assert (rows_of(data_dir, theirs.tenant.id), files_of(data_dir, theirs.tenant.id)) == before


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
def test_lesser_roles_learn_no_more(neighbours: Neighbours, role: str) -> None:
    client = neighbours.service.client(neighbours.mine.tenant.key_with(role=role))
    differences = []
    for slot in slots_of(neighbours.service):
        kind = PATH_PREFIXES.get(slot.name) or ID_FIELDS[slot.name] or "doc"
        foreign = seen(neighbours.send(client, slot, neighbours.theirs.context_ids[kind]))
        if foreign != seen(neighbours.send(client, slot, neighbours.never[kind])):
            differences.append((slot, foreign))
    assert differences == []


def test_what_is_meant_for_a_kind_names_it(neighbours: Neighbours) -> None:
    """The slots do find what is the caller's own, so a 404 above is not one of a wrong path."""
    for slot in slots_of(neighbours.service):
        is_platform = OPERATIONS[slot.method, slot.path].access == "platform"
        if slot.method == "DELETE" or is_platform:
            continue
        own = {**neighbours.mine.context_ids, "cursor": neighbours.mine.ids["doc"]}
        kind = PATH_PREFIXES.get(slot.name) or ID_FIELDS[slot.name] or "chk"
        response = neighbours.send(neighbours.mine.tenant.http, slot, own[kind])
        assert response.status_code in (200, 201, 202, 409), (slot, response.text)


def test_every_name_of_an_operation_is_judged(service: Service) -> None:
    """A new parameter or field that looks like an id must be in the tables above."""
    for method, path, described in served(service.app):
        names = [*parameters_in(described, "query"), *parameters_in(described, "header")]
        assert set(names) - ID_FIELDS.keys() - NO_IDS.keys() == set(), (method, path)
        assert set(parameters_in(described, "path")) <= PATH_PREFIXES.keys(), (method, path)
        fields = [
            name for name in body_fields(service, described) if "id" in name.split("_") or "ids" in name.split("_")
        ]
        assert set(fields) <= ID_FIELDS.keys(), (method, path)


def test_a_child_is_found_under_its_own_parent_only(neighbours: Neighbours) -> None:
    http, mine, theirs = neighbours.mine.tenant.http, neighbours.mine.ids, neighbours.theirs.ids
    second = neighbours.mine.tenant.ready("second.txt", b"A second document of the same tenant.")
    chunk_id = http.get(f"documents/{second['id']}/chunks").json()["data"][0]["id"]
    pairs = [
        (second["id"], theirs["chk"]),
        (theirs["doc"], chunk_id),
        (theirs["doc"], theirs["chk"]),
        (mine["doc"], chunk_id),
        (second["id"], new_id("chk")),
    ]
    answers = [http.get(f"documents/{parent}/chunks", params={"after": child}) for parent, child in pairs]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["error"]["code"] for answer in answers} == {"not_found"}
    own = http.get(f"documents/{second['id']}/chunks", params={"after": chunk_id})
    assert (own.status_code, own.json()["data"]) == (200, [])


def test_no_list_or_search_shows_another_tenants_things(neighbours: Neighbours) -> None:
    http, theirs = neighbours.mine.tenant.http, neighbours.theirs
    lists = [path for method, path, _ in served(neighbours.service.app) if method == "GET" and "{" not in path]
    answers = [http.get(neighbours.service.base_url + path).text for path in lists if "/api/v1/" in path]
    answers.extend(
        http.post("knowledge/search", json={"query": "vault password", "mode": mode}).text
        for mode in ("hybrid", "dense", "sparse")
    )
    answers.append(http.post("chat", json={"message": "What is the password of the vault?"}).text)
    for answer in answers:
        assert SECRET not in answer
        assert not [identifier for identifier in theirs.context_ids.values() if identifier in answer]


@pytest.mark.parametrize("field", ["knowledge_base_ids", "document_ids", "filters"])
def test_search_takes_no_wildcards(neighbours: Neighbours, field: str) -> None:
    http = neighbours.mine.tenant.http
    odd: list[Any] = [["*"], ["%"], [""], [None], "*", [neighbours.theirs.tenant.id], ["x"] * 10_000, [{}], [[]], 0]
    if field == "filters":
        tenant_id = neighbours.theirs.tenant.id
        odd += [{"tenant_id": tenant_id}, {"should": [{"tenant_id": tenant_id}]}, {"tenant_id": {"gt": 0}}, {"": "x"}]
        odd += [{"must_not": ["x"]}, {"tenant_id": ["*"]}, {"min_should": 0}, {"x": {"nested": {}}}, {"x": None}]
    for value in odd:
        response = http.post("knowledge/search", json={"query": "vault password", field: value})
        assert response.status_code in (200, 404, 422), (value, response.text)
        assert SECRET not in response.text
