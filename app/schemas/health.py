"""State of the service."""

from typing import Literal

from app.schemas.base import Answer


class Health(Answer):
    """Whether the service works, and the state of each part."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: dict[str, str]
