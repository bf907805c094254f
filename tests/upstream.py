"""A model provider in a test: a raw server that replays bytes, with control over splits, delays, hangs and cuts."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

HANG: Final = "hang"
CUT: Final = "cut"
Step = bytes | float | Literal["hang", "cut"]
"""Bytes to send, seconds to wait, HANG until the client leaves, or CUT the connection."""

STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END: Final = b"0\r\n\r\n"


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Upstream:
    """Replies are used up in order; the last one is repeated."""

    url: str
    replies: list[Sequence[Step]] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    client_gone: asyncio.Event = field(default_factory=asyncio.Event)
    _sessions: set[asyncio.Task[None]] = field(default_factory=set)

    def reply(self, *steps: Step) -> None:
        self.replies.append(steps)

    @property
    def open_connections(self) -> int:
        return len(self._sessions)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.create_task(self._serve(reader, writer))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while request := await _received(reader):
                self.requests.append(request)
                steps = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not await self._play(steps, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.client_gone.set()
        finally:
            writer.close()

    async def _play(self, steps: Sequence[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for step in steps:
            if step == CUT:
                writer.transport.abort()
                return False
            if step == HANG:
                await reader.read(1)
                self.client_gone.set()
                return False
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
        return True

    async def abort(self) -> None:
        sessions = list(self._sessions)
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)


@asynccontextmanager
async def upstream(*replies: Sequence[Step]) -> AsyncIterator[Upstream]:
    fake = Upstream("", list(replies))
    server = await asyncio.start_server(fake.accept, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        await fake.abort()


async def _received(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(first.split(" ")[1], headers, body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streamed(body: bytes, size: int | None = None) -> list[Step]:
    """A whole answer: one HTTP chunk, or chunks of ``size`` bytes, each its own write."""
    parts = [body[i : i + size] for i in range(0, len(body), size)] if size else [body]
    steps: list[Step] = [STREAM_HEAD]
    for part in parts:
        steps.extend([chunk(part), 0.0] if size else [chunk(part)])
    return [*steps, END]


def plain(status: int, body: bytes | dict[str, Any], **headers: str) -> list[Step]:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    fields = {"content-type": "application/json" if isinstance(body, dict) else "text/html"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return [f"HTTP/1.1 {status} Reason\r\n{lines}content-length: {len(data)}\r\n\r\n".encode() + data]


def sse(data: Any, name: str | None = None) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + (data if isinstance(data, bytes) else orjson.dumps(data)) + b"\n\n"


def _named(event: dict[str, Any]) -> bytes:
    return sse(event, event["type"])


def _block(index: int, kind: str, pieces: Sequence[str]) -> Iterator[bytes]:
    name, delta = ("text", "text_delta") if kind == "text" else ("thinking", "thinking_delta")
    extra = {} if kind == "text" else {"signature": ""}
    block = {"type": name, name: "", **extra}
    yield _named({"type": "content_block_start", "index": index, "content_block": block})
    for piece in pieces:
        yield _named({"type": "content_block_delta", "index": index, "delta": {"type": delta, name: piece}})
    if kind != "text":
        signature = {"type": "signature_delta", "signature": "c2ln"}
        yield _named({"type": "content_block_delta", "index": index, "delta": signature})
    yield _named({"type": "content_block_stop", "index": index})


def anthropic_start(**usage: int) -> bytes:
    counts = {"input_tokens": 11, "output_tokens": 1} | usage
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": counts}  # type: ignore[dict-item]
    return _named({"type": "message_start", "message": message})


def anthropic_body(
    *pieces: str, thinking: Sequence[str] = (), stop_reason: str = "end_turn", output_tokens: int = 7, **usage: int
) -> bytes:
    """What Anthropic sends for an answer of these pieces."""
    parts = [anthropic_start(**usage), _named({"type": "ping"})]
    if thinking:
        parts.extend(_block(0, "thinking", thinking))
    parts.extend(_block(1 if thinking else 0, "text", pieces))
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    parts.append(_named({"type": "message_delta", "delta": delta, "usage": {"output_tokens": output_tokens}}))
    parts.append(_named({"type": "message_stop"}))
    return b"".join(parts)


def openai_chunk(delta: dict[str, Any] | None, reason: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return sse({**head, "choices": choices, **more})


def openai_body(
    *pieces: str,
    thinking: Sequence[str] = (),
    stop_reason: str = "stop",
    output_tokens: int = 7,
    is_counted: bool = True,
) -> bytes:
    """What an OpenAI-compatible server sends for an answer of these pieces."""
    parts = [openai_chunk({"role": "assistant", "content": ""})]
    parts.extend(openai_chunk({"reasoning_content": piece}) for piece in thinking)
    parts.extend(openai_chunk({"content": piece}) for piece in pieces)
    parts.append(openai_chunk({}, stop_reason))
    if is_counted:
        usage = {"prompt_tokens": 11, "completion_tokens": output_tokens, "total_tokens": 11 + output_tokens}
        parts.append(openai_chunk(None, usage=usage))
    parts.append(sse(b"[DONE]"))
    return b"".join(parts)
