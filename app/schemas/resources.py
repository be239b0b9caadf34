"""Data sets, jobs, models and their versions, as they are asked for and shown."""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.base import Answer, Body, Number, Reason


class RevisionAnswer(Answer):
    """A data set after one write; ``sha256`` is of its whole content, missing rows between others are points too."""

    dataset: str
    freq: str
    revision: int
    sha256: str
    rows_added: int
    rows_total: int
    series_total: int
    missing_total: int = Field(description="Points without a value before the last one of their series; never made up.")
    covariates: list[str] = Field(description="The columns besides unique_id, ds and y.")
    first_ds: str
    last_ds: str
    created_by: str
    created_at: datetime


class MemberAnswer(Answer):
    """One member of the forecaster to be made, and how it is taught."""

    spec: dict[str, Any]
    training: dict[str, Any]


class JobAnswer(Answer):
    """A job as it is now; ``spec`` and ``training`` are those of the first of its ``members``, of one that trains.

    ``order``: what any other is asked to do, every field settled.
    """

    id: str
    kind: str
    model: str | None
    dataset: str | None = Field(description="The data that it reads; null where it reads no stored data.")
    revision: int | None
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    cancel_requested: bool
    attempt: int
    max_attempts: int
    progress: dict[str, Any]
    error: dict[str, Any] | None
    version: int | None
    order: dict[str, Any] | None
    spec: dict[str, Any] | None
    training: dict[str, Any] | None
    members: list[MemberAnswer]
    warm_start_from: str | None
    auto: dict[str, Any] | None
    refit: bool
    promote: str | None = Field(description="When what it trains becomes champion; null where it trains nothing.")
    gate: dict[str, Any] | None = Field(description="By what rule, where ``promote`` is ``if_better``.")
    priority: int
    resource: str
    run_at: datetime | None = Field(description="Not before then: after a failure the next attempt waits a little.")
    deadline_at: datetime | None
    parent: str | None
    label: dict[str, Any] | None
    children: int = Field(description="How many jobs this one is the parent of; GET /v1/jobs?parent= lists them.")
    schedule: str | None = Field(description="Name of the schedule that made it, while there is that.")
    result: dict[str, Any] | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class AttemptAnswer(Answer):
    """One start of a job; ``outcome`` is null while it runs."""

    number: int
    worker: str
    started_at: datetime
    waited_s: float
    ended_at: datetime | None
    outcome: str | None = Field(
        description="succeeded, cancelled, released (the worker was stopped), lost (it gave no sign of life), fenced "
        "(and woke up later), or what kind of failure: job, infrastructure, oom, timeout."
    )
    message: str | None


class VersionAnswer(Answer):
    """One immutable version of a model: what it is, what it learned from, how it did."""

    model: str
    version: int
    origin: Literal["job", "import"] = Field(
        description="Trained here by the job ``job_id``, or imported as a bundle; of an imported one the data that it "
        "learned from are not known."
    )
    sha256: str
    size_bytes: int
    spec: dict[str, Any]
    scores: dict[str, Any]
    skill: float | None
    dataset: str | None
    revision: int | None
    data_sha256: str | None
    job_id: str | None = Field(description="The job that trained it, or that checked the imported bundle.")
    created_by: str
    created_at: datetime


class AliasAnswer(Answer):
    """A name that points at a version."""

    alias: str
    version: int
    moved_at: datetime


class AliasMoveAnswer(Answer):
    """One move of an alias."""

    alias: str
    from_version: int | None
    to_version: int
    reason: str
    moved_by: str
    moved_at: datetime


class MoveRequest(Body):
    """Where an alias should point."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 2, "reason": "approved by the desk"}]})

    version: Number
    reason: Reason = "moved by request"


class ModelAnswer(Answer):
    """A model's name and the versions that its aliases point at."""

    model: str
    aliases: list[AliasAnswer]
    created_at: datetime


class Health(Answer):
    """Whether the service works, and what does not."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]
