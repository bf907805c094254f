"""The official SDKs and our adapters, given the same bytes, tell the same; and the SDKs' types accept our requests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from app.adapters.llm import anthropic as our_anthropic
from app.adapters.llm import openai as our_openai
from app.adapters.llm.anthropic import AnthropicModel
from app.adapters.llm.base import ChatMessage, ChatModel, ChatRequest, Finished, ReasoningDelta, TextDelta, Usage
from app.adapters.llm.http import ModelHttp
from app.adapters.llm.openai import OpenAIModel
from tests.upstream import Upstream, anthropic_body, openai_body, openai_chunk, sse, streamed, upstream

REQUEST = ChatRequest(
    "claude-sonnet-4-6",
    [ChatMessage("user", "Hello"), ChatMessage("assistant", "Yes?"), ChatMessage("user", "How far is the moon?")],
    system="Be brief.",
    temperature=0.2,
    max_tokens=64,
)
UNHEATED = replace(REQUEST, temperature=None)
PIECES = ("The ", "moon\n", '"é🙂" ', "\\u00e9", "")


@asynccontextmanager
async def serving(body: bytes, size: int | None) -> AsyncIterator[tuple[Upstream, ModelHttp]]:
    async with upstream(streamed(body, size)) as fake:
        http = ModelHttp()
        try:
            yield fake, http
        finally:
            await http.close()


async def told(model: ChatModel, request: ChatRequest = REQUEST) -> tuple[str, str, Usage | None, str]:
    events = [event async for event in model.stream(request)]
    usages = [event for event in events if isinstance(event, Usage)]
    finished = [event.reason for event in events if isinstance(event, Finished)]
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    thinking = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert len(finished) == 1
    return text, thinking, usages[-1] if usages else None, finished[0]


ANTHROPIC_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "refusal": "refusal",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("stop_reason", ANTHROPIC_REASONS)
@pytest.mark.parametrize("thinking", [(), ("Let me ", "see.")])
async def test_anthropic(size: int | None, stop_reason: str, thinking: Sequence[str]) -> None:
    cache = {"cache_read_input_tokens": 5, "cache_creation_input_tokens": 3}
    body = anthropic_body(*PIECES, thinking=thinking, stop_reason=stop_reason, **cache)
    async with serving(body, size) as (fake, http):
        text, reasoning, usage, reason = await told(AnthropicModel(http, api_key="k", base_url=fake.url), UNHEATED)
        async with (
            anthropic.AsyncAnthropic(api_key="k", base_url=fake.url, max_retries=0) as client,
            client.messages.stream(
                model="claude-sonnet-4-6", max_tokens=64, messages=[{"role": "user", "content": "x"}]
            ) as stream,
        ):
            message = await stream.get_final_message()
        ours, theirs = fake.requests
    assert text == "".join(block.text for block in message.content if block.type == "text")
    assert reasoning == "".join(block.thinking for block in message.content if block.type == "thinking")
    counted = message.usage
    assert usage == Usage(
        counted.input_tokens,
        counted.output_tokens,
        counted.cache_read_input_tokens or 0,
        counted.cache_creation_input_tokens or 0,
    )
    assert reason == ANTHROPIC_REASONS[str(message.stop_reason)]
    assert ours.path == theirs.path
    for header in ("anthropic-version", "content-type"):
        assert ours.headers[header] == theirs.headers[header]
    assert theirs.headers["authorization"] == f"Bearer {ours.headers['x-api-key']}"


OPENAI_REASONS = {"stop": "stop", "length": "length", "content_filter": "refusal", "tool_calls": "tool_calls"}


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("stop_reason", OPENAI_REASONS)
@pytest.mark.parametrize("is_counted", [True, False])
async def test_openai(size: int | None, stop_reason: str, *, is_counted: bool) -> None:
    async with serving(openai_body(*PIECES, stop_reason=stop_reason, is_counted=is_counted), size) as (fake, http):
        text, _, usage, reason = await told(OpenAIModel(http, api_key="k", base_url=f"{fake.url}/v1"))
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{fake.url}/v1", max_retries=0) as client:
            chunks = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
            read = [chunk async for chunk in chunks]
        ours, theirs = fake.requests
    choices = [choice for chunk in read for choice in chunk.choices]
    assert text == "".join(choice.delta.content or "" for choice in choices)
    assert reason == OPENAI_REASONS[next(choice.finish_reason for choice in choices if choice.finish_reason)]
    counted = next((chunk.usage for chunk in read if chunk.usage), None)
    assert usage == (Usage(counted.prompt_tokens, counted.completion_tokens) if counted else None)
    assert ours.path == theirs.path
    assert ours.headers["authorization"] == theirs.headers["authorization"]


MESSAGES_OF_SERVERS: list[tuple[str, bytes, tuple[str, str, str]]] = [
    ("no finish_reason", openai_chunk({"content": "a"}) + sse(b"[DONE]"), ("a", "", "stop")),
    ("no [DONE]", openai_chunk({"content": "a"}, "length"), ("a", "", "length")),
    ("all in one chunk", openai_chunk({"content": "a"}, "stop", usage={"prompt_tokens": 1}), ("a", "", "stop")),
    ("null fields", openai_chunk({"content": None, "role": None}) + openai_chunk({"content": "a"}, "stop", usage=None, error=None), ("a", "", "stop")),
    ("null choices", sse({"choices": None}) + openai_chunk({"content": "a"}, "eos"), ("a", "", "stop")),
    ("reasoning", openai_chunk({"reasoning": "hm", "content": ""}) + openai_chunk({"content": "a"}, "stop"), ("a", "hm", "stop")),
    ("refusal", openai_chunk({"refusal": "I cannot."}) + openai_chunk({}, "stop"), ("I cannot.", "", "refusal")),
    ("parts", openai_chunk({"content": [{"type": "text", "text": "a"}, {"type": "other"}]}, "stop"), ("a", "", "stop")),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), [pytest.param(b, e, id=name) for name, b, e in MESSAGES_OF_SERVERS])
async def test_what_compatible_servers_really_send(body: bytes, expected: tuple[str, str, str]) -> None:
    async with serving(body, None) as (fake, http):
        text, reasoning, _, reason = await told(OpenAIModel(http, base_url=f"{fake.url}/v1"))
        assert "authorization" not in fake.requests[0].headers
    assert (text, reasoning, reason) == expected


def validated(params: Any, body: dict[str, Any]) -> None:
    """Raises where the SDK's type does not take the body, or does not know a field of it."""
    TypeAdapter(params).validate_python(body, strict=True)
    assert body.keys() <= params.__annotations__.keys() | {
        name for base in params.__orig_bases__ for name in getattr(base, "__annotations__", {})
    }


