"""Events of the audit log."""

from datetime import datetime

from pydantic import Field

from app.schemas.base import Answer, JsonObject


class AuditEventAnswer(Answer):
    """Event of the audit log: a change, its actor, its subject and its time."""

    sequence: int | None = Field(
        description="Number of the event in the log of the tenant, from 1; null if an earlier release wrote it and the "
        "next event has still to chain it."
    )
    at: datetime
    actor: str = Field(
        description="Id of an API key, 'cli', 'schedule:NAME', 'scheduler', or the id of the job that did it."
    )
    action: str = Field(description="Kind of thing and change, such as 'alias.moved'.")
    subject: str = Field(description="Name or id of the thing; of versions and aliases MODEL@NUMBER or MODEL@ALIAS.")
    detail: JsonObject
    request_id: str | None = Field(description="Id of the HTTP request that made the change.")
    sha256: str | None = Field(description="SHA-256 of this event and that of the one before it.")
