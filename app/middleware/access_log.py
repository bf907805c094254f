"""One log line and one measurement a request, after its last byte."""

import time

import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

REQUESTS = Counter("insula_http_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "insula_http_request_seconds",
    "Time to the last byte; for streams, the length of the answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})


class AccessLogMiddleware:
    """Counts by route template, never by path, so that ids and tenants do not become label values."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 499

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_see)
        except ClientDisconnect:
            raise
        except Exception:
            status = 500
            raise
        finally:
            _record(scope, status, time.perf_counter() - started)


def _record(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    route = _template(scope)
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(method, route).observe(seconds)
    if route not in _QUIET:
        tenant_id = scope["state"].get("tenant_id")
        log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), tenant_id=tenant_id)


def _template(scope: Scope) -> str:
    """The whole template of the route; a route of an included router knows only the part below the router's prefix."""
    own: str | None = getattr(scope.get("route"), "path", None)
    if own is None:
        return "unmatched"
    prefix = scope["path"].split("/")[: -own.count("/")]
    return "/".join(prefix) + own
