"""Runs: they outlive their listeners, can be read from every event on, and stop when told."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fixtures.model import Model
from tests.fixtures.raw import header, raw_stream, receive, reset
from tests.fixtures.service import TenantClient
from tests.fixtures.sse import Answer, ask, of_type, parse, read
from tests.upstream import HANG, STREAM_HEAD, anthropic_start, chunk

WORDS = "".join(f"word{number} " for number in range(40))


def wait_until(condition: Callable[[], Any], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def run_of(tenant: TenantClient, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = tenant.http.get(f"runs/{run_id}").json()
    return run


def replay(tenant: TenantClient, run_id: str, after: int, stream_format: str = "events") -> bytes:
    return read(tenant.http, "GET", f"runs/{run_id}/stream?starting_after={after}&stream_format={stream_format}").raw


def forget(model: Model, tenant: TenantClient, run_id: str) -> None:
    """Let the process forget a run that has ended, as it does after a while; the database remembers."""
    assert model.service.application.supervisor._runs.pop((tenant.id, run_id)).log.is_closed


def suffixes(raw: bytes) -> list[bytes]:
    """What is left of a stream after each of its events; the last one has all but the end."""
    blocks = raw.split(b"\n\n")[:-1]
    return [b"".join(block + b"\n\n" for block in blocks[number:]) for number in range(len(blocks))]


@pytest.mark.parametrize("seed", range(20))
def test_who_hangs_up_finds_the_whole_answer(model: Model, seed: int) -> None:
    model.drips(40, 0.003)
    chance = random.Random(seed)
    tenant = model.make_tenant()
    with raw_stream(tenant, {"message": "Hello?", "stream_format": "events"}) as client:
        head = receive(client, 300 + chance.randrange(5000))
        run_id = header(head, "x-run-id")
        if seed % 2:
            reset(client)
    wait_until(lambda: run_of(tenant, run_id)["status"] != "in_progress")
    run = run_of(tenant, run_id)
    (answer, _) = tenant.http.get(f"conversations/{run['conversation_id']}/messages").json()["data"]
    events = read(tenant.http, "GET", f"runs/{run_id}/stream").events
    assert (run["status"], answer["content"], answer["status"]) == ("completed", WORDS, "completed")
    assert "".join(event["text"] for event in of_type(events, "text.delta")) == WORDS
    assert len(model.asked) == 1


@pytest.mark.parametrize("stream_format", ["simple", "events"])
def test_a_run_reads_the_same_from_every_event_on_live_and_later(model: Model, stream_format: str) -> None:
    model.says(*[f"{number}\n\r\u2028 " for number in range(600)], thinking=["hm"])
    tenant = model.make_tenant()
    answer = ask(tenant.http, "Count.", stream_format=stream_format)
    blocks = parse(answer.raw)
    rest = suffixes(answer.raw)
    places = [0, *(int(event.id) for event in blocks)][:: 1 if stream_format == "simple" else 7]
    for is_live in (True, False):
        if not is_live:
            forget(model, tenant, answer.run_id)
        assert replay(tenant, answer.run_id, 0, stream_format) == answer.raw
        for place in places if is_live else places[::5]:
            left = [part for part, event in zip(rest, blocks, strict=True) if int(event.id) > place][:1]
            expected = left[0] if left else rest[-1]
            assert replay(tenant, answer.run_id, place, stream_format) == expected
        assert replay(tenant, answer.run_id, 10**30, stream_format) == rest[-1]


def test_last_event_id_is_where_to_go_on(model: Model) -> None:
    model.says(*"abcdef")
    tenant = model.make_tenant()
    answer = ask(tenant.http, "Spell.", stream_format="events")
    path = f"runs/{answer.run_id}/stream"
    last = str(len(answer.events))
    for given in (last, "9" * 5000, "-1", "x", "1_0", "²", ""):
        again = read(tenant.http, "GET", path, headers={"Last-Event-ID": given.encode()})
        assert again.raw == (suffixes(answer.raw)[-1] if given == last else answer.raw), given[:10]
    both = read(tenant.http, "GET", f"{path}?starting_after=3", headers={"Last-Event-ID": "5"})
    assert both.raw == suffixes(answer.raw)[3]
    assert tenant.http.get(f"{path}?starting_after=-1").status_code == 422


def test_many_readers_follow_a_run_while_it_goes_on(model: Model) -> None:
    model.drips(40, 0.01)
    tenant = model.make_tenant()
    with tenant.http.stream("POST", "chat/stream", json={"message": "Hello?", "stream_format": "events"}) as first:
        run_id = first.headers["X-Run-Id"]

        def follow(after: int) -> Answer:
            client = model.service.client(tenant.key)
            return read(client, "GET", f"runs/{run_id}/stream?starting_after={after}")

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(follow, range(8)))
        raw = b"".join(first.iter_bytes())
    assert [answer.raw for answer in answers] == suffixes(raw)[:8]


def test_runs_of_others_are_not_there(model: Model) -> None:
    model.says("Yes.")
    tenant, other = model.make_tenant(), model.make_tenant()
    run_id = ask(tenant.http, "Is it?").run_id
    for is_live in (True, False):
        if not is_live:
            forget(model, tenant, run_id)
        for identifier in (run_id, "run_00000000000000000000000000", "nonsense"):
            assert other.http.get(f"runs/{identifier}").status_code == 404
            assert other.http.get(f"runs/{identifier}/stream").status_code == 404
            assert other.http.post(f"runs/{identifier}/cancel").status_code == 404


def test_cancelling_keeps_what_was_said_and_stops_the_model(model: Model) -> None:
    model.drips(3, 0.0, HANG)
    tenant = model.make_tenant()
    with tenant.http.stream("POST", "chat/stream", json={"message": "Hello?"}) as response:
        run_id = response.headers["X-Run-Id"]
        pieces = response.iter_bytes()
        said = b""
        while b"word2" not in said:
            said += next(pieces)
        started = time.monotonic()
        cancelled = model.service.client(tenant.key).post(f"runs/{run_id}/cancel")
        wait_until(model.upstream.client_gone.is_set, 1)
        assert time.monotonic() - started < 1
        said += b"".join(pieces)
    assert [event.data for event in parse(said)][-1] == "[DONE]"
    assert b"error" not in said
    run = cancelled.json()
    assert (cancelled.status_code, run["status"]) == (200, "cancelled")
    assert run["usage"] == {"input_tokens": 11, "output_tokens": 1}  # what the model had announced
    answer, _ = tenant.http.get(f"conversations/{run['conversation_id']}/messages").json()["data"]
    assert (answer["id"], answer["content"]) == (run["message_id"], "word0 word1 word2 ")
    assert answer["status"] == "incomplete"
    assert read(tenant.http, "GET", f"runs/{run_id}/stream").events[-1]["type"] == "run.cancelled"
    again = tenant.http.post(f"runs/{run_id}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "run_ended")


def test_cancelling_before_anything_was_said_leaves_no_answer(model: Model) -> None:
    model.plays([STREAM_HEAD, chunk(anthropic_start()), HANG])
    tenant = model.make_tenant()
    run_id = tenant.http.post("chat", json={"message": "Hello?", "background": True}).json()["run_id"]
    cancelled = tenant.http.post(f"runs/{run_id}/cancel").json()
    assert (cancelled["status"], cancelled["message_id"]) == ("cancelled", None)
    assert len(tenant.http.get(f"conversations/{cancelled['conversation_id']}/messages").json()["data"]) == 1
    assert read(tenant.http, "GET", f"runs/{run_id}/stream").events[-1]["message_id"] is None


def test_cancelling_many_times_at_once_is_cancelling_once(model: Model) -> None:
    tenant = model.make_tenant()
    model.drips(3, 0.0, HANG)
    client_of = threading.local()

    def cancel(run_id: str) -> int:
        client_of.http = getattr(client_of, "http", None) or model.service.client(tenant.key)
        return int(client_of.http.post(f"runs/{run_id}/cancel").status_code)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            run_id = tenant.http.post("chat", json={"message": "Hello?", "background": True}).json()["run_id"]
            statuses = list(pool.map(cancel, [run_id] * 4))
            assert 200 in statuses
            assert set(statuses) <= {200, 409}
            assert run_of(tenant, run_id)["status"] == "cancelled"
            assert read(tenant.http, "GET", f"runs/{run_id}/stream").events[-1]["type"] == "run.cancelled"


def test_a_run_that_has_ended_cannot_be_cancelled(model: Model) -> None:
    model.says("Yes.")
    tenant = model.make_tenant()
    run_id = ask(tenant.http, "Is it?").run_id
    for is_live in (True, False):
        if not is_live:
            forget(model, tenant, run_id)
        response = tenant.http.post(f"runs/{run_id}/cancel")
        assert (response.status_code, response.json()["error"]["code"]) == (409, "run_ended")
    assert run_of(tenant, run_id)["status"] == "completed"


def test_usage_is_what_the_upstream_counted_and_counted_once(model: Model, quick_retries: None) -> None:
    tenant = model.make_tenant()
    model.says("Yes.", output_tokens=9, cache_read_input_tokens=5)
    run_ids = [ask(tenant.http, "Is it?").run_id for _ in range(3)]
    for run_id in run_ids:
        replay(tenant, run_id, 0)
    (row,) = [row for row in tenant.http.get("usage").json()["data"] if row["kind"] == "chat"]
    assert row | {"model": "anthropic:claude-x", "events": 3, "output_tokens": 27} == row
    assert row["input_tokens"] == 33
