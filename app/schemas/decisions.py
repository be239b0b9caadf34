"""What decides whether a new version becomes champion, and what was decided."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.base import Answer, Body, Reason


class GatePolicy(Body):
    """When a new version takes the champion's place."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"minimum_gain": 0.02, "confidence": 0.9, "approval": "automatic"}]}
    )

    minimum_gain: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="By what share of the champion's MASE its own must be smaller, on windows neither was taught."
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1)] | None = Field(
        None, description="How sure that must be, from paired errors at each origin; null where any gain is enough."
    )
    must_beat_baseline: bool = Field(True, description="Never one that is worse than seasonal naive.")
    approval: Literal["automatic", "manual"] = Field(
        "automatic", description="With 'manual' the champion stays until somebody approves the decision."
    )


class DecisionAnswer(Answer):
    """What was decided of a version, in words and with the numbers that it was decided on."""

    model: str
    version: int
    verdict: Literal["promoted", "kept", "pending", "approved", "rejected"]
    reason: str
    policy: dict[str, Any]
    numbers: dict[str, Any] = Field(
        description="'measure' (MASE on the same windows, or skill), 'ours', 'theirs', 'baseline' (seasonal naive), "
        "'gain', 'confidence', 'origins', 'windows', and the number of the 'champion' it was compared with."
    )
    schedule: str | None = Field(description="Name of the schedule whose job it was, while there is that.")
    decided_by: str
    decided_at: datetime


class ReasonRequest(Body):
    """Why; kept for people to read."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "seen by the desk"}]})

    reason: Reason = "by request"
