"""The port to chat models: one request in, a stream of typed events out."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of the conversation, as the model should read it."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A numbered excerpt that the answer may rely on; ``number`` is what a ``[n]`` marker in the answer refers to."""

    number: int
    title: str
    text: str
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What to ask.

    ``system`` is already complete (instructions and, where retrieval is on, the passages rendered as text): a vendor
    sends it as it is. ``passages`` are the same excerpts in structured form, for models that read them themselves.
    ``temperature`` None means the vendor's default.
    """

    model: str
    messages: Sequence[ChatMessage]
    system: str = ""
    temperature: float | None = None
    max_tokens: int = 4096
    passages: Sequence[Passage] = field(default_factory=tuple)


class TextDelta:
    """A piece of the answer's text; plain class with slots, since one is made for every token."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class ReasoningDelta:
    """A piece of the model's visible reasoning, where the vendor sends any."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the vendor counts them; the last one of a stream is the total."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The model stopped by itself or at a limit. Exactly one ends every stream that did not raise."""

    reason: Literal["stop", "length", "tool_calls", "refusal"]


ModelEvent = TextDelta | ReasoningDelta | Usage | Finished


class ChatModel(Protocol):
    """A provider of chat models (one per vendor and base URL, shared by all tenants).

    ``stream`` raises a ``ModelError`` of ``errors.py`` on every failure, before or in the middle of the stream, never
    anything of the vendor's; cancelling it closes the upstream connection, and so does ``aclose()``: who may leave
    the stream early holds it in ``contextlib.aclosing``.
    """

    provider: str

    def stream(self, request: ChatRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask and yield events as they arrive."""
        ...

    async def close(self) -> None:
        """Close what is shared, such as the connection pool."""
        ...
