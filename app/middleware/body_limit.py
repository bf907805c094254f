"""Refuses bodies that are too large, by their announcement or as they stream past the limit."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import InvalidRequest, PayloadTooLarge
from app.middleware.responses import send_error

_MULTIPART_OVERHEAD = 64 * 1024


class _BodyTooLarge(Exception):
    """Unwinds the application; the middleware answers."""


class BodyLimitMiddleware:
    """``limits`` gives paths with a limit of their own, in bytes of file; all others have ``default`` bytes."""

    def __init__(self, app: ASGIApp, *, default: int, limits: dict[str, int]) -> None:
        self.app = app
        self._default = default
        self._limits = {path: limit + _MULTIPART_OVERHEAD for path, limit in limits.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], self._default)
        announced = _announced(scope)
        if announced is None:
            await send_error(scope, send, InvalidRequest("The Content-Length header is not a number."))
        elif announced > limit:
            await send_error(scope, send, too_large(limit))
        else:
            await self._serve(scope, receive, send, limit)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        received, is_refused, has_started = 0, False, False

        async def count(_: None = None) -> Message:
            nonlocal received, is_refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                is_refused = True
                raise _BodyTooLarge
            return message

        async def send_unless_refused(message: Message) -> None:
            nonlocal has_started
            if is_refused and not has_started:
                raise _BodyTooLarge
            has_started = True
            await send(message)

        try:
            await self.app(scope, count, send_unless_refused)
        except _BodyTooLarge:
            if not has_started:
                await send_error(scope, send, too_large(limit))


def too_large(limit: int) -> PayloadTooLarge:
    """The refusal of a body past the limit."""
    return PayloadTooLarge(
        f"The request is larger than the limit of {limit} bytes. Send less, or split the file.",
        code="request_too_large",
    )


def _announced(scope: Scope) -> int | None:
    """The announced length, 0 where none is, None where it is no number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return 0
