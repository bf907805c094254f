"""What a failed run amounts to: the refusal that it would have been before the first byte."""

from http import HTTPStatus

from app.core.errors import AppError, Overloaded, UpstreamFailed
from app.services.generation.events import RunFailed

_KINDS: dict[int, type[AppError]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: Overloaded,
    HTTPStatus.BAD_GATEWAY: UpstreamFailed,
}
_RETRY_SECONDS = 5.0


def error_of(failed: RunFailed) -> AppError:
    """The refusal that a failed run amounts to; where trying again may help, it says when."""
    kind = _KINDS.get(failed.status, AppError)
    retry_after = failed.retry_after
    if retry_after is None and kind is Overloaded:
        retry_after = _RETRY_SECONDS
    return kind(failed.message, code=failed.code, retry_after=retry_after)
