"""Webhooks and what they were told, as they are asked for and shown."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.base import Answer, Body, Name

Event = Literal["job.succeeded", "job.failed", "job.cancelled", "alias.moved", "schedule.alarm"]


class WebhookRequest(Body):
    """Whom to tell of what."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "electricity", "url": "https://9.9.9.9/forecastle", "events": ["job.failed", "alias.moved"]}
            ]
        }
    )

    name: Name
    url: Annotated[str, Field(max_length=2_000, description="http or https, at a public address.")]
    events: Annotated[list[Event], Field(min_length=1, max_length=10, fail_fast=True)]


class WebhookAnswer(Answer):
    """A webhook; ``disabled`` says why nothing is sent there any more."""

    name: str
    url: str
    events: list[str]
    disabled: str | None
    created_by: str
    created_at: datetime


class NewWebhookAnswer(WebhookAnswer):
    """A webhook with its secret, which is not shown again."""

    secret: str


class DeliveryAnswer(Answer):
    """One message to one webhook: pending until it is taken, or too old; ``detail`` says how the last attempt ended."""

    message_id: str
    event: str
    payload: dict[str, Any]
    state: Literal["pending", "taken", "failed"]
    attempt: int
    next_at: datetime | None
    detail: str | None
    created_at: datetime
