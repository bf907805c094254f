"""Gives every request an id, binds it to the logs, and turns what nobody foresaw into a clean 500."""

import re

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import AppError
from app.core.ids import new_id
from app.middleware.responses import send_error

log = structlog.get_logger()

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{8,128}")


class RequestContextMiddleware:
    """Around all that can fail, so that every response and log line has the request's id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        has_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except ClientDisconnect:
                log.info("client_disconnected", path=scope["path"])
            except Exception as error:  # rule: allow broad-except because this is the one handler of the unexpected
                log.exception("request_crashed", path=scope["path"], error=type(error).__name__)
                if has_started:
                    raise
                await send_error(scope, send_with_id, _internal_error())


def _internal_error() -> AppError:
    return AppError("Something went wrong on our side. Try again; if it persists, report the request id.")


def _request_id(scope: Scope) -> str:
    """The caller's id where it is well formed, a new one otherwise."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _WELL_FORMED.fullmatch(value):
            return str(value.decode())
    return new_id("req")
