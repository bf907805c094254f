"""How a model can fail, in the terms that the loop decides by; every vendor maps its failures into these."""

from typing import ClassVar


class ModelError(Exception):
    """A failure of a model provider. ``message`` is safe to show: no key, no header, no stack."""

    code: ClassVar[str] = "upstream_failed"
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after = retry_after


class ModelUnavailable(ModelError):
    """The provider is down, overloaded (500, 502, 503, 529) or did not answer in time; another try may help."""

    code = "upstream_unavailable"
    is_retryable = True


class ModelRateLimited(ModelError):
    """The provider refused for now (429); ``retry_after`` in seconds where it said so."""

    code = "upstream_rate_limited"
    is_retryable = True


class ModelCutOff(ModelError):
    """The stream ended in the middle: what was said is kept, and it is not asked again."""

    code = "upstream_cut_off"


class ModelRejected(ModelError):
    """The provider refused the request itself (400, 404, 413, 422): another try would not help."""

    code = "upstream_rejected"


class ModelBadCredentials(ModelError):
    """The provider refused our key (401, 403), or none is configured."""

    code = "upstream_credentials"
