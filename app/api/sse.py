"""Server-sent events: batches of ready-made bytes go out as they come, with signs of life. Knows no event types."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.adapters.eventlog.base import LogReader
from app.core import telemetry

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
PING = b": ping\n\n"
#: Name of the ASGI extension whose ``abort`` cuts the connection at once; ``app.server`` offers it.
ABORT = "insula.abort"


class Encoder(Protocol[E_contra]):
    """Turns events into bytes of one wire format; ``first`` is the number of the first one.

    No events are a silence: what an encoder makes of it is sent, or a ping.
    """

    def __call__(self, events: Sequence[E_contra], first: int) -> bytes:
        """The bytes of a batch; empty where the format has no word for these events."""
        ...


class Pacemaker:
    """One timer for all streams of a process: nudges readers that have waited long, cuts writers that are stuck."""

    def __init__(self, *, ping_seconds: float, stall_seconds: float = 60.0) -> None:
        self.ping_seconds = ping_seconds
        self.stall_seconds = stall_seconds
        self._streams: set[EventStream[Any]] = set()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self.ping_seconds / 2, self.stall_seconds / 2))
            self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        for stream in list(self._streams):
            stream.tick(now)

    def watch(self, stream: "EventStream[Any]") -> None:
        """Begin to look after a stream."""
        self._streams.add(stream)
        telemetry.STREAMS_OPEN.set(len(self._streams))

    def forget(self, stream: "EventStream[Any]") -> None:
        """Leave a stream alone."""
        self._streams.discard(stream)
        telemetry.STREAMS_OPEN.set(len(self._streams))


class EventStream(Generic[E]):
    """A reader and its encoder: yields bytes, and pings when there are none for a while."""

    def __init__(self, reader: LogReader[E], encode: Encoder[E], pacemaker: Pacemaker) -> None:
        self._reader = reader
        self._encode = encode
        self._pacemaker = pacemaker
        self._abort: Callable[[], object] | None = None
        self._since = time.monotonic()
        self._is_writing = False
        self.is_gone = False

    async def next_bytes(self) -> bytes | None:
        """The next bytes to send: events, or a ping after a long silence; None at the end."""
        while True:
            position = self._reader.position
            batch = await self._reader.next_batch()
            if batch is None or self.is_gone:
                return None
            if not batch:
                return self._encode(batch, position + 1) or PING
            if encoded := self._encode(batch, position + 1):
                return encoded if encoded.isascii() else _on_one_line(encoded)

    def tick(self, now: float) -> None:
        """Called every second or so by the pacemaker."""
        waited = now - self._since
        if self._is_writing:
            if waited > self._pacemaker.stall_seconds and self._abort is not None:
                self._pacemaker.forget(self)
                self.leave()
                self._abort()
        elif waited >= self._pacemaker.ping_seconds:
            self._reader.nudge()

    def leave(self) -> None:
        """The client has gone: stop reading. The run goes on without it."""
        self.is_gone = True
        self._reader.nudge()

    async def pump(self, write: Callable[[bytes], Awaitable[None]], abort: Callable[[], object]) -> None:
        """Write everything until the end, or until the client is gone; one that does not read for long is cut off."""
        self._abort = abort
        self._pacemaker.watch(self)
        try:
            data = await self.next_bytes()
            while data is not None and not self.is_gone:
                self._is_writing, self._since = True, time.monotonic()
                await write(data)
                self._is_writing, self._since = False, time.monotonic()
                data = await self.next_bytes()
        finally:
            self._pacemaker.forget(self)


def _on_one_line(data: bytes) -> bytes:
    """JSON without the characters that Python's ``splitlines``, and so many a client, takes for the end of a line."""
    data = data.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")
    return data.replace("\x85".encode(), b"\\u0085")


class EventStreamResponse(Response):
    """Sends a stream. ``is_status_open`` waits for something to say, since until then it may become an error."""

    def __init__(self, stream: EventStream[Any], *, headers: Mapping[str, str], is_status_open: bool = False) -> None:
        super().__init__(headers={**headers, **HEADERS})
        del self.headers["content-length"]
        self._stream = stream
        self._is_status_open = is_status_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the log ends or the client goes; raises what a failure before the first byte amounts to."""
        begin = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if not self._is_status_open:
            await send(begin)
        listener = asyncio.create_task(self._listen(receive))

        async def write(data: bytes) -> None:
            if self._is_status_open:
                self._is_status_open = False
                await send(begin)
            await send({"type": "http.response.body", "body": data, "more_body": True})

        try:
            await self._stream.pump(write, _abort_of(scope))
            if not self._stream.is_gone:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            listener.cancel()

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stream.leave()


def _abort_of(scope: Scope) -> Callable[[], object]:
    """What cuts the connection; where the server has no way to, the task that writes is stopped instead."""
    task = asyncio.current_task()
    assert task is not None
    abort: Callable[[], object] = scope.get("extensions", {}).get(ABORT, {}).get("abort", task.cancel)
    return abort
