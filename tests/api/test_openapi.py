"""The description that clients are generated from: complete, readable, and true to its own examples."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.operations import OPERATIONS, path_of_nothing, served
from tests.fixtures.service import Service

JSON = "application/json"


@pytest.fixture(scope="module")
def described(service: Service) -> dict[str, Any]:
    document: dict[str, Any] = service.app.openapi()
    return document


def schema_of(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = described["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def examples_of(described: dict[str, Any], operation: dict[str, Any]) -> list[Any]:
    """The examples of an operation's body, wherever they stand."""
    found: list[Any] = []
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found += [named["value"] for named in content.get("examples", {}).values()]
        found += [content["example"]] if "example" in content else []
        found += schema_of(described, content["schema"]).get("examples", [])
    return found


def test_every_operation_says_what_it_is(service: Service) -> None:
    for method, path, operation in served(service.app):
        for part in ("summary", "description", "tags", "operationId"):
            assert operation.get(part), (method, path, part)
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", operation["operationId"]), operation["operationId"]


def test_operation_ids_are_unique(service: Service) -> None:
    names = [operation["operationId"] for _, _, operation in served(service.app)]
    assert len(names) == len(set(names))


def test_every_refusal_is_documented(service: Service) -> None:
    for method, path, operation in served(service.app):
        access = OPERATIONS[method, path].access
        expected = set() if access == "public" else {"400", "401", "403", "422", "503"}
        expected |= {"404"} if "{" in path else set()
        expected |= {"413"} if "requestBody" in operation else set()
        expected |= {"409"} if method == "POST" else set()
        assert expected <= operation["responses"].keys(), (method, path, expected - operation["responses"].keys())
        for status in operation["responses"].keys() - {"200", "201", "202"}:
            schema = operation["responses"][status]["content"][JSON]["schema"]["$ref"]
            assert schema.endswith("HealthRead" if access == "public" else "ErrorResponse"), (method, path, status)


def test_every_answer_has_a_model(service: Service) -> None:
    for method, path, operation in served(service.app):
        successes = [response for status, response in operation["responses"].items() if status < "300"]
        assert successes
        for response in successes:
            assert response.get("content"), (method, path)
            for content in response["content"].values():
                assert content.get("schema"), (method, path)


def bodies(service: Service, described: dict[str, Any]) -> Iterator[tuple[str, str, list[Any]]]:
    for method, path, operation in served(service.app):
        if "requestBody" in operation:
            yield method, path, examples_of(described, operation)


def test_every_body_has_an_example_that_is_valid(service: Service, described: dict[str, Any]) -> None:
    owner = service.make_tenant().http
    for method, path, examples in bodies(service, described):
        assert examples, (method, path)
        client = service.admin if OPERATIONS[method, path].access == "platform" else owner
        for example in examples:
            if OPERATIONS[method, path].files:
                continue
            response = client.request(method, service.base_url + path_of_nothing(path), json=example)
            assert response.status_code in (200, 201, 202, 404, 409), (method, path, response.text)


def test_what_needs_a_credential_says_so(service: Service) -> None:
    for method, path, operation in served(service.app):
        is_protected = OPERATIONS[method, path].access not in ("public", "metrics")
        assert operation.get("security") or not is_protected, (method, path)


def test_the_pages_are_served(service: Service) -> None:
    client = service.client(None)
    assert client.get(f"{service.base_url}/openapi.json").json()["info"]["title"] == "Insula"
    assert "swagger" in client.get(f"{service.base_url}/docs").text
