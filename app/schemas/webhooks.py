"""Webhooks and the messages that were sent to them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.schemas.base import Answer, Body, JsonObject, Name

Event = Literal["job.succeeded", "job.failed", "job.cancelled", "alias.moved", "schedule.alarm"]


class WebhookRequest(Body):
    """The address and the events of a webhook."""

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
    """A webhook; ``disabled`` is the reason why no more messages are sent."""

    name: str
    url: str
    events: list[str]
    disabled: str | None
    created_by: str
    created_at: datetime


class NewWebhookAnswer(WebhookAnswer):
    """A new webhook with its secret, which no later answer shows."""

    secret: str


class DeliveryAnswer(Answer):
    """One message to one webhook, pending until accepted or too old; ``detail`` is the result of the last attempt."""

    message_id: str
    event: str
    payload: JsonObject
    state: Literal["pending", "taken", "failed"]
    attempt: int
    next_at: datetime | None
    detail: str | None
    created_at: datetime
