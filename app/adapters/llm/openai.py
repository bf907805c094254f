"""Any server that speaks OpenAI's ``/chat/completions``, streamed: OpenAI, vLLM, Ollama, llama.cpp and others."""

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from app.adapters.llm.base import ChatRequest, Finished, ModelEvent, Usage
from app.adapters.llm.errors import ModelBadCredentials, ModelUnavailable
from app.adapters.llm.http import ModelHttp
from app.adapters.llm.keys import header_safe_key
from app.adapters.llm.rejections import error_of_event
from app.adapters.llm.streaming import EventDecoder, stream_answer

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
_REASONS: Final[dict[str, Finished]] = {
    "stop": Finished("stop"),
    "length": Finished("length"),
    "tool_calls": Finished("tool_calls"),
    "function_call": Finished("tool_calls"),
    "content_filter": Finished("refusal"),
}
# OpenAI's own reasoning models answer 400 to any temperature but the default.
_REASONS_ALWAYS: Final = re.compile(r"o\d|gpt-[5-9](?!.*chat)")


class OpenAIModel:
    """Chat completions over aiohttp.

    ``base_url`` is meant as in the official SDK: with ``/v1``. A key is needed for OpenAI itself only; servers of
    one's own mostly want none. The limit is sent as ``max_completion_tokens`` to api.openai.com, whose newer models
    refuse ``max_tokens``, and as ``max_tokens`` to every other host, since few of those know the newer name.
    """

    def __init__(
        self,
        http: ModelHttp,
        *,
        api_key: str | None = None,
        base_url: str = OPENAI_BASE_URL,
        provider: str = "openai",
        key_variable: str = "OPENAI_API_KEY",
    ) -> None:
        self.provider = provider
        self._http = http
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._is_openai = urlsplit(base_url).hostname == "api.openai.com"
        self._key_variable = key_variable
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {header_safe_key(api_key)}"

    def stream(self, request: ChatRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask and yield text, reasoning, usage (where the server counts) and the reason of the stop."""
        body = request_body(request, is_openai=self._is_openai)
        decoder = _Decoder(self.provider)
        return stream_answer(self._http, decoder, url=self._url, headers=self._authorised, body=body)

    async def close(self) -> None:
        """Close the connection pool, which the models of one catalog share."""
        await self._http.close()

    def _authorised(self) -> Mapping[str, str]:
        if self._is_openai and "authorization" not in self._headers:
            raise ModelBadCredentials(f"No key for OpenAI is configured; set {self._key_variable}")
        return self._headers


def request_body(request: ChatRequest, *, is_openai: bool) -> dict[str, Any]:
    """The body of ``POST /chat/completions``; see the class for what depends on the host."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [*system, *({"role": m.role, "content": m.content} for m in request.messages)],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens" if is_openai else "max_tokens": request.max_tokens,
    }
    if request.temperature is not None and not (is_openai and _REASONS_ALWAYS.match(request.model)):
        body["temperature"] = request.temperature
    return body


class _Decoder(EventDecoder):
    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self._has_refused = False

    def decode(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.is_done = True
            return
        chunk = self.loads(data)
        if chunk.get("error"):
            raise error_of_event(self.provider, chunk["error"])
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta")
            if delta:
                self._tell(delta)
            if choice.get("finish_reason"):
                self._stop(choice)
        if chunk.get("usage"):
            self.account(_usage(chunk["usage"]))

    def _tell(self, delta: Mapping[str, Any]) -> None:
        """Servers name reasoning ``reasoning_content`` (DeepSeek, vLLM, llama.cpp) or ``reasoning`` (OpenRouter, Ollama)."""
        text = delta.get("content")
        if text:
            self.say(text if isinstance(text, str) else _text_of_parts(text))
            return
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning and isinstance(reasoning, str):
            self.reason_aloud(reasoning)
        if delta.get("refusal"):
            self.say(delta["refusal"])
            self._has_refused = True

    def _stop(self, choice: Mapping[str, Any]) -> None:
        if choice["finish_reason"] == "error":
            raise ModelUnavailable(f"The model provider {self.provider} failed in the middle of its answer; try again")
        reason = _REASONS.get(choice["finish_reason"], Finished("stop"))
        self.reason = Finished("refusal") if self._has_refused else reason


def _text_of_parts(parts: list[Mapping[str, Any]]) -> str:
    """Some servers (Mistral) send content as a list of typed parts."""
    return "".join(part["text"] for part in parts if part.get("type") == "text")


def _usage(counts: Mapping[str, Any]) -> Usage:
    details = counts.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=counts.get("prompt_tokens") or 0,
        output_tokens=counts.get("completion_tokens") or 0,
        cache_read_tokens=details.get("cached_tokens") or 0,
        cache_write_tokens=details.get("cache_write_tokens") or 0,
    )
