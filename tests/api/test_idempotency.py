"""The same request under the same ``Idempotency-Key`` has one effect and one answer."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.core.errors import Overloaded
from app.repositories.idempotency import IdempotencyRepository
from tests.fixtures.service import Service, TenantClient

REPLAYED = "Idempotent-Replayed"


def keyed(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid4())}


def code_of(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


def agents_of(tenant: TenantClient) -> list[dict[str, Any]]:
    return list(tenant.http.get("agents", params={"limit": 100}).json()["data"])


def documents_of(tenant: TenantClient) -> list[dict[str, Any]]:
    return list(tenant.http.get("documents", params={"limit": 100}).json()["data"])


def runs_of(tenant: TenantClient) -> list[dict[str, Any]]:
    return list(tenant.http.get("runs", params={"limit": 100}).json()["data"])


def test_a_repeated_request_gets_the_first_answer(tenant: TenantClient) -> None:
    headers = keyed()
    first = tenant.http.post("agents", json={"name": "Once"}, headers=headers)
    again = tenant.http.post("agents", json={"name": "Once"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first.headers["Content-Type"] == again.headers["Content-Type"]
    assert (first.headers.get(REPLAYED), again.headers[REPLAYED]) == (None, "true")
    assert first.headers["X-Request-Id"] != again.headers["X-Request-Id"]
    assert len(agents_of(tenant)) == 1


def test_without_the_header_every_request_counts(tenant: TenantClient) -> None:
    answers = [tenant.http.post("knowledge", json={"name": f"Base {n}"}).status_code for n in (1, 2)]
    assert answers == [201, 201]


def test_another_body_or_path_under_the_same_key_is_refused(tenant: TenantClient) -> None:
    headers = keyed()
    tenant.http.post("agents", json={"name": "One"}, headers=headers)
    for path, body in (("agents", {"name": "Two"}), ("knowledge", {"name": "One"})):
        refused = tenant.http.post(path, json=body, headers=headers)
        assert (refused.status_code, code_of(refused)) == (409, "idempotency_key_reused")
    assert [agent["name"] for agent in agents_of(tenant)] == ["One"]


def test_keys_are_a_callers_own(tenant: TenantClient, other: TenantClient) -> None:
    headers = keyed()
    colleague = tenant.service.client(tenant.key_with(role="admin"))
    answers = [
        client.post("agents", json={"name": f"Agent {n}"}, headers=headers)
        for n, client in enumerate((tenant.http, other.http, colleague))
    ]
    assert [(answer.status_code, REPLAYED in answer.headers) for answer in answers] == [(201, False)] * 3


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "tab\tbed"])
def test_a_malformed_key_is_refused(tenant: TenantClient, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    refused = tenant.http.post("agents", json={"name": "Never"}, headers=headers)
    assert (refused.status_code, code_of(refused)) == (400, "invalid_idempotency_key")
    assert agents_of(tenant) == []


def test_two_keys_are_refused(tenant: TenantClient) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    refused = tenant.http.post("agents", json={"name": "Never"}, headers=headers)
    assert (refused.status_code, code_of(refused)) == (400, "invalid_idempotency_key")


def test_refusals_are_not_kept(tenant: TenantClient) -> None:
    headers = keyed()
    refused = tenant.http.post("agents", json={"name": "A", "colour": "red"}, headers=headers)
    assert refused.status_code == 422
    accepted = tenant.http.post("agents", json={"name": "A"}, headers=headers)
    assert (accepted.status_code, REPLAYED in accepted.headers) == (201, False)


def test_a_hundred_at_once_have_one_effect(tenant: TenantClient) -> None:
    headers = keyed()

    def post(_: int) -> httpx.Response:
        return tenant.http.post("agents", json={"name": "Crowd"}, headers=headers)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(100)))
    assert len(agents_of(tenant)) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {code_of(answer) for answer in answers if answer.status_code == 409} <= {"idempotency_in_progress"}
    created = {answer.content for answer in answers if answer.status_code == 201}
    assert len(created) == 1
    assert sum(REPLAYED not in answer.headers for answer in answers if answer.status_code == 201) == 1


def test_secrets_in_an_answer_are_repeated_but_not_legible_in_the_database(tenant: TenantClient) -> None:
    headers = keyed()
    first = tenant.http.post("api-keys", json={"name": "ci"}, headers=headers)
    again = tenant.http.post("api-keys", json={"name": "ci"}, headers=headers)
    assert first.json()["key"] == again.json()["key"]
    data_dir = tenant.service.settings.data_dir
    stored = b"".join(path.read_bytes() for path in data_dir.glob("insula.db*"))
    assert first.json()["id"].encode() in stored
    assert first.json()["key"].encode() not in stored
    assert headers["Idempotency-Key"].encode() not in stored


def test_the_operators_requests_are_repeatable_too(service: Service) -> None:
    headers, body = keyed(), {"name": "Repeated", "slug": f"repeated-{uuid4().hex[:8]}"}
    first = service.admin.post("tenants", json=body, headers=headers)
    again = service.admin.post("tenants", json=body, headers=headers)
    assert (first.status_code, again.status_code, again.headers[REPLAYED]) == (201, 201, "true")
    assert first.json() == again.json()


def test_a_form_is_the_same_whatever_its_boundary(tenant: TenantClient) -> None:
    headers = keyed()
    sent = [
        tenant.http.post(
            "documents/upload",
            files={"file": ("plan.md", b"# Plan\n\nSail at dawn."), "metadata": (None, '{"year": 2026}')},
            headers={**headers, "Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        for boundary in ("first-boundary", "a-second-and-longer-boundary")
    ]
    assert [answer.status_code for answer in sent] == [202, 202]
    assert sent[0].content == sent[1].content
    assert sent[1].headers[REPLAYED] == "true"
    assert len(documents_of(tenant)) == 1


@pytest.mark.parametrize(
    "other_form",
    [
        {"file": ("plan.md", b"# Plan\n\nSail at dusk.")},
        {"file": ("plan-2.md", b"# Plan\n\nSail at dawn.")},
        {"file": ("plan.md", b"# Plan\n\nSail at dawn."), "metadata": (None, '{"year": 2027}')},
    ],
)
def test_another_file_name_or_field_is_another_form(tenant: TenantClient, other_form: dict[str, Any]) -> None:
    headers = keyed()
    tenant.http.post("documents/upload", files={"file": ("plan.md", b"# Plan\n\nSail at dawn.")}, headers=headers)
    refused = tenant.http.post("documents/upload", files=other_form, headers=headers)
    assert (refused.status_code, code_of(refused)) == (409, "idempotency_key_reused")
    assert len(documents_of(tenant)) == 1


def test_a_refused_upload_frees_its_key(tenant: TenantClient) -> None:
    headers = keyed()
    refused = tenant.http.post("documents/upload", files={"file": ("empty.md", b"")}, headers=headers)
    assert refused.status_code in (400, 422)
    accepted = tenant.http.post("documents/upload", files={"file": ("full.md", b"Text.")}, headers=headers)
    assert accepted.status_code == 202


def test_a_body_that_is_too_large_is_refused_before_it_is_held(tenant: TenantClient) -> None:
    limit = tenant.service.settings.max_body_bytes
    headers = keyed() | {"Content-Type": "text/plain"}
    refused = tenant.http.post("documents/upload", content=b"x" * (limit + 1), headers=headers)
    assert (refused.status_code, code_of(refused)) == (413, "request_too_large")


def chat(tenant: TenantClient, headers: dict[str, str], **body: Any) -> tuple[httpx.Headers, str]:
    with tenant.http.stream("POST", "chat/stream", json=body, headers=headers) as response:
        assert response.status_code == 200, response.read()
        return response.headers, response.read().decode()


@pytest.mark.parametrize("stream_format", ["simple", "events"])
def test_a_stream_is_read_again_not_generated_again(tenant: TenantClient, stream_format: str) -> None:
    headers, body = keyed(), {"message": "How deep is the harbour?", "stream_format": stream_format}
    first_headers, first = chat(tenant, headers, **body)
    again_headers, again = chat(tenant, headers, **body)
    assert first == again
    assert first_headers["X-Run-Id"] == again_headers["X-Run-Id"]
    assert first_headers["X-Conversation-Id"] == again_headers["X-Conversation-Id"]
    assert again_headers[REPLAYED] == "true"
    assert again_headers["Content-Type"].startswith("text/event-stream")
    assert len(runs_of(tenant)) == 1


def test_a_second_reader_joins_a_stream_that_goes_on(tenant: TenantClient) -> None:
    agent = tenant.http.post("agents", json={"name": "Slow", "model": "scripted:it20-n2000"}).json()
    headers, body = keyed(), {"message": "Count.", "stream_format": "events", "agent_id": agent["id"]}
    with tenant.http.stream("POST", "chat/stream", json=body, headers=headers) as first:
        lines = first.iter_lines()
        assert "word1 " in next(line for line in lines if '"text.delta"' in line and line.startswith("data: "))
        with tenant.http.stream("POST", "chat/stream", json=body, headers=headers) as second:
            assert second.headers["X-Run-Id"] == first.headers["X-Run-Id"]
            assert tenant.http.post(f"runs/{first.headers['X-Run-Id']}/cancel").status_code == 200
            assert "run.cancelled" in second.read().decode()
    assert len(runs_of(tenant)) == 1


def test_a_stream_that_never_began_is_tried_again(tenant: TenantClient) -> None:
    agent = tenant.http.post("agents", json={"name": "Broken", "model": "scripted:e400"}).json()
    headers, body = keyed(), {"message": "Hello?", "agent_id": agent["id"]}
    first = tenant.http.post("chat/stream", json=body, headers=headers)
    assert first.status_code == 502
    tenant.http.patch(f"agents/{agent['id']}", json={"model": "scripted:echo"})
    _, text = chat(tenant, headers, **body)
    assert "asked" in text


def test_a_stream_whose_run_is_gone_is_generated_anew(tenant: TenantClient) -> None:
    agent = tenant.http.post("agents", json={"name": "Echo", "model": "scripted:echo"}).json()
    headers, body = keyed(), {"message": "Hello?", "agent_id": agent["id"]}
    lost, _ = chat(tenant, headers, **body)
    erase_run(tenant, lost["X-Run-Id"])
    anew, text = chat(tenant, headers, **body)
    assert anew["X-Run-Id"] != lost["X-Run-Id"]
    assert "asked" in text
    again, _ = chat(tenant, headers, **body)
    assert (again["X-Run-Id"], again[REPLAYED]) == (anew["X-Run-Id"], "true")


def erase_run(tenant: TenantClient, run_id: str) -> None:
    """As if the process had died before the run's rows were written."""
    tenant.service.application.supervisor._runs.pop((tenant.id, run_id), None)
    with sqlite3.connect(tenant.service.settings.data_dir / "insula.db", timeout=15) as connection:
        connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
    connection.close()


