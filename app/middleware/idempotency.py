"""Carries a POST with an ``Idempotency-Key`` out once; its repetitions get the first answer again."""

import re
from urllib.parse import unquote

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import AppError, InvalidRequest
from app.middleware.body_limit import too_large
from app.middleware.request_digest import RequestDigest
from app.middleware.responses import send_error
from app.services.application import Application
from app.services.idempotency import Answer, Claim, IdempotencyService, Kept

log = structlog.get_logger()

_KEY = re.compile(rb"[\x20-\x7e]{1,255}")
_STREAM = "text/event-stream"
_REPLAYED = (b"idempotent-replayed", b"true")


class _NotKept(Exception):
    """Unwinds the application, whose answer must not be given, for it could not be given again."""

    def __init__(self, reason: AppError) -> None:
        super().__init__(reason.code)
        self.reason = reason


class IdempotencyMiddleware:
    """Innermost, for it needs to know the caller. Requests without the header pass it untouched."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self.app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or "principal" not in scope["state"]:
            await self.app(scope, receive, send)
            return
        keys = [value for name, value in scope["headers"] if name == b"idempotency-key"]
        if not keys:
            await self.app(scope, receive, send)
            return
        try:
            await _KeyedRequest(self.app, scope, receive, send, self._max_body_bytes).serve(_checked(keys))
        except AppError as error:
            await send_error(scope, send, error)


def _checked(keys: list[bytes]) -> bytes:
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(
            "Send one Idempotency-Key of 1 to 255 printable ASCII characters, such as a UUID.",
            code="invalid_idempotency_key",
            param="Idempotency-Key",
        )
    return keys[0]


class _KeyedRequest:
    """One request. A form is digested while it streams through; any other body is read first, for it is small."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, max_body_bytes: int) -> None:
        application: Application = scope["app"].state.application
        self._service: IdempotencyService = application.idempotency
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._max_body_bytes = max_body_bytes
        self._digest = RequestDigest(scope)
        self._body: bytes | None = None

    async def serve(self, key: bytes) -> None:
        """Replay or carry out; raises AppError before anything was sent."""
        use = self._service.use_of(self._scope["state"]["principal"], self._scope["state"]["request_id"], key)
        if not self._digest.is_form:
            self._body = await self._read_body()
        begun = await self._service.begin(use, self._known_digest())
        if isinstance(begun, Kept):
            if self._digest.is_form:
                await self._drain()
                self._service.check(begun, self._digest.value())
            if await self._replay(begun):
                return
            begun = await self._service.begin_anew(begun, self._known_digest())
        if isinstance(begun, Kept):
            await self._replay(begun)
        else:
            await self._carry_out(begun)

    def _known_digest(self) -> bytes | None:
        return None if self._digest.is_form else self._digest.value()

    async def _carry_out(self, claim: Claim) -> None:
        recorder = _Recorder(self._service, claim, self._digest, self._send)
        try:
            with claim.joint.around():
                await self._app(self._scope, self._receive_again, recorder.send)
        except _NotKept as error:
            raise error.reason from error
        finally:
            if not recorder.is_settled:
                await self._service.release(claim)

    async def _replay(self, kept: Kept) -> bool:
        """Give the first answer again; False where a stream that it began cannot be read any more."""
        log.info("idempotent_replay", status=kept.answer.status)
        if kept.answer.replay_path is not None:
            return await self._replay_stream(kept.answer, kept.answer.replay_path)
        await self._send(_start(kept.answer.status, [*_raw(kept.answer.headers), _REPLAYED]))
        await self._send({"type": "http.response.body", "body": kept.answer.body})
        return True

    async def _replay_stream(self, answer: Answer, replay_path: str) -> bool:
        path, _, query = replay_path.partition("?")
        scope = {
            **self._scope,
            "method": "GET",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
        }
        is_readable = False

        async def send(message: Message) -> None:
            nonlocal is_readable
            if message["type"] == "http.response.start" and message["status"] == answer.status:
                is_readable = True
                message = _start(answer.status, [*_raw(answer.headers), _REPLAYED])
            if is_readable:
                await self._send(message)

        await self._app(scope, self._receive, send)
        return is_readable

    async def _read_body(self) -> bytes:
        body, more = bytearray(), True
        while more:
            message = await self._next()
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                raise too_large(self._max_body_bytes)
            more = message.get("more_body", False)
        self._digest.update(bytes(body))
        return bytes(body)

    async def _drain(self) -> None:
        while (message := await self._next()).get("more_body", False):
            self._digest.update(message.get("body", b""))
        self._digest.update(message.get("body", b""))

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        return message

    async def _receive_again(self) -> Message:
        """The body that was read already, then whatever comes; a form is digested on its way."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if self._digest.is_form:
            self._digest.update(message.get("body", b""))
        return message


class _Recorder:
    """Holds a good answer back until it is kept; refusals free the key, and streams pass on as they come."""

    def __init__(self, service: IdempotencyService, claim: Claim, digest: RequestDigest, send: Send) -> None:
        self._service, self._claim, self._digest, self._send = service, claim, digest, send
        self._held: Message | None = None
        self._body = bytearray()
        self.is_settled = False

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._held is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._settle(_answer(self._held, bytes(self._body)))
                await self._send(self._held)
                await self._send({"type": "http.response.body", "body": bytes(self._body)})

    async def _begin(self, message: Message) -> None:
        answer = _answer(message, b"")
        headers = dict(answer.headers)
        is_stream = headers.get("content-type", "").startswith(_STREAM)
        is_good = 200 <= answer.status < 300  # noqa: PLR2004 - the class of success
        if is_good and not is_stream:
            self._held = message
            return
        if is_good and "content-location" in headers:
            await self._settle(Answer(answer.status, answer.headers, b"", headers["content-location"]))
        else:
            self.is_settled = True
            await self._service.release(self._claim)
        await self._send(message)

    async def _settle(self, answer: Answer) -> None:
        try:
            await self._service.complete(self._claim, self._digest.value(), answer)
        except AppError as error:
            raise _NotKept(error) from error
        self.is_settled = True


def _answer(start: Message, body: bytes) -> Answer:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], headers, body)


def _raw(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}
