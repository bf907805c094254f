"""The one place where errors become responses."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.core.errors import AppError, InvalidRequest, NotFound, Unprocessable
from app.schemas.error import ErrorResponse, error_headers, render_error

_DOCUMENTED = {
    400: "The request is malformed.",
    401: "No valid credential, or no active tenant.",
    403: "The credential may not do this.",
    404: "Nothing of this tenant has that id.",
    409: "The state of things does not allow it, or the `Idempotency-Key` was used for something else.",
    413: "The body is larger than the limit.",
    415: "A content type that is not taken.",
    422: "A field is missing, unknown or not acceptable.",
    502: "The model's provider failed.",
    503: "A part of the system is down or busy; try again after `Retry-After` seconds.",
}

_EVERYWHERE = (400, 401, 403, 422, 503)

_REASONS = {
    "extra_forbidden": "There is no such field. Check its spelling, or leave it out",
    "string_too_short": "Must not be empty",
    "too_short": "Must not be empty",
    "model_attributes_type": "Send a JSON object, with `Content-Type: application/json`",
    "timezone_aware": "Must say its zone, such as 2026-01-31T00:00:00Z",
}
_OF_PYDANTIC = re.compile(r"[\[\]()]|^[A-Z][A-Za-z]+$|^(str|int|float|bool|constrained-str)$")

#: What ``responses=`` of a router takes.
Responses = dict[int | str, dict[str, Any]]


def errors(*statuses: int) -> Responses:
    """The documented refusals of a route, besides those that every route has."""
    return {
        status: {"model": ErrorResponse, "description": _DOCUMENTED[status]}
        for status in sorted({*_EVERYWHERE, *statuses})
    }


def render(request: Request, error: AppError) -> JSONResponse:
    """The response of a refusal."""
    body = render_error(error, request.state.request_id)
    return JSONResponse(body.model_dump(), status_code=error.status, headers=error_headers(error))


def install_error_handlers(app: FastAPI) -> None:
    """Render every error of the application in one shape."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _app_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    return render(request, error)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return render(request, InvalidRequest(f"The body is not valid JSON: {reason}.", code="invalid_json"))
    param = _param(first["loc"])
    reason = _REASONS.get(first["type"], first["msg"].removeprefix("Value error, "))
    reason = reason[:1].upper() + reason[1:]
    message = f"{param}: {reason}." if param else f"{reason}."
    return render(request, Unprocessable(message.replace("..", "."), param=param))


def _param(place: Sequence[str | int]) -> str | None:
    """The field by its name; what pydantic adds to it of its own, kinds and validators, says nothing to a caller."""
    names = [str(part) for part in place[1:] if not _OF_PYDANTIC.search(str(part))]
    return ".".join(names) or None


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = render(request, _known(error))
    response.headers.update(error.headers or {})
    return response


class _MethodNotAllowed(AppError):
    """The path exists, but not with this method (405)."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


def _known(error: HTTPException) -> AppError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound("There is no such path. See /docs for those there are.", code="unknown_path")
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return InvalidRequest("The body could not be read. Check that it is whole and valid.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _MethodNotAllowed("This path does not take this method. See /docs for those that it takes.")
    return AppError("Something went wrong on our side. Try again; if it persists, report the request id.")