def test_a_whole_answer_is_repeated_with_its_run(tenant: TenantClient) -> None:
    headers, body = keyed(), {"message": "How deep is the harbour?"}
    answers = [tenant.http.post("chat", json=body, headers=headers) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["X-Run-Id"] == answers[1].headers["X-Run-Id"]
    assert len(runs_of(tenant)) == 1


@pytest.mark.parametrize("error", [Overloaded("down"), RuntimeError("a defect")])
def test_an_effect_without_its_record_does_not_happen(
    tenant: TenantClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: object, **__: object) -> bool:
        raise error

    headers, form = keyed(), {"file": ("plan.md", b"# Plan\n\nSail at dawn.")}
    with monkeypatch.context() as patch:
        patch.setattr(IdempotencyRepository, "complete", fail)
        assert tenant.http.post("agents", json={"name": "One"}, headers=headers).status_code in (500, 503)
        assert tenant.http.post("documents/upload", files=form, headers=keyed()).status_code in (500, 503)
    assert (agents_of(tenant), documents_of(tenant)) == ([], [])
    assert tenant.http.post("agents", json={"name": "One"}, headers=headers).status_code == 201
    assert len(agents_of(tenant)) == 1


def test_a_document_that_was_uploaded_under_a_key_is_processed(tenant: TenantClient) -> None:
    files = {"file": ("plan.md", b"# Plan\n\nSail at dawn.")}
    accepted = tenant.http.post("documents/upload", files=files, headers=keyed()).json()
    assert tenant.wait(accepted["id"])["status"] == "ready"
