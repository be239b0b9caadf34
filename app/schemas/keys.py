"""API keys."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field

from app.principal import Scope
from app.schemas.base import Answer, Body

CENTURY_S = 3_155_760_000
MAX_OVERLAP_S = 30 * 86_400

KeyName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


class KeyRequest(Body):
    """Name, scope and end of a new key; without an end it never expires."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "dashboard", "scope": "forecast", "expires_in_s": 2_592_000}]}
    )

    name: KeyName = Field(description="A name by which to recognise the key.")
    scope: Scope = Field(
        description="'forecast': only forecasts; 'read': also reading; 'write': also changes; 'admin': also the keys "
        "of the tenant; 'operator': also all tenants. Not wider than that of the key that sends this."
    )
    expires_at: AwareDatetime | None = Field(None, strict=False, description="Time with a zone at which it expires.")
    expires_in_s: Annotated[float, Field(ge=1, le=CENTURY_S)] | None = Field(
        None, description="Seconds from now until it expires; instead of 'expires_at'."
    )


class KeyAnswer(Answer):
    """A key without its secret; ``last_used_at`` may be a minute old."""

    id: str = Field(description="The 8 characters after 'fc_'.")
    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKeyAnswer(KeyAnswer):
    """A new key in full; no later answer shows its secret."""

    key: str
