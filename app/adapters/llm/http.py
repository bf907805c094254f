"""The one connection pool to model providers, and its deadlines: connect, first token, idle gap, total."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from app.adapters.llm.errors import ModelError, ModelUnavailable
from app.adapters.llm.rejections import error_of_body, error_of_status
from app.adapters.llm.sse import SseEventTooLargeError, SseParser

_MAX_ERROR_BODY: Final = 64 * 1024
_DRAIN_SECONDS: Final = 0.05
_NOT_A_STREAM: Final = frozenset({"text/html", "application/json"})
_TRANSPORT_FAULTS: Final = (aiohttp.ClientError, HttpProcessingError, OSError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait, in seconds.

    ``connect``: DNS, TCP and TLS. ``first_token``: from the request to the first visible piece of the answer, however
    busy the line is with pings. ``idle``: between two complete events, so a drip of single bytes trips it too.
    ``total``: the whole answer.
    """

    connect: float = 10.0
    first_token: float = 120.0
    idle: float = 60.0
    total: float = 900.0


class _DeadlineExceededError(Exception):
    """Set on the body's reader by the watch; becomes a ModelError where it surfaces."""


class EventStream:
    """The events of one open answer, watched by one timer (a timeout per read would cost more than the read)."""

    def __init__(self, response: aiohttp.ClientResponse, provider: str, deadlines: Deadlines, started: float) -> None:
        self._response = response
        self._provider = provider
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._started = started
        self._waiting_since: float | None = None
        self._parser = SseParser()
        self.has_spoken = False
        self._timer: asyncio.Handle = self._loop.call_soon(self._watch)

    async def read(self) -> list[bytes]:
        """The data of the events that arrived, at least one; empty at the end. Raises ModelUnavailable."""
        self._waiting_since = self._loop.time()
        content, feed = self._response.content, self._parser.feed
        try:
            while True:
                chunk = await content.readany()
                if not chunk:
                    return []
                events = feed(chunk)
                if events:
                    return events
        except _DeadlineExceededError as exceeded:
            raise ModelUnavailable(f"The model provider {self._provider} took too long: {exceeded}") from None
        except SseEventTooLargeError as error:
            raise ModelUnavailable(f"The model provider {self._provider} sent an unusable stream: {error}") from None
        except _TRANSPORT_FAULTS:
            raise ModelUnavailable(f"The connection to the model provider {self._provider} broke; try again") from None
        finally:
            self._waiting_since = None

    async def drain(self) -> None:
        """Wait a moment for the end of the body behind the last event, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._response.content.readany():
                    pass
        except (TimeoutError, _DeadlineExceededError, *_TRANSPORT_FAULTS):
            self._response.close()

    def close(self) -> None:
        """Stop watching; the connection returns to the pool where the answer was read to its end, else it is closed."""
        self._timer.cancel()
        self._response.close()

    def _watch(self) -> None:
        now, limits = self._loop.time(), self._deadlines
        due = [(self._started + limits.total, f"the answer was not complete after {limits.total:g} s")]
        if not self.has_spoken:
            due.append((self._started + limits.first_token, f"nothing was said within {limits.first_token:g} s"))
        since = self._waiting_since
        idle_from = now if since is None else since
        due.append((idle_from + limits.idle, f"nothing arrived for {limits.idle:g} s"))
        moment, reason = min(due)
        if now < moment:
            self._timer = self._loop.call_at(moment, self._watch)
            return
        self._response.content.set_exception(_DeadlineExceededError(reason))
        self._response.close()


class ModelHttp:
    """The shared session of all model providers: made on first use in the loop that uses it, closed once.

    Proxies of the environment are ignored, redirects are not followed (a redirect would carry the key elsewhere), and
    the number of connections is not limited here: how many answers run at once is decided before.
    """

    def __init__(self, deadlines: Deadlines | None = None) -> None:
        self.deadlines = deadlines or Deadlines()
        self._session: aiohttp.ClientSession | None = None

    async def open(self, url: str, *, provider: str, headers: Mapping[str, str], body: bytes) -> EventStream:
        """Send, and give the answer's events, to be closed by the caller.

        Raises the ModelError that a refusal or a broken connection means.
        """
        started = asyncio.get_running_loop().time()
        response = await self._send(url, provider, headers, body)
        try:
            await _refuse_what_is_no_stream(response, provider)
            return EventStream(response, provider, self.deadlines, started)
        except BaseException:
            response.close()
            raise

    async def close(self) -> None:
        """Close the pool; a later request would open a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, url: str, provider: str, headers: Mapping[str, str], body: bytes) -> aiohttp.ClientResponse:
        limit = min(self.deadlines.first_token, self.deadlines.total)
        try:
            async with asyncio.timeout(limit):
                return await self._opened().post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            raise ModelUnavailable(f"The model provider {provider} did not answer in time; try again") from None
        except _TRANSPORT_FAULTS as error:
            reason = type(error).__name__
            raise ModelUnavailable(f"The model provider {provider} cannot be reached ({reason}); try again") from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=None, connect=self.deadlines.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={"accept": "text/event-stream", "accept-encoding": "identity", "user-agent": "insula"},
            )
        return self._session


async def _refuse_what_is_no_stream(response: aiohttp.ClientResponse, provider: str) -> None:
    if response.status == 200 and response.content_type not in _NOT_A_STREAM:  # noqa: PLR2004
        return
    body = await _start_of_body(response)
    if response.status != 200:  # noqa: PLR2004
        raise error_of_status(provider, response.status, response.headers, body)
    raise _error_of_plain_answer(provider, response.content_type, body)


def _error_of_plain_answer(provider: str, content_type: str, body: bytes) -> ModelError:
    if content_type == "application/json" and (error := error_of_body(provider, body)):
        return error
    return ModelUnavailable(
        f"The model provider {provider} sent {content_type} where an event stream was due; check its base URL"
    )


async def _start_of_body(response: aiohttp.ClientResponse) -> bytes:
    """The first 64 KiB that come within 5 s: enough to say why, without trusting a refusal to end."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(5):
            while sum(map(len, parts)) < _MAX_ERROR_BODY and (part := await response.content.readany()):
                parts.append(part)
    except (TimeoutError, *_TRANSPORT_FAULTS):
        response.close()
    return b"".join(parts)
