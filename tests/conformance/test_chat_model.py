"""What every chat model owes the port, and what every model over HTTP makes of a provider's failures."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from app.adapters.llm.anthropic import AnthropicModel
from app.adapters.llm.base import (
    ChatMessage,
    ChatModel,
    ChatRequest,
    Finished,
    ModelEvent,
    Passage,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from app.adapters.llm.errors import (
    ModelBadCredentials,
    ModelCutOff,
    ModelError,
    ModelRateLimited,
    ModelRejected,
    ModelUnavailable,
)
from app.adapters.llm.extractive import ExtractiveModel
from app.adapters.llm.fallback import FallbackModel, RetryingModel, RetryPolicy
from app.adapters.llm.http import Deadlines, ModelHttp
from app.adapters.llm.openai import OpenAIModel
from app.adapters.llm.scripted import ScriptedModel
from tests.upstream import (
    CUT,
    END,
    HANG,
    STREAM_HEAD,
    Step,
    Upstream,
    anthropic_body,
    anthropic_start,
    chunk,
    openai_body,
    openai_chunk,
    plain,
    sse,
    streamed,
    upstream,
)

KEY = "sk-very-secret-0123456789"
REQUEST = ChatRequest("m", [ChatMessage("user", "How far is the moon?")], system="Be brief.", max_tokens=64)


@dataclass(frozen=True)
class Vendor:
    """How to speak as one vendor: its adapter, and the bytes it would send."""

    name: str
    make: Callable[[ModelHttp, str], ChatModel]
    body: Callable[..., bytes]
    opening: bytes
    error: Callable[[str, str], bytes]


def _anthropic_error(kind: str, message: str) -> bytes:
    return sse({"type": "error", "error": {"type": kind, "message": message}}, "error")


def _openai_error(kind: str, message: str) -> bytes:
    return sse({"error": {"type": kind, "message": message, "param": None, "code": None}})


VENDORS = [
    Vendor(
        "anthropic",
        lambda http, url: AnthropicModel(http, api_key=KEY, base_url=url),
        anthropic_body,
        anthropic_start(),
        _anthropic_error,
    ),
    Vendor(
        "openai",
        lambda http, url: OpenAIModel(http, api_key=KEY, base_url=f"{url}/v1"),
        openai_body,
        openai_chunk({"role": "assistant", "content": ""}),
        _openai_error,
    ),
]


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    chosen: Vendor = request.param
    return chosen


@asynccontextmanager
async def served(
    vendor: Vendor, *replies: list[Step], deadlines: Deadlines | None = None
) -> AsyncIterator[tuple[ChatModel, Upstream]]:
    async with upstream(*replies) as fake:
        model = vendor.make(ModelHttp(deadlines), fake.url)
        try:
            yield model, fake
        finally:
            await model.close()


async def collect(model: ChatModel, request: ChatRequest = REQUEST) -> list[ModelEvent]:
    return [event async for event in model.stream(request)]


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def failure_of(model: ChatModel) -> tuple[str, ModelError]:
    """The text before the failure, and the failure; fails where the stream ends well."""
    said = ""
    with pytest.raises(ModelError) as caught:  # noqa: PT012 (the failure is somewhere in the loop)
        async for event in model.stream(REQUEST):
            assert not isinstance(event, Finished)
            said += event.text if isinstance(event, TextDelta) else ""
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(model) + caught.value.message
    assert KEY not in shown
    return said, caught.value


# --- every model ---------------------------------------------------------------------------------------------------


def _local_models() -> list[ChatModel]:
    echo = ScriptedModel()
    return [ExtractiveModel(), echo, RetryingModel(echo), FallbackModel([(echo, "echo")])]


@pytest.mark.parametrize("model", _local_models(), ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("passages", [(), (Passage(3, "Moon", "The moon is 384,400 km away from the earth."),)])
async def test_a_local_model_says_something_and_finishes_once(model: ChatModel, passages: tuple[Passage, ...]) -> None:
    events = await collect(model, replace(REQUEST, passages=passages))
    assert text_of(events)
    assert [type(event) for event in events].count(Finished) == 1
    assert isinstance(events[-1], Finished)
    assert ("[3]" in text_of(events)) == bool(passages)
    await model.close()


async def test_an_answer_is_text_then_usage_then_one_finished(vendor: Vendor) -> None:
    async with served(vendor, streamed(vendor.body("The ", "moon."))) as (model, fake):
        events = await collect(model)
    assert text_of(events) == "The moon."
    assert [event for event in events if isinstance(event, Usage)][-1] == Usage(11, 7)
    assert [event for event in events if isinstance(event, Finished)] == [Finished("stop")]
    assert events[-1] == Finished("stop")
    assert "insula" in fake.requests[0].headers["user-agent"]


async def test_reasoning_is_told_apart_from_text(vendor: Vendor) -> None:
    async with served(vendor, streamed(vendor.body("Far.", thinking=["Let me ", "see"]))) as (model, _):
        events = await collect(model)
    assert [event.text for event in events if isinstance(event, ReasoningDelta)] == ["Let me ", "see"]
    assert text_of(events) == "Far."


PIECES = ('line\nbreak\r\n"quoted" \\back', "data: x\n\ndata: y", "é🙂한국 हिन्दी", "\x00\x1f\u2028", "[DONE]", " ")


@pytest.mark.parametrize("size", [None, 1, 2, 3, 7, 64])
async def test_text_survives_every_split(vendor: Vendor, size: int | None) -> None:
    async with served(vendor, streamed(vendor.body(*PIECES), size)) as (model, _):
        assert text_of(await collect(model)) == "".join(PIECES)


@pytest.mark.parametrize("size", [None, 1, 5])
async def test_escaped_surrogate_pairs_are_joined_within_and_across_events(vendor: Vendor, size: int | None) -> None:
    body = vendor.body("<whole>", "a<high>", "<low>b", "<high>", "c")
    for name, escape in ((b"<whole>", rb"\ud83d\ude42"), (b"<high>", rb"\ud83d"), (b"<low>", rb"\ude42")):
        body = body.replace(name, escape)
    async with served(vendor, streamed(body, size)) as (model, _):
        said = text_of(await collect(model))
    assert said.startswith("🙂a🙂b")
    assert said.encode().decode() == said


async def test_connections_are_used_again(vendor: Vendor) -> None:
    async with served(vendor, streamed(vendor.body("one"))) as (model, fake):
        for _ in range(3):
            await collect(model)
        assert len(fake.requests) == 3
        assert fake.connections == 1


# --- failures before the first word --------------------------------------------------------------------------------

STATUSES: list[tuple[int, type[ModelError]]] = [
    (400, ModelRejected),
    (401, ModelBadCredentials),
    (402, ModelBadCredentials),
    (403, ModelBadCredentials),
    (404, ModelRejected),
    (408, ModelUnavailable),
    (413, ModelRejected),
    (422, ModelRejected),
    (429, ModelRateLimited),
    (500, ModelUnavailable),
    (502, ModelUnavailable),
    (503, ModelUnavailable),
    (529, ModelUnavailable),
    (302, ModelRejected),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
async def test_a_status_is_one_kind_of_error(vendor: Vendor, status: int, kind: type[ModelError]) -> None:
    body = {
        "type": "error",
        "error": {"type": "some_error", "message": f"bad {KEY}" if status in (401, 403) else "too\nlong"},
    }
    async with served(vendor, plain(status, body, location="http://127.0.0.1:1/")) as (model, fake):
        said, error = await failure_of(model)
    assert (type(error), error.status, said, len(fake.requests)) == (kind, status, "", 1)
    assert ("too long" in error.message) == (kind is ModelRejected and status != 302)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "-3"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_read(vendor: Vendor, headers: dict[str, str], seconds: float | None) -> None:
    async with served(vendor, plain(429, {"error": {"message": "slow down"}}, **headers)) as (model, _):
        _, error = await failure_of(model)
    assert isinstance(error, ModelRateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (
            429,
            {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your current quota"},
        ),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API"}),
    ],
)
async def test_an_account_without_credit_is_not_the_callers_fault(vendor: Vendor, status: int, error: Any) -> None:
    async with served(vendor, plain(status, {"error": error})) as (model, _):
        _, failure = await failure_of(model)
    assert isinstance(failure, ModelBadCredentials)


SILENT_FAILURES: list[tuple[str, list[Step], type[ModelError]]] = [
    ("html page with status 503", plain(503, b"<html>busy</html>"), ModelUnavailable),
    ("html page with status 200", plain(200, b"<html>login</html>"), ModelUnavailable),
    ("json instead of a stream", plain(200, {"ok": True}), ModelUnavailable),
    (
        "json error with status 200",
        plain(200, {"error": {"type": "invalid_request_error", "message": "x"}}),
        ModelRejected,
    ),
    ("endless refusal", [b"HTTP/1.1 500 E\r\ncontent-length: 9999\r\n\r\nx", CUT], ModelUnavailable),
    ("cut before headers", [CUT], ModelUnavailable),
    ("cut within headers", [STREAM_HEAD[:30], CUT], ModelUnavailable),
    ("cut after headers", [STREAM_HEAD, CUT], ModelUnavailable),
    ("empty stream", [STREAM_HEAD, END], ModelUnavailable),
    ("not http", [b"SSH-2.0-OpenSSH\r\n\r\n", CUT], ModelUnavailable),
    ("broken chunking", [STREAM_HEAD, b"zz\r\nhello\r\n"], ModelUnavailable),
    ("garbage json", streamed(b"data: {nonsense\n\n"), ModelUnavailable),
    ("invalid utf-8", streamed(b'data: {"type":"\xff\xfe"}\n\n'), ModelUnavailable),
    ("json of another shape", streamed(b"data: [1, 2]\n\n"), ModelUnavailable),
    ("json number", streamed(b"data: 5\n\n"), ModelUnavailable),
    ("deep json", streamed(b"data: " + b"[" * 5000 + b"\n\n"), ModelUnavailable),
]


@pytest.mark.parametrize(("reply", "kind"), [pytest.param(r, k, id=name) for name, r, k in SILENT_FAILURES])
async def test_a_failure_before_the_first_word(vendor: Vendor, reply: list[Step], kind: type[ModelError]) -> None:
    async with served(vendor, reply) as (model, _):
        said, error = await failure_of(model)
    assert (type(error), said) == (kind, "")


async def test_an_address_where_nobody_listens(vendor: Vendor) -> None:
    model = vendor.make(ModelHttp(), "http://127.0.0.1:9")
    _, error = await failure_of(model)
    assert isinstance(error, ModelUnavailable)
    await model.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", ModelUnavailable),
        ("api_error", ModelUnavailable),
        ("never_heard_of", ModelUnavailable),
        ("rate_limit_error", ModelRateLimited),
        ("authentication_error", ModelBadCredentials),
        ("invalid_request_error", ModelRejected),
    ],
)
async def test_an_error_event_after_200(vendor: Vendor, kind: str, expected: type[ModelError]) -> None:
    async with served(vendor, streamed(vendor.opening + vendor.error(kind, "why"))) as (model, _):
        said, error = await failure_of(model)
    assert (type(error), said) == (expected, "")


# --- failures in the middle ----------------------------------------------------------------------------------------


async def test_a_cut_at_every_byte_keeps_what_was_said_and_repeats_nothing(vendor: Vendor) -> None:
    body = vendor.body("one ", "two ", "three")
    for cut in range(0, len(body), 11):
        async with served(vendor, [STREAM_HEAD, chunk(body[:cut]) if cut else b"", CUT]) as (model, _):
            said, error, finished = "", None, 0
            try:
                async for event in model.stream(REQUEST):
                    said += event.text if isinstance(event, TextDelta) else ""
                    finished += isinstance(event, Finished)
            except ModelError as caught:
                error = caught
        assert "one two three".startswith(said)
        assert (finished, said) == (1, "one two three") if error is None else finished == 0
        assert error is None or isinstance(error, ModelCutOff if said else ModelUnavailable)


async def test_an_error_event_after_the_first_word_is_a_cut(vendor: Vendor) -> None:
    whole = vendor.body("one ", "two")
    begun = whole[: whole.index(b"two")].rpartition(b"\n\n")[0] + b"\n\n"
    async with served(vendor, streamed(begun + vendor.error("overloaded_error", "why"))) as (model, _):
        said, error = await failure_of(model)
    assert (type(error), said) == (ModelCutOff, "one ")


async def test_an_empty_piece_is_nothing_said(vendor: Vendor) -> None:
    begun = vendor.body("", "two").partition(b"two")[0].rpartition(b"\n\n")[0] + b"\n\n"
    async with served(vendor, [STREAM_HEAD, chunk(begun), CUT]) as (model, _):
        said, error = await failure_of(model)
    assert (type(error), said) == (ModelUnavailable, "")


async def test_text_that_is_no_text_is_refused(vendor: Vendor) -> None:
    body = vendor.body("<piece>").replace(b'"<piece>"', b"7")
    async with served(vendor, streamed(body)) as (model, _):
        _, error = await failure_of(model)
    assert isinstance(error, ModelUnavailable)


async def test_an_event_without_end_is_refused(vendor: Vendor) -> None:
    flood: list[Step] = [STREAM_HEAD, *[chunk(b"data: " + b"x" * 1_000_000)] * 9, HANG]
    async with served(vendor, flood) as (model, _):
        _, error = await failure_of(model)
    assert isinstance(error, ModelUnavailable)
    assert "larger than" in error.message


# --- deadlines -----------------------------------------------------------------------------------------------------

SHORT = Deadlines(connect=1, first_token=0.15, idle=5, total=5)


@pytest.mark.parametrize("steps", [[HANG], [STREAM_HEAD, HANG], [STREAM_HEAD, *[chunk(b": ping\n\n"), 0.02] * 100]])
async def test_no_first_word_in_time(vendor: Vendor, steps: list[Step]) -> None:
    async with served(vendor, steps, deadlines=SHORT) as (model, fake):
        began = asyncio.get_running_loop().time()
        _, error = await failure_of(model)
        assert asyncio.get_running_loop().time() - began < 1
        assert isinstance(error, ModelUnavailable)
        await asyncio.wait_for(_gone(fake), 1)


async def _gone(fake: Upstream) -> None:
    while fake.open_connections:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_hang_in_the_middle_trips_the_idle_deadline(vendor: Vendor) -> None:
    whole = vendor.body("one ", "two")
    begun = whole[: whole.index(b"two")]
    async with served(vendor, [STREAM_HEAD, chunk(begun), HANG], deadlines=replace(SHORT, idle=0.1)) as (model, fake):
        said, error = await failure_of(model)
        assert (type(error), said) == (ModelCutOff, "one ")
        await asyncio.wait_for(fake.client_gone.wait(), 1)


async def test_a_drip_of_single_bytes_trips_the_idle_deadline(vendor: Vendor) -> None:
    begun = vendor.body("one ", "two").partition(b"two")[0]
    drip: list[Step] = [chunk(b"x"), 0.02]
    steps = [STREAM_HEAD, chunk(begun), *drip * 60]
    async with served(vendor, steps, deadlines=replace(SHORT, idle=0.15)) as (model, _):
        said, error = await failure_of(model)
    assert (type(error), said) == (ModelCutOff, "one ")
    assert "nothing arrived" in error.message


async def test_an_endless_answer_trips_the_total_deadline(vendor: Vendor) -> None:
    body = vendor.body("one ", "two")
    start = body[: body.index(b"two")].rpartition(b"\n\n")[0].rpartition(b"\n\n")
    word = start[2] + b"\n\n"
    steps: list[Step] = [
        STREAM_HEAD,
        chunk(start[0] + b"\n\n"),
        *[step for _ in range(200) for step in (chunk(word), 0.01)],
    ]
    async with served(vendor, steps, deadlines=replace(SHORT, total=0.3)) as (model, _):
        said, error = await failure_of(model)
    assert isinstance(error, ModelCutOff)
    assert said.count("one ") > 5
    assert "not complete" in error.message


async def test_a_slow_reader_is_not_blamed_on_the_provider(vendor: Vendor) -> None:
    async with served(vendor, streamed(vendor.body("one ", "two")), deadlines=replace(SHORT, idle=0.05)) as (model, _):
        said = ""
        async for event in model.stream(REQUEST):
            said += event.text if isinstance(event, TextDelta) else ""
            await asyncio.sleep(0.12)
    assert said == "one two"


# --- leaving early -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_cancelling_closes_the_upstream_connection(vendor: Vendor, is_wrapped: bool) -> None:  # noqa: FBT001
    begun = vendor.body("one ", "two").partition(b"two")[0]
    async with served(vendor, [STREAM_HEAD, chunk(begun), HANG]) as (inner, fake):
        model: ChatModel = FallbackModel([(RetryingModel(inner), "m")]) if is_wrapped else inner
        has_begun = asyncio.Event()

        async def consume() -> None:
            async for event in model.stream(REQUEST):
                if isinstance(event, TextDelta):
                    has_begun.set()

        task = asyncio.create_task(consume())
        await asyncio.wait_for(has_begun.wait(), 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(fake.client_gone.wait(), 1)


@pytest.mark.parametrize("steps", [[HANG], [STREAM_HEAD, HANG]])
async def test_cancelling_while_nothing_came_closes_too(vendor: Vendor, steps: list[Step]) -> None:
    async with served(vendor, steps) as (model, fake):
        task = asyncio.create_task(collect(model))
        while not fake.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(fake.client_gone.wait(), 1)


async def test_closing_the_stream_closes_the_upstream_connection(vendor: Vendor) -> None:
    begun = vendor.body("one ", "two").partition(b"two")[0]
    async with served(vendor, [STREAM_HEAD, chunk(begun), HANG]) as (inner, fake):
        model = FallbackModel([(RetryingModel(inner), "m")])
        async with aclosing(model.stream(REQUEST)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        await asyncio.wait_for(fake.client_gone.wait(), 1)


# --- retries over the wire -----------------------------------------------------------------------------------------


async def test_a_refusal_is_retried_and_a_cut_is_not(vendor: Vendor) -> None:
    begun = vendor.body("one ", "two").partition(b"two")[0]
    busy = plain(529, {"error": {"type": "overloaded_error", "message": "busy"}})
    policy = RetryPolicy(base_delay=0.001)
    async with served(vendor, busy, busy, streamed(vendor.body("fine"))) as (inner, fake):
        assert text_of(await collect(RetryingModel(inner, policy))) == "fine"
        assert len(fake.requests) == 3
    async with served(vendor, [STREAM_HEAD, chunk(begun), 0.05, CUT]) as (inner, fake):
        said, error = await failure_of(RetryingModel(inner, policy))
        assert (type(error), said, len(fake.requests)) == (ModelCutOff, "one ", 1)
