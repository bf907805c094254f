"""The one shape of every refusal."""

from http import HTTPStatus

from pydantic import BaseModel, Field

from app.core.errors import AppError, ErrorType


class ErrorBody(BaseModel):
    """What went wrong and what to do about it."""

    type: ErrorType
    code: str = Field(description="Stable; meant for programs.")
    message: str = Field(description="Meant for people; says what to do next.")
    param: str | None = Field(None, description="The field, header or parameter that is wrong.")
    request_id: str = Field(description="Quote it when you ask for help; it is on every log line of the request.")


class ErrorResponse(BaseModel):
    """The body of every response that is not a success."""

    error: ErrorBody


def render_error(error: AppError, request_id: str) -> ErrorResponse:
    """The body that a refusal is answered with."""
    return ErrorResponse(
        error=ErrorBody(
            type=error.type, code=error.code, message=error.message, param=error.param, request_id=request_id
        )
    )


def error_headers(error: AppError) -> dict[str, str]:
    """Headers that belong to a refusal."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers
