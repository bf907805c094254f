"""Errors that carry their status, type and code; services raise them, one place renders them."""

from typing import ClassVar, Literal

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "rate_limit_error",
    "quota_error",
    "overloaded_error",
    "upstream_error",
    "api_error",
]


class AppError(Exception):
    """A refusal with a reason; ``message`` is for the caller and says what to do next."""

    status: ClassVar[int] = 500
    type: ClassVar[ErrorType] = "api_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after = retry_after


class InvalidRequest(AppError):
    """The request itself is wrong (400)."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class Unprocessable(AppError):
    """The request is well formed but a value in it is not acceptable (422)."""

    status = 422
    type = "invalid_request_error"
    code = "validation_error"


class PayloadTooLarge(AppError):
    """The body is larger than the limit (413)."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UnsupportedMedia(AppError):
    """A content type that we do not take (415)."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class Unauthenticated(AppError):
    """No valid credential (401)."""

    status = 401
    type = "authentication_error"
    code = "invalid_credentials"


class Forbidden(AppError):
    """A valid credential that may not do this (403)."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class NotFound(AppError):
    """Nothing of this tenant has that id; an id of another tenant is the same (404)."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class Conflict(AppError):
    """The state of the thing does not allow this (409)."""

    status = 409
    type = "conflict_error"
    code = "conflict"


class RateLimited(AppError):
    """Too many requests (429)."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limited"


class Overloaded(AppError):
    """A part of the system is down or full for now (503); carries ``retry_after`` in seconds."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"


class UpstreamFailed(AppError):
    """A model provider failed (502); raised only after our own retries."""

    status = 502
    type = "upstream_error"
    code = "upstream_failed"
