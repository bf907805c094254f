"""Listeners come and go, and some never read: nothing of them stays alive, and nothing waits for them."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from app.api.sse import EventStream, EventStreamResponse
from tests.api.test_runs import wait_until
from tests.fixtures.model import Model
from tests.fixtures.raw import header, raw_stream, receive, reset
from tests.fixtures.sse import ask, parse, read
from tests.upstream import HANG, STREAM_HEAD, anthropic_start, chunk


def listeners() -> int:
    gc.collect()
    return sum(isinstance(thing, EventStream | EventStreamResponse) for thing in gc.get_objects())


def tasks(model: Model, name: str) -> int:
    """Tasks of the service's loop whose coroutine has this name."""
    gc.collect()
    found = [thing for thing in gc.get_objects() if isinstance(thing, asyncio.Task) and not thing.done()]
    return sum(name in task.get_coro().__qualname__ for task in found)  # type: ignore[union-attr]


@pytest.fixture
def quick_stall(model: Model) -> Iterator[None]:
    pacemaker = model.service.app.state.pacemaker
    seconds, pacemaker.stall_seconds = pacemaker.stall_seconds, 0.5
    yield
    pacemaker.stall_seconds = seconds


@pytest.mark.parametrize("words", [0, 1])
def test_two_hundred_that_hang_up_leave_nothing(model: Model, patience: None, words: int) -> None:
    tenant = model.make_tenant()
    model.drips(words, 0.0, HANG)
    with ExitStack() as stack:
        clients = [stack.enter_context(raw_stream(tenant, {"message": "Hello?"})) for _ in range(200)]
        if words:
            for client in clients:
                receive(client, 100)
        wait_until(lambda: len(model.asked) == 200)
        assert len(model.service.app.state.pacemaker._streams) == 200
        # Nobody holds a connection to the database while the model thinks.
        pool: Any = model.service.application.resources.database.engine.pool
        wait_until(lambda: len(tenant.http.get("runs?limit=100").json()["data"]) == 100 and not pool.checkedout())
        assert len(model.service.application.supervisor.open_run_ids) == 200
        for number, client in enumerate(clients):
            reset(client) if number % 2 else client.close()
    wait_until(lambda: not model.service.app.state.pacemaker._streams, 5)
    wait_until(lambda: not listeners(), 5)
    assert tasks(model, "EventStreamResponse") == 0
    assert tasks(model, "RequestResponseCycle") == 0
    assert len(model.service.application.supervisor.open_run_ids) == 200  # they go on all the same


def test_who_never_reads_is_cut_off_and_the_run_goes_on(model: Model, quick_stall: None) -> None:
    model.says(*["x" * 60_000 for _ in range(100)])
    tenant = model.make_tenant()
    with raw_stream(tenant, {"message": "Hello?"}, receive_buffer=4096) as client:
        head = receive(client, 300)
        started = time.monotonic()
        wait_until(lambda: not model.service.app.state.pacemaker._streams, 5)
        assert time.monotonic() - started < 4
        rest = b""
        with suppress(ConnectionResetError):
            rest = receive(client, 10**9)  # what was on its way; then the connection is gone
        assert len(rest) < 5_000_000
        assert not rest.endswith(b"0\r\n\r\n")
    assert listeners() == 0
    run_id = header(head, "x-run-id")
    assert tenant.http.get(f"runs/{run_id}").json()["status"] == "completed"
    again = read(tenant.http, "GET", f"runs/{run_id}/stream?stream_format=simple")
    assert len(again.text) == 6_000_000


def test_who_never_reads_a_long_run_holds_little_of_it(model: Model) -> None:
    model.says(*["some words of an answer "] * 40_000)
    tenant = model.make_tenant()
    run_id = ask(tenant.http, "Hello?").run_id
    with raw_stream(tenant, None, path=f"runs/{run_id}/stream", receive_buffer=4096) as client:
        receive(client, 300)
        wait_until(lambda: any(stream._is_writing for stream in model.service.app.state.pacemaker._streams))
        time.sleep(0.1)
        (stream,) = model.service.app.state.pacemaker._streams
        assert stream._reader.position < 20_000
        reset(client)
    wait_until(lambda: not model.service.app.state.pacemaker._streams, 5)


def test_a_slow_reader_is_not_cut_off(model: Model, quick_stall: None) -> None:
    model.says(*["x" * 10_000 for _ in range(100)])
    tenant = model.make_tenant()
    with raw_stream(tenant, {"message": "Hello?"}, receive_buffer=65536) as client:
        data = b""
        while b"[DONE]" not in data:
            data += receive(client, 1)
            time.sleep(0.05)
    assert data.count(b"x" * 10_000) == 100
    assert parse(data.partition(b"\r\n\r\n")[2])


def test_the_wait_for_the_first_word_ends_with_the_client(model: Model, patience: None) -> None:
    model.plays([STREAM_HEAD, chunk(anthropic_start()), HANG])
    tenant = model.make_tenant()
    with raw_stream(tenant, {"message": "Hello?"}) as client:
        wait_until(lambda: len(model.asked) == 1)
        assert len(model.service.app.state.pacemaker._streams) == 1
        reset(client)
        wait_until(lambda: not model.service.app.state.pacemaker._streams, 1)
