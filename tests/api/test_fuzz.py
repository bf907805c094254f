"""Every operation with thousands of made-up requests: nothing crashes, every answer is documented and well shaped."""

import json
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.core.ids import new_id
from tests.api.operations import OPERATIONS, PATH_PREFIXES, served
from tests.api.test_errors import FIELDS
from tests.fixtures.service import Service
from tests.isolation.world import Household, settle

CASES: Final = 50
JSON: Final = {"content-type": "application/json"}
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "\x00", "' OR 1=1 --", "../..", "9" * 400, "*", "\u202e", "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


class Schemas:
    """Strategies for what a description allows, and now and then for what it does not."""

    def __init__(self, described: dict[str, Any], ids: dict[str, str]) -> None:
        self._components = described["components"]["schemas"]
        self._ids = ids

    def nearly(self, schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
        """Mostly what fits."""
        fits = self.fitting(schema, name)
        return st.one_of(*[fits] * 15, JUNK)

    def fitting(self, schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return self.fitting(self._components[schema["$ref"].rsplit("/", 1)[1]], name)
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return st.one_of([self.fitting(each, name) for each in schema[several]])
        if "enum" in schema or "const" in schema:
            return st.sampled_from(schema.get("enum") or [schema["const"]])
        kind: str = schema.get("type", "any")
        return {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
        }.get(kind, self._other)(schema, name)

    def _object(self, schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
        fields = {field: self.nearly(inner, field) for field, inner in schema.get("properties", {}).items()}
        required = set(schema.get("required", []))
        if not fields:
            return st.dictionaries(st.text("abcxyz_-", max_size=9), self.nearly(_values(schema), name), max_size=3)
        return st.fixed_dictionaries(
            {field: fields[field] for field in fields if field in required},
            optional={field: fields[field] for field in fields if field not in required},
        )

    def _array(self, schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
        return st.lists(self.nearly(schema.get("items", {}), name), max_size=3)

    def _string(self, schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
        if name in ("after", "before") or name.endswith(("_id", "_ids")):
            kind = PATH_PREFIXES.get(name.replace("_ids", "_id"), "doc")
            odd = [*self._ids.values(), new_id("doc"), new_id("agt"), "x", "%", "\x00"]
            return st.one_of(*[st.just(self._ids[kind])] * 2, st.sampled_from(odd))
        if schema.get("format") == "date-time":
            return st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True) | st.text(max_size=70)
        return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 40), 40))

    def _number(self, schema: dict[str, Any], _: str) -> st.SearchStrategy[Any]:
        low, high = int(schema.get("minimum", -(2**63))), int(schema.get("maximum", 2**63))
        return st.integers(low, high) | st.sampled_from([low, high, low - 1, high + 1, 0.5])

    def _other(self, schema: dict[str, Any], _: str) -> st.SearchStrategy[Any]:
        return {"boolean": st.booleans(), "null": st.none()}.get(schema.get("type", ""), JUNK)


def _values(schema: dict[str, Any]) -> dict[str, Any]:
    values = schema.get("additionalProperties")
    return values if isinstance(values, dict) else {}


@pytest.fixture(scope="module")
def household(service: Service) -> Household:
    return settle(service)


@pytest.fixture(scope="module")
def victim(service: Service) -> Household:
    """Whose things may be deleted, and who may be suspended."""
    return settle(service)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def request_of(schemas: Schemas, method: str, path: str, described: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Path, query, headers and body of one made-up call."""
    places: dict[str, dict[str, st.SearchStrategy[Any]]] = {"path": {}, "query": {}, "header": {}}
    for parameter in described.get("parameters", []):
        places[parameter["in"]][parameter["name"]] = schemas.nearly(parameter["schema"], parameter["name"])
    content = described.get("requestBody", {}).get("content", {})
    body: st.SearchStrategy[Any] = st.none()
    if "application/json" in content:
        body = schemas.nearly(content["application/json"]["schema"])
        valid = OPERATIONS[method, path].body
        body = body | st.builds(
            lambda made: {**(valid or {}), **dict(list(made.items())[:2])} if isinstance(made, dict) else made, body
        )
    return st.tuples(
        st.fixed_dictionaries(places["path"]),
        st.fixed_dictionaries({}, optional=places["query"]),
        st.fixed_dictionaries({}, optional=places["header"]),
        body,
    )


def check(response: httpx.Response, described: dict[str, Any], sent: Any) -> None:
    status = response.status_code
    assert status < 500, (sent, response.text)
    assert str(status) in described["responses"], (sent, status, response.text)
    if status >= 400:
        error = response.json()["error"]
        assert error.keys() == FIELDS, (sent, error)
        assert error["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_made_up_requests_are_answered_as_documented(
    service: Service, household: Household, victim: Household, method: str, path: str
) -> None:
    described = {(m, p): operation for m, p, operation in served(service.app)}[method, path]
    is_platform = OPERATIONS[method, path].access in ("platform", "metrics")
    whose = victim if is_platform or method == "DELETE" else household
    client = service.admin if is_platform else whose.tenant.http
    made_up = request_of(Schemas(service.app.openapi(), whose.context_ids), method, path, described)
    is_plain = "parameters" not in described and "requestBody" not in described

    seen: list[int] = []

    @settings(
        max_examples=1 if is_plain else CASES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(made_up)
    def try_one(sent: tuple[dict[str, Any], dict[str, Any], dict[str, Any], Any]) -> None:
        in_path, query, headers, body = sent
        target = path
        for name, value in in_path.items():
            target = target.replace(f"{{{name}}}", quote(as_text(value), safe="") or "-")
        response = client.request(
            method,
            service.base_url + target,
            params={name: as_text(value) for name, value in query.items()},
            headers={**JSON, **{name: quote(as_text(value)) for name, value in headers.items()}},
            content=json.dumps(body) if "requestBody" in described else None,
        )
        check(response, described, sent)
        seen.append(response.status_code)

    try_one()
    is_tried = is_plain or OPERATIONS[method, path].files is not None
    assert is_tried or any(status < 300 or status == 409 for status in seen), "nothing that was made up was valid"


def test_made_up_paths_are_refused(service: Service, household: Household) -> None:
    @settings(max_examples=150, derandomize=True, deadline=None, database=None, phases=[Phase.generate])
    @given(
        st.lists(st.sampled_from([*PATH_PREFIXES, "api", "v1", "documents", "", "."]) | st.text(max_size=9), max_size=5)
    )
    def try_one(parts: list[str]) -> None:
        target = "/".join(quote(part, safe="") for part in parts)
        response = household.tenant.http.get(f"{service.base_url}/{target}")
        assert response.status_code < 500, target

    try_one()