def test_the_anthropic_sdk_accepts_our_requests() -> None:
    validated(MessageCreateParamsStreaming, our_anthropic.request_body(UNHEATED))


@pytest.mark.parametrize("is_openai", [True, False])
def test_the_openai_sdk_accepts_our_requests(*, is_openai: bool) -> None:
    body = our_openai.request_body(REQUEST, is_openai=is_openai)
    validated(CompletionCreateParamsStreaming, body)
    assert ("max_completion_tokens" in body, "max_tokens" in body) == (is_openai, not is_openai)


@pytest.mark.parametrize(
    ("model", "is_sent"),
    [
        ("claude-sonnet-4-6", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-opus-4-20250514", True),
        ("claude-3-5-haiku-20241022", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-8", False),
        ("claude-sonnet-5", False),
        ("claude-fable-5", False),
        ("claude-haiku-5-5", False),
        ("some-model-behind-a-gateway", True),
    ],
)
def test_temperature_goes_to_models_that_take_one(model: str, *, is_sent: bool) -> None:
    body = our_anthropic.request_body(ChatRequest(model, REQUEST.messages, temperature=0.0))
    assert ("temperature" in body) == is_sent


async def test_a_temperature_goes_by_the_version_that_takes_one() -> None:
    async with serving(anthropic_body("x"), None) as (fake, http):
        for request in (REQUEST, UNHEATED):
            await told(AnthropicModel(http, api_key="k", base_url=fake.url), request)
        versions = [request.headers["anthropic-version"] for request in fake.requests]
    assert versions == ["2023-06-01", "2026-10-21"]
    assert "temperature" in fake.requests[0].json()


def test_a_temperature_that_is_not_set_is_not_sent() -> None:
    request = ChatRequest("claude-sonnet-4-6", REQUEST.messages)
    assert "temperature" not in our_anthropic.request_body(request)
    assert "system" not in our_anthropic.request_body(request)
    assert "temperature" not in our_openai.request_body(request, is_openai=False)


@pytest.mark.parametrize(
    ("model", "is_sent"), [("o3", False), ("gpt-5-mini", False), ("gpt-4.1", True), ("gpt-5-chat-latest", True)]
)
def test_openais_reasoning_models_take_no_temperature(model: str, *, is_sent: bool) -> None:
    request = ChatRequest(model, REQUEST.messages, temperature=0.2)
    assert ("temperature" in our_openai.request_body(request, is_openai=True)) == is_sent
