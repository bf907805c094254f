"""What a vendor's refusal means in our terms: by HTTP status, or by the error type inside the stream."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from app.adapters.llm.errors import (
    ModelBadCredentials,
    ModelError,
    ModelRateLimited,
    ModelRejected,
    ModelUnavailable,
)
from app.core.clock import utc_now

_KIND_OF_STATUS: dict[int, type[ModelError]] = {
    401: ModelBadCredentials,
    402: ModelBadCredentials,
    403: ModelBadCredentials,
    408: ModelUnavailable,
    409: ModelUnavailable,
    425: ModelUnavailable,
    429: ModelRateLimited,
}
_KIND_OF_TYPE: dict[str, type[ModelError]] = {
    "invalid_request_error": ModelRejected,
    "not_found_error": ModelRejected,
    "request_too_large": ModelRejected,
    "context_length_exceeded": ModelRejected,
    "authentication_error": ModelBadCredentials,
    "invalid_api_key": ModelBadCredentials,
    "permission_error": ModelBadCredentials,
    "billing_error": ModelBadCredentials,
    "insufficient_quota": ModelBadCredentials,
    "rate_limit_error": ModelRateLimited,
    "rate_limit_exceeded": ModelRateLimited,
}
_NO_CREDIT = re.compile(r"credit balance is too low|insufficient_quota|exceeded your current quota", re.IGNORECASE)
_ADVICE: dict[type[ModelError], str] = {
    ModelUnavailable: "is unavailable or overloaded; try again in a moment",
    ModelRateLimited: "limits our rate for now; try again later",
    ModelBadCredentials: "refused the configured API key; check the key, its permissions and its credit",
    ModelRejected: "refused the request",
}


def error_of_status(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
    """The error that an answer other than 200 means; ``headers`` must be case-insensitive.

    Text of the vendor's is passed on only where the request was at fault: elsewhere it may name our account or key.
    """
    kind_name, detail = _described(body)
    kind = _KIND_OF_STATUS.get(status) or (ModelUnavailable if status >= 500 else ModelRejected)  # noqa: PLR2004
    if kind_name == "insufficient_quota" or _NO_CREDIT.search(detail):
        kind = ModelBadCredentials
    if 300 <= status < 400:  # noqa: PLR2004
        detail = "it answered with a redirect, which is not followed; check the configured base URL"
    return _error(kind, provider, detail, status=status, retry_after=retry_after_of(headers))


def error_of_event(provider: str, error: Any) -> ModelError:
    """The error that an ``error`` object in the stream means, after the status already said 200."""
    kind_name, detail = _fields(error)
    kind = ModelBadCredentials if _NO_CREDIT.search(detail) else _KIND_OF_TYPE.get(kind_name)
    code = error.get("code") if isinstance(error, Mapping) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else None  # noqa: PLR2004
    if kind is None and status is not None and status < 500:  # noqa: PLR2004
        kind = _KIND_OF_STATUS.get(status, ModelRejected)
    return _error(kind or ModelUnavailable, provider, detail, status=status)


def error_of_body(provider: str, body: bytes) -> ModelError | None:
    """The error that a JSON body with an ``error`` member means although its status said 200; None where it has none."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = parsed.get("error") if isinstance(parsed, Mapping) else None
    return error_of_event(provider, error) if error else None


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (a number or a date), where one is well formed."""
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(value) - utc_now()).total_seconds())
    except (ValueError, TypeError):
        return None


def _seconds(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _error(
    kind: type[ModelError], provider: str, detail: str, *, status: int | None, retry_after: float | None = None
) -> ModelError:
    shown = f": {detail}" if detail and kind is ModelRejected else ""
    answered = f" (HTTP {status})" if status else ""
    return kind(
        f"The model provider {provider} {_ADVICE[kind]}{answered}{shown}", status=status, retry_after=retry_after
    )


def _described(body: bytes) -> tuple[str, str]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", ""
    return _fields(parsed.get("error", parsed) if isinstance(parsed, Mapping) else parsed)


def _fields(error: Any) -> tuple[str, str]:
    """The kind and the message of a vendor's error object, as one line of at most 300 characters."""
    if isinstance(error, str):
        return "", _one_line(error)
    if not isinstance(error, Mapping):
        return "", ""
    code, kind = error.get("code"), error.get("type")
    name = code if isinstance(code, str) and code in _KIND_OF_TYPE else kind
    message = error.get("message")
    return (name if isinstance(name, str) else ""), (_one_line(message) if isinstance(message, str) else "")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())[:300]
