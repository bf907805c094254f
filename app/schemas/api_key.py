"""API keys on the wire: the secret is shown once."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.core.tenancy import Role, Scope
from app.schemas.base import InputSchema, Moment, Name, OutputSchema, example

KeyRole = Annotated[
    Literal[Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER], Field(description="What the key may do at most.")
]


class ApiKeyCreate(InputSchema):
    """A new key. It may do no more than the key that makes it."""

    model_config = example({"name": "website", "role": "member", "scopes": ["chat"]})

    name: Name = Field(examples=["website"])
    role: KeyRole = Role.MEMBER
    scopes: list[Scope] | None = Field(None, description="Narrows the role; unset is all that the role implies.")
    expires_at: Moment | None = None


class ApiKeyRead(OutputSchema):
    """A key without its secret."""

    object: Literal["api_key"] = "api_key"
    id: str
    name: str
    hint: str = Field(description="The end of the secret, to tell keys apart.")
    role: Role
    scopes: list[Scope] | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


class ApiKeyIssued(ApiKeyRead):
    """A new key; `key` is shown this once."""

    key: str
