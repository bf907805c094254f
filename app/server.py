"""The HTTP server process: uvicorn, told when to drain and who to tell that it is up."""

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


class AbortableProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose connections the application can cut: a close would wait for a peer that never reads."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}


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
        http=AbortableProtocol,
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
