"""Anthropic's Messages API, streamed."""

import re
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any, Final

from app.adapters.llm.base import ChatRequest, Finished, ModelEvent, Usage
from app.adapters.llm.errors import ModelBadCredentials
from app.adapters.llm.http import ModelHttp
from app.adapters.llm.keys import header_safe_key
from app.adapters.llm.rejections import error_of_event
from app.adapters.llm.streaming import EventDecoder, stream_answer

_API_VERSION: Final = "2026-10-21"
_API_VERSION_WITH_TEMPERATURE: Final = "2023-06-01"
_REASONS: Final[dict[str, Finished]] = {
    "end_turn": Finished("stop"),
    "stop_sequence": Finished("stop"),
    "pause_turn": Finished("stop"),
    "max_tokens": Finished("length"),
    "model_context_window_exceeded": Finished("length"),
    "tool_use": Finished("tool_calls"),
    "refusal": Finished("refusal"),
}
# Claude models after 4.6 answer 400 to any temperature, in every version of the API.
_TAKES_TEMPERATURE: Final = re.compile(r"claude-(instant|[23]|(opus|sonnet|haiku)-4(-[0-6])?(-\d{8})?($|@))")


class AnthropicModel:
    """Claude over aiohttp. ``base_url`` is meant as in the official SDK (``ANTHROPIC_BASE_URL``): without ``/v1``.

    The API's version 2026-10-21 refuses any temperature, so a request that sets one for a model that takes one goes
    by the version before it; the two do not differ in anything else that is used here.
    """

    provider = "anthropic"

    def __init__(self, http: ModelHttp, *, api_key: str | None, base_url: str = "https://api.anthropic.com") -> None:
        self._http = http
        self._url = f"{base_url.rstrip('/')}/v1/messages"
        self._key = header_safe_key(api_key) if api_key else None

    def stream(self, request: ChatRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask and yield text, reasoning, usage (at the start and in total at the end) and the reason of the stop."""
        body = request_body(request)
        version = _API_VERSION_WITH_TEMPERATURE if "temperature" in body else _API_VERSION
        headers = partial(self._headers, version)
        return stream_answer(self._http, _Decoder(self.provider), url=self._url, headers=headers, body=body)

    async def close(self) -> None:
        """Close the connection pool, which the models of one catalog share."""
        await self._http.close()

    def _headers(self, version: str) -> Mapping[str, str]:
        if self._key is None:
            raise ModelBadCredentials("No key for Anthropic is configured; set ANTHROPIC_API_KEY")
        return {"x-api-key": self._key, "anthropic-version": version, "content-type": "application/json"}


def request_body(request: ChatRequest) -> dict[str, Any]:
    """The body of ``POST /v1/messages``; temperature goes only to models that still take one."""
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
    }
    if request.system:
        body["system"] = request.system
    is_old = _TAKES_TEMPERATURE.match(request.model) or not request.model.startswith("claude")
    if request.temperature is not None and is_old:
        body["temperature"] = request.temperature
    return body


class _Decoder(EventDecoder):
    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self._counts: dict[str, int] = {}

    def decode(self, data: bytes) -> None:
        event = self.loads(data)
        kind = event["type"]
        if kind == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                self.say(delta["text"])
            elif delta["type"] == "thinking_delta":
                self.reason_aloud(delta["thinking"])
        elif kind == "message_start":
            self._count(event["message"].get("usage"))
        elif kind == "content_block_start":
            self._open_block(event["content_block"])
        elif kind == "message_delta":
            self._count(event.get("usage"))
            self._stop(event["delta"].get("stop_reason"))
        elif kind == "message_stop":
            self.is_done = True
        elif kind == "error":
            raise error_of_event(self.provider, event.get("error"))

    def _open_block(self, block: Mapping[str, Any]) -> None:
        """A block may open with content already in it; mostly it is empty."""
        if block["type"] == "text":
            self.say(block.get("text", ""))
        elif block["type"] == "thinking":
            self.reason_aloud(block.get("thinking", ""))

    def _stop(self, reason: str | None) -> None:
        if reason is not None:
            self.reason = _REASONS.get(reason, Finished("stop"))

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        """Counts are cumulative, and a later event may leave out what an earlier one said."""
        self._counts |= {name: count for name, count in (usage or {}).items() if isinstance(count, int)}
        count = self._counts.get
        self.account(
            Usage(
                input_tokens=count("input_tokens", 0),
                output_tokens=count("output_tokens", 0),
                cache_read_tokens=count("cache_read_input_tokens", 0),
                cache_write_tokens=count("cache_creation_input_tokens", 0),
            )
        )
