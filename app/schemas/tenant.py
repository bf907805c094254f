"""Tenants on the wire."""

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from app.models.tenant import TenantStatus
from app.schemas.api_key import ApiKeyIssued
from app.schemas.base import InputSchema, LongText, ModelName, Name, OutputSchema, Slug, example, refuse_null


class TenantCreate(InputSchema):
    """A new tenant."""

    model_config = example({"name": "Tern Bicycles", "slug": "tern"})

    name: Name = Field(examples=["Tern Bicycles"])
    slug: Slug = Field(examples=["tern"])
    system_prompt: LongText | None = None
    default_model: ModelName | None = None


class TenantUpdate(InputSchema):
    """What a tenant's admins may change of it."""

    model_config = example({"system_prompt": "You speak for Tern Bicycles. Be brief."})

    name: Name | None = None
    system_prompt: LongText | None = Field(None, description="Instructions for answers that name no agent.")
    default_model: ModelName | None = None

    @model_validator(mode="after")
    def _keep_what_must_be_set(self) -> "TenantUpdate":
        refuse_null(self, "name")
        return self


class TenantRead(OutputSchema):
    """A tenant."""

    object: Literal["tenant"] = "tenant"
    id: str
    slug: str
    name: str
    status: TenantStatus
    system_prompt: str | None
    default_model: str | None
    created_at: datetime
    updated_at: datetime


class TenantCreated(TenantRead):
    """A new tenant, with its first key; the key is shown this once."""

    api_key: ApiKeyIssued


__all__ = ["TenantCreate", "TenantCreated", "TenantRead", "TenantStatus", "TenantUpdate"]
