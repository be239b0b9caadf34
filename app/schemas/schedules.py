"""Schedules, their triggers and their firings."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.schemas.base import Answer, Body, DescribedBy, JsonObject
from app.schemas.decisions import GateDocument, GatePolicy

Seconds = Annotated[float, Field(ge=0, le=10 * 366 * 86_400)]
Cron = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="Five fields: minute, hour, day of month, month, day of week; in the time zone 'zone'.",
        examples=["30 2 * * MON-FRI"],
    ),
]
Zone = Annotated[str, Field(max_length=64, description="Time zone of the IANA database.", examples=["Europe/Paris"])]
Misfire = Annotated[
    Literal["once", "skip", "all"],
    Field(
        description="Treatment of due times at which no scheduler ran: one job for all of them, none for those more "
        "than 'grace_s' late, or one for each of the newest 100."
    ),
]
Overlap = Annotated[
    Literal["skip", "queue"],
    Field(description="Treatment of a due time while the job of the previous one is unfinished."),
]
Grace = Annotated[Seconds, Field(description="Seconds by which a due time may be late and still count as on time.")]
Jitter = Annotated[
    float,
    Field(ge=0, le=3600, description="Fire up to so many seconds later; each due time has a fixed delay."),
]
Least = Annotated[int, Field(ge=1, le=1_000_000, description="Actual values that must have arrived.")]


class DriftTrigger(Body):
    """Fires when the error of served forecasts exceeds ``ratio`` times the error of the backtest."""

    ratio: Annotated[float, Field(gt=1, le=1_000)] = 1.5
    confidence: Annotated[float, Field(ge=0, lt=1, description="Required probability that the error has grown.")] = 0.9
    least: Least = 50


class CoverageTrigger(Body):
    """Fires when the share of actual values within the served intervals falls below ``coverage``."""

    coverage: Annotated[float, Field(gt=0, lt=1)]
    level: Annotated[Literal[80, 95], Field(description="Level of the intervals in percent.")] = 80
    least: Least = 50


class TriggersBody(Body):
    """Conditions that fire besides or instead of the cron expression; after one fires, all pause for ``pause_s``."""

    new_rows: Annotated[int, Field(ge=1, le=2**31 - 1, description="Rows since the last training.")] | None = None
    older_than_s: Annotated[float, Field(gt=0, le=1e9, description="Seconds since the last training.")] | None = None
    drift: DriftTrigger | None = None
    coverage_below: CoverageTrigger | None = None
    data_alarm_s: (
        Annotated[
            float,
            Field(
                gt=0,
                le=1e9,
                description="Send one alarm, without a job, after so long without new rows.",
            ),
        ]
        | None
    ) = None
    pause_s: Seconds = 3600.0


class ScheduleBody(Body):
    """Fields of a schedule besides its job: due times, triggers and the rule of promotion."""

    cron: Cron | None = None
    zone: Zone = "UTC"
    misfire: Misfire = "once"
    overlap: Overlap = "skip"
    grace_s: Grace = 300.0
    jitter_s: Jitter = 0.0
    triggers: TriggersBody = Field(default_factory=TriggersBody)
    gate: GatePolicy | None = Field(None, description="Rule of promotion, instead of the job's own.")


class FiringDetailAnswer(Answer):
    """Measurements that made a trigger fire, or the reason why no job was made; unused fields are absent."""

    new_rows: int | None = Field(None, description="Rows since the last training or firing.")
    age_s: float | None = Field(None, description="Seconds since the last training or firing; null if there is none.")
    ratio: float | None = Field(None, description="Realised error / error of the backtest.")
    confidence: float | None = Field(None, description="Probability that the error has grown.")
    coverage: float | None = Field(None, description="Share of actual values within the intervals of ``level``.")
    level: int | None = None
    points: int | None = Field(None, description="Actual values that ratio or coverage is based on.")
    data_age_s: float | None = Field(None, description="Seconds since the last new rows.")
    data_alarm_s: float | None = None
    missed: int | None = Field(None, description="Due times without a job, up to ``until``.")
    until: datetime | None = None
    unfinished: str | None = Field(None, description="The unfinished job because of which none was made.")
    error: str | None = Field(None, description="Kind of the refusal.")
    message: str | None = None


TriggersDocument = Annotated[JsonObject, DescribedBy(TriggersBody)]
FiringDocument = Annotated[JsonObject, DescribedBy(FiringDetailAnswer)]


class FiringAnswer(Answer):
    """Outcome of a due time or a trigger: a job, or in ``detail`` the reason why there is none."""

    due_at: datetime
    fired_at: datetime
    cause: str = Field(description="cron, manual, new_rows, older_than, drift, coverage or data_age.")
    outcome: Literal["fired", "refused", "skipped", "missed", "alarm"]
    detail: FiringDocument
    job_id: str | None
    job_state: Literal["queued", "running", "succeeded", "failed", "cancelled"] | None = None
    verdict: Literal["promoted", "kept", "pending"] | None = Field(
        None, description="Decision about the version that the job trained; 'kept' also if it trained none."
    )
    reason: str = Field("", description="Reason of the outcome, or of the decision, in words.")


class ScheduleAnswer(Answer):
    """A schedule; ``next_due`` are the next five due times in its time zone, without jitter."""

    name: str
    paused: bool
    cron: str | None
    zone: str
    misfire: Misfire
    overlap: Overlap
    grace_s: float
    jitter_s: float
    triggers: TriggersDocument
    job: JsonObject = Field(description="Request of the job, as for POST /v1/jobs.")
    gate: GateDocument | None
    next_due: list[datetime]
    last_firing: FiringAnswer | None = Field(None, description="Only of one schedule, not in lists.")
    next_at: datetime | None = Field(description="Next check: at a due time, or of the triggers.")
    created_by: str
    created_at: datetime
    changed_at: datetime
