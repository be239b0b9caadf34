"""Schedules, their triggers and firings, as they are asked for and shown."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.base import Answer, Body
from app.schemas.decisions import GatePolicy

Seconds = Annotated[float, Field(ge=0, le=10 * 366 * 86_400)]
Cron = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="Five fields: minute, hour, day of month, month, day of week; by the clock of 'zone'.",
        examples=["30 2 * * MON-FRI"],
    ),
]
Zone = Annotated[str, Field(max_length=64, description="A name of the IANA database.", examples=["Europe/Paris"])]
Misfire = Annotated[
    Literal["once", "skip", "all"],
    Field(
        description="What becomes of due times at which no scheduler ran: one job for all of them, none for those more "
        "than 'grace_s' late, or one for each of the newest 100."
    ),
]
Overlap = Annotated[
    Literal["skip", "queue"],
    Field(description="What becomes of a due time while the job of the last one is unfinished."),
]
Grace = Annotated[Seconds, Field(description="How late a due time may be and still be on time.")]
Jitter = Annotated[
    float, Field(ge=0, le=3600, description="Fire up to so much later: of each due time always by the same.")
]
Least = Annotated[int, Field(ge=1, le=1_000_000, description="Actual values that must have come.")]


class Drift(Body):
    """The error of served forecasts has grown to more than ``ratio`` times that of the backtest."""

    ratio: Annotated[float, Field(gt=1, le=1_000)] = 1.5
    confidence: Annotated[float, Field(ge=0, lt=1, description="How sure it must be that it has grown at all.")] = 0.9
    least: Least = 50


class CoverageBelow(Body):
    """Fewer actual values than this share lie within the intervals that were served."""

    coverage: Annotated[float, Field(gt=0, lt=1)]
    level: Annotated[Literal[80, 95], Field(description="Of which intervals, in percent.")] = 80
    least: Least = 50


class Triggers(Body):
    """What fires beside the cron expression, or in its place: the first that says so, then none for ``pause_s``."""

    new_rows: Annotated[int, Field(ge=1, le=2**31 - 1, description="Rows since the last training.")] | None = None
    older_than_s: Annotated[float, Field(gt=0, le=1e9, description="Seconds since the last training.")] | None = None
    drift: Drift | None = None
    coverage_below: CoverageBelow | None = None
    data_alarm_s: (
        Annotated[
            float,
            Field(
                gt=0, le=1e9, description="Fires no job: say so, once, where the data set has had no rows for so long."
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
    triggers: Triggers = Field(default_factory=Triggers)
    gate: GatePolicy | None = Field(None, description="What decides promotion, in place of the job's own.")


class FiringAnswer(Answer):
    """What a due time or a trigger has come to: a job, or in ``detail`` the reason why there is none."""

    due_at: datetime
    fired_at: datetime
    cause: str = Field(description="cron, manual, new_rows, older_than, drift, coverage or data_age.")
    outcome: Literal["fired", "refused", "skipped", "missed", "alarm"]
    detail: dict[str, Any]
    job_id: str | None


class ScheduleAnswer(Answer):
    """A schedule as it is now; ``next_due``: the next five due times by the clock of its zone, without jitter."""

    name: str
    paused: bool
    cron: str | None
    zone: str
    misfire: Misfire
    overlap: Overlap
    grace_s: float
    jitter_s: float
    triggers: dict[str, Any]
    job: dict[str, Any]
    gate: dict[str, Any] | None
    next_due: list[datetime]
    next_at: datetime | None = Field(description="When it is looked at again: at a due time, or for its triggers.")
    created_by: str
    created_at: datetime
    changed_at: datetime
