"""Tenants."""

from datetime import datetime

from pydantic import ConfigDict, Field

from app.schemas.base import Answer, Body, Name


class TenantRequest(Body):
    """Name of a new tenant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "acme"}]})

    name: Name


class TenantAnswer(Answer):
    """A tenant; of a suspended one no key is accepted and no job begins."""

    name: str
    created_at: datetime
    suspended_at: datetime | None
    deletion_began_at: datetime | None = Field(description="Some of its rows are deleted already; delete it again.")
