"""The HTTP server process: uvicorn, told when to drain and who to tell that it is up."""

import asyncio
import asyncio.trsock
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.sse import ABORT
from app.core.config import Settings

#: Called with the base URL and the application once requests are served.
WhenUp = Callable[[str, FastAPI], Awaitable[None]]


#: Bytes of a request's head, or of its trailers: joining a long one costs the square of its length.
HEAD_LIMIT = 64 * 1024
HEAD_SECONDS = 30.0
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that bounds heads, in bytes and time, before any credential is known.

    The application can also cut a connection: a close would wait for a peer that never reads.
    """

    _unfinished = 0
    _has_progressed = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what uvicorn is given
        """Expect a whole head soon."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._set_deadline(is_expecting=False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what completes neither a head nor a piece of a body."""
        self._has_progressed = False
        super().data_received(data)
        self._unfinished = 0 if self._has_progressed else self._unfinished + len(data)
        if self._unfinished > HEAD_LIMIT and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._set_deadline(is_expecting=True)
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._has_progressed = True
        self._set_deadline(is_expecting=False)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body is whole."""
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._has_progressed = True
        super().on_message_complete()

    def _set_deadline(self, *, is_expecting: bool) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort) if is_expecting else None


class InsulaServer(uvicorn.Server):
    """Serves one application until a signal; readiness goes off and answers are drained before connections close."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, when_up: WhenUp) -> None:
        super().__init__(config)
        self._app = app
        self._when_up = when_up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            await self._when_up(base_url_of(self.servers[0].sockets[0]), self._app)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers finish for as long as the settings say, then stop."""
        self._app.state.is_draining = True
        application = getattr(self._app.state, "application", None)
        if application is not None:
            await application.supervisor.drain(self._app.state.settings.drain_seconds)
        await super().shutdown(sockets)
        self._captured_signals.clear()  # else uvicorn sends itself the signal again: a clean stop would look like a kill


def base_url_of(listener: "socket.socket | asyncio.trsock.TransportSocket") -> str:
    """Where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn is set, wherever it runs."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.drain_seconds) + 5,
    )


def bind(settings: Settings) -> socket.socket:
    """Take the address before anything else is opened; raises OSError where it is not to be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((settings.host, settings.port))
    except OSError:
        taken.close()
        raise
    return taken


def serve(app: FastAPI, settings: Settings, when_up: WhenUp, listener: socket.socket) -> bool:
    """Serve until stopped; whether it came up at all."""
    server = InsulaServer(server_config(app, settings), app, when_up)
    server.run([listener])
    return server.started
