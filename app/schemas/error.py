"""The one shape of every refusal."""

from pydantic import BaseModel, Field

from app.core.errors import ErrorType


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
