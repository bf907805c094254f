"""Chat: the two wire formats byte for byte, what each failure looks like, and whole answers."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.fixtures.model import Model, ending, word
from tests.fixtures.service import TenantClient
from tests.fixtures.sse import ask, comments, of_type, parse, read
from tests.upstream import CUT, HANG, STREAM_HEAD, anthropic_body, anthropic_start, chunk, plain, sse, streamed

HOSTILE = [
    "two\nlines\r\n\r\n",
    "data: [DONE]\n\n",
    "\r",
    "id: 9\nevent: run.failed\n: comment",
    "nul \x00 \x1f \x7f",
    "\"quotes\" \\ 'and' \\u0000 \\n",
    "👩\u200d👩\u200d👧 😀 é \u202e \ufeff \ufffd",
    "\u2028 \u2029 \x85 \x0b \x0c \x1c line ends of others",
    "[DONE]",
    " ",
    "x" * 2**20,
]


def test_the_simple_format_is_the_contract_byte_for_byte(model: Model) -> None:
    model.says("Hel", "lo")
    answer = ask(model.make_tenant().http, "Hello?")
    written = b'id: %d\ndata: {"text": "Hel"}\n\nid: %d\ndata: {"text": "lo"}\n\nid: %d\ndata: [DONE]\n\n'
    assert answer.raw == written % tuple(int(event.id) for event in answer.sse)
    lines = [line for line in answer.raw.split(b"\n") if not line.startswith(b"id: ")]
    assert b"\n".join(lines) == b'data: {"text": "Hel"}\n\ndata: {"text": "lo"}\n\ndata: [DONE]\n\n'
    headers = answer.response.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert headers["Cache-Control"] == "no-cache, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert answer.run_id.startswith("run_")
    assert answer.conversation_id.startswith("conv_")
    assert "Content-Encoding" not in headers


@pytest.mark.parametrize("stream_format", ["simple", "events"])
def test_any_text_arrives_as_it_was_said(model: Model, stream_format: str) -> None:
    model.says(*HOSTILE)
    tenant = model.make_tenant()
    answer = ask(tenant.http, "Say it.", stream_format=stream_format)
    numbers = [int(event.id) for event in answer.sse]
    assert numbers == sorted(set(numbers))
    if stream_format == "simple":
        assert [event.json()["text"] for event in answer.sse[:-1]] == HOSTILE
        assert answer.text == "".join(HOSTILE)
    else:
        events = answer.events
        assert [event["text"] for event in of_type(events, "text.delta")] == HOSTILE
        assert [event["sequence_number"] for event in events] == list(range(1, len(events) + 1)) == numbers
        assert all(event["type"] == sent.name for event, sent in zip(events, answer.sse, strict=True))
        assert {event["run_id"] for event in events} == {answer.run_id}
    saved = tenant.http.get(f"conversations/{answer.conversation_id}/messages").json()["data"][0]
    assert saved["content"] == "".join(HOSTILE)
    # Clients that split lines as Python does find no line that an event did not write.
    assert all(line.startswith(("data: ", "id: ", "event: ")) or not line for line in answer.raw.decode().splitlines())


def test_half_a_surrogate_pair_in_each_of_two_pieces_is_one_character(model: Model) -> None:
    body = anthropic_body("ha", "lf", " lost ").replace(b'"ha"', b'"\\ud83d"').replace(b'"lf"', b'"\\ude00"')
    model.plays(streamed(body.replace(b'" lost "', b'" \\ude00 lost "')))
    assert ask(model.make_tenant().http, "Smile.").text == "😀 \ufffd lost "


def test_silence_is_filled_with_comments(model: Model, quick_pings: None) -> None:
    rest = [chunk(word(1) + ending(2)), b"0\r\n\r\n"]
    model.plays([STREAM_HEAD, chunk(anthropic_start() + word(0)), 1.5, *rest])
    answer = ask(model.make_tenant().http, "Think for a while.")
    assert set(comments(answer.raw)) == {"ping"}
    assert answer.raw.index(b"word0") < answer.raw.index(b": ping\n\n") < answer.raw.index(b"word1")
    assert answer.text == "word0 word1 "


def test_a_failure_after_a_ping_is_told_in_the_stream(model: Model, quick_pings: None, quick_retries: None) -> None:
    model.plays([HANG])
    answer = ask(model.make_tenant().http, "Hello?")
    error, done = answer.sse
    assert comments(answer.raw)
    assert (error.json()["error"]["code"], done.data) == ("upstream_unavailable", "[DONE]")


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"agent_id": "agt_00000000000000000000000000"}, 404, "not_found"),
        ({"conversation_id": "conv_00000000000000000000000000"}, 404, "not_found"),
        ({"knowledge_base_ids": ["kb_00000000000000000000000000"]}, 404, "not_found"),
        ({"message": None}, 422, "validation_error"),
        ({"message": "a", "messages": [{"role": "user", "content": "b"}]}, 422, "validation_error"),
        ({"message": None, "messages": [{"role": "assistant", "content": "b"}]}, 422, "validation_error"),
        ({"stream_fromat": "simple"}, 422, "validation_error"),
        ({"stream_format": "xml"}, 422, "validation_error"),
        ({"message": ""}, 422, "validation_error"),
        ({"message": "nul \x00"}, 422, "validation_error"),
    ],
)
def test_what_can_be_refused_is_refused_before_a_run_begins(
    model: Model, wanted: dict[str, Any], status: int, code: str
) -> None:
    model.says("never")
    tenant = model.make_tenant()
    response = tenant.http.post("chat/stream", json={"message": "Hello?", **wanted})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert tenant.http.get("runs").json()["data"] == []
    assert model.asked == []


def test_a_model_that_nobody_has_is_422(model: Model) -> None:
    tenant = model.make_tenant()
    agent = tenant.http.post("agents", json={"name": "A", "model": "nobody:knows"})
    if agent.status_code == 201:
        agent = tenant.http.post("chat/stream", json={"message": "Hello?", "agent_id": agent.json()["id"]})
    assert (agent.status_code, agent.json()["error"]["code"]) == (422, "unknown_model")


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
FAILURES = [
    (
        plain(401, {"error": {"type": "authentication_error", "message": "sk-secret is bad"}}),
        502,
        "upstream_credentials",
        1,
    ),
    (plain(400, {"error": {"type": "invalid_request_error", "message": "too long"}}), 502, "upstream_rejected", 1),
    (plain(429, {"error": {"type": "rate_limit_error"}}, retry_after="77"), 503, "upstream_rate_limited", 1),
    (plain(500, b"<html>oops</html>"), 503, "upstream_unavailable", 3),
    (plain(529, OVERLOADED), 503, "upstream_unavailable", 3),
    ([STREAM_HEAD, chunk(anthropic_start() + sse(OVERLOADED, "error")), b"0\r\n\r\n"], 503, "upstream_unavailable", 3),
    ([CUT], 503, "upstream_unavailable", 3),
    ([HANG], 503, "upstream_unavailable", 3),
    ([STREAM_HEAD, HANG], 503, "upstream_unavailable", 3),
    (plain(200, b"<html>login</html>"), 503, "upstream_unavailable", 3),
    (streamed(b"data: {not json\n\n"), 503, "upstream_unavailable", 3),
]


@pytest.mark.parametrize(("reply", "status", "code", "tries"), FAILURES)
@pytest.mark.parametrize("path", ["chat/stream", "chat"])
def test_a_failure_before_the_first_byte_is_an_http_error(
    model: Model, quick_retries: None, path: str, reply: list[Any], status: int, code: str, tries: int
) -> None:
    model.plays(reply)
    tenant = model.make_tenant()
    response = tenant.http.post(path, json={"message": "Hello?"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert error["type"] == ("overloaded_error" if status == 503 else "upstream_error")
    assert error["request_id"] == response.headers["X-Request-Id"]
    assert "sk-" not in response.text
    if status == 503:
        assert int(response.headers["Retry-After"]) == (77 if code == "upstream_rate_limited" else 5)
    assert len(model.asked) == tries
    (run,) = tenant.http.get("runs").json()["data"]
    assert (run["status"], run["error"]["code"]) == ("failed", code)


@pytest.mark.parametrize("cut", [CUT, HANG, chunk(sse(OVERLOADED, "error"))])
def test_a_failure_after_the_first_byte_is_told_in_the_stream_and_not_asked_again(model: Model, cut: Any) -> None:
    model.drips(3, 0.0, cut)
    tenant = model.make_tenant()
    answer = ask(tenant.http, "Hello?")
    *texts, error, done = answer.sse
    assert answer.response.status_code == 200
    assert "".join(text.json()["text"] for text in texts) == "word0 word1 word2 "
    assert error.json()["error"].keys() == {"type", "code", "message", "param", "request_id"}
    assert error.json()["error"]["code"] == "upstream_cut_off"
    assert done.data == "[DONE]"
    assert len(model.asked) == 1
    run = tenant.http.get(f"runs/{answer.run_id}").json()
    (message,) = [
        message
        for message in tenant.http.get(f"conversations/{answer.conversation_id}/messages").json()["data"]
        if message["role"] == "assistant"
    ]
    assert (run["status"], run["message_id"]) == ("failed", message["id"])
    assert (message["status"], message["content"]) == ("incomplete", "word0 word1 word2 ")
    events = read(tenant.http, "GET", f"runs/{answer.run_id}/stream").events
    assert events[-1]["error"]["code"] == "upstream_cut_off"
    again = read(tenant.http, "GET", f"runs/{answer.run_id}/stream?stream_format=simple")
    assert [event.id for event in again.sse] == [event.id for event in answer.sse]


def test_the_events_format_tells_every_failure_in_the_stream(model: Model) -> None:
    model.plays(plain(401, {"error": {"type": "authentication_error"}}))
    events = ask(model.make_tenant().http, "Hello?", stream_format="events").events
    assert [event["type"] for event in events] == ["run.created", "retrieval.completed", "run.failed"]
    assert events[-1]["error"]["code"] == "upstream_credentials"
    assert events[-1]["error"]["type"] == "upstream_error"


def test_events_name_conversation_reasoning_usage_and_message(model: Model) -> None:
    model.says("Yes.", thinking=["Hm", "m."], output_tokens=9)
    tenant = model.make_tenant()
    answer = ask(tenant.http, "Is it?", stream_format="events")
    events = answer.events
    message = tenant.http.get(f"conversations/{answer.conversation_id}/messages").json()["data"][0]
    assert events[0] | {"conversation_id": answer.conversation_id, "agent_id": None} == events[0]
    assert [event["text"] for event in of_type(events, "reasoning.delta")] == ["Hm", "m."]
    usage = of_type(events, "usage")[-1]
    assert (usage["input_tokens"], usage["output_tokens"], usage["model"]) == (11, 9, "anthropic:claude-x")
    assert events[-1]["message_id"] == message["id"]
    simple = ask(tenant.http, "Is it?")
    assert simple.text == "Yes."


def test_the_whole_answer_is_what_was_streamed(model: Model) -> None:
    model.says("Hel", "lo", output_tokens=5)
    tenant = model.make_tenant()
    whole = tenant.http.post("chat", json={"message": "Hello?"})
    body = whole.json()
    assert (whole.status_code, body["text"], body["status"], body["citations"]) == (200, "Hello", "completed", [])
    assert body["usage"] == {"input_tokens": 11, "output_tokens": 5}
    assert whole.headers["X-Run-Id"] == body["run_id"]
    run = tenant.http.get(f"runs/{body['run_id']}").json()
    assert (run["status"], run["message_id"], run["usage"]) == ("completed", body["message_id"], body["usage"])


def test_a_run_in_the_background_can_be_found_as_soon_as_it_is_accepted(model: Model) -> None:
    model.drips(5, 0.02)
    tenant = model.make_tenant()
    for _ in range(5):
        accepted = tenant.http.post("chat", json={"message": "Hello?", "background": True})
        run_id = accepted.json()["run_id"]
        assert accepted.status_code == 202
        run = tenant.http.get(f"runs/{run_id}")
        assert (run.status_code, run.json()["status"]) == (200, "in_progress")
        events = read(tenant.http, "GET", f"runs/{run_id}/stream").events
        assert "".join(event["text"] for event in of_type(events, "text.delta")) == "word0 word1 word2 word3 word4 "
        assert tenant.http.get(f"runs/{run_id}").json()["status"] == "completed"


def test_who_hangs_up_on_a_whole_answer_still_finds_it(model: Model) -> None:
    model.drips(10, 0.05)
    tenant = model.make_tenant()
    with pytest.raises(httpx.ReadTimeout):
        tenant.http.post("chat", json={"message": "Hello?"}, timeout=0.2)
    deadline = time.monotonic() + 10
    while (run := tenant.http.get("runs").json()["data"][0])["status"] == "in_progress":
        assert time.monotonic() < deadline
    assert run["status"] == "completed"
    saved = tenant.http.get(f"conversations/{run['conversation_id']}/messages").json()["data"][0]
    assert saved["content"] == "".join(f"word{number} " for number in range(10))


def test_the_standards_parser_of_these_tests_knows_the_standard() -> None:
    stream = b"\xef\xbb\xbf: c\r\nid: 1\rdata:a\ndata: b\n\nevent: x\ndata\n\nid\ndata:  c\n\nevent: lost\n\ndata: cut"
    assert [(event.id, event.name, event.data) for event in parse(stream)] == [
        ("1", "message", "a\nb"),
        ("1", "x", ""),
        ("", "message", " c"),
    ]
    assert comments(stream[3:]) == ["c"]


def test_the_example_in_the_description_is_in_the_format(tenant: TenantClient) -> None:
    schema = tenant.service.app.openapi()
    example = schema["paths"]["/api/v1/chat/stream"]["post"]["responses"]["200"]["content"]["text/event-stream"][
        "example"
    ]
    *texts, done = parse(example.encode())
    assert done.data == "[DONE]"
    assert all(json.loads(text.data).keys() == {"text"} for text in texts)
