"""Rule by which a new version becomes champion, and the decisions of the rule or of a person."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.schemas.base import Answer, Body, DescribedBy, JsonObject, Reason
from app.schemas.reports import EvidenceDocument


class GatePolicy(Body):
    """Conditions under which a new version replaces the champion."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"minimum_gain": 0.02, "confidence": 0.9, "approval": "automatic"}]}
    )

    minimum_gain: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Share by which the MASE must be smaller than the champion's, on windows that neither was trained "
        "on; less than 0.001 is a tie in any case, in which the champion stays.",
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1)] | None = Field(
        None, description="Required probability of a gain, from paired errors at each origin; null: any gain is enough."
    )
    must_beat_baseline: bool = Field(True, description="Refuse a version that is worse than seasonal naive.")
    approval: Literal["automatic", "manual"] = Field(
        "automatic", description="With 'manual' the champion stays until a person approves the decision."
    )
    former_tolerance: Annotated[float, Field(ge=0, le=10)] | None = Field(
        0.1,
        description="Share by which the error may be larger than the champion's on the windows of the champion's own "
        "backtest; null: any.",
    )
    audit: Literal["block", "ask", "warn"] = Field(
        "ask",
        description="If new rows differ from the past of their series: 'block' trains nothing, 'ask' leaves the "
        "decision to a person, 'warn' lists the differences and goes on. Holds for 'promote: always' too, not with "
        "'force'.",
    )
    accept_after: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        description="Steps after which a moved level with an unchanged season and spread counts as a true change; "
        "null: three seasons, two horizons and 28 steps, the longest of them.",
    )


class GateAnswer(Answer):
    """The rule of a decision or of a job, as it was stored."""

    promote: Literal["if_better", "always", "never"] | None = None
    minimum_gain: float = 0.0
    confidence: float | None = None
    must_beat_baseline: bool = True
    approval: Literal["automatic", "manual"] = "automatic"
    former_tolerance: float | None = 0.1
    audit: Literal["block", "ask", "warn"] = "ask"
    accept_after: int | None = None


GateDocument = Annotated[JsonObject, DescribedBy(GateAnswer)]


class DecisionAnswer(Answer):
    """Decision about a version: its reason, and the numbers that it is based on."""

    model: str
    version: int | None = Field(description="Null if nothing was trained, because the new rows differ from the past.")
    verdict: Literal["promoted", "kept", "pending", "approved", "rejected"]
    reason: str
    policy: GateDocument
    numbers: EvidenceDocument = Field(
        description="The comparison with the champion on the newest windows, on the champion's own, and of the served "
        "version with the compared one; and the audit of the new rows."
    )
    schedule: str | None = Field(description="Name of the schedule that made the job, while the schedule exists.")
    decided_by: str
    decided_at: datetime


class ReasonRequest(Body):
    """Reason of a decision, stored for people to read."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "checked by planning"}]})

    reason: Reason = "by request"
