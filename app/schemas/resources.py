"""Data sets, jobs, models and their versions, as they are asked for and shown."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from app.schemas.base import VERSION_NAME, Answer, Body, Name, Number, Reason
from app.schemas.decisions import GatePolicy


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


class AutoRequest(Body):
    """Let the service choose what is not given, on origins that lie before those of the backtest."""

    budget_s: Annotated[float, Field(ge=1, le=86_400, description="Seconds for the search and for training.")]


class Placed(Body):
    """What every kind of job may be asked for with: when it is its turn, and until when it is of use."""

    priority: Annotated[int, Field(ge=-10, le=10)] = Field(
        0, description="More goes first; each step makes up for ten minutes of waiting."
    )
    resource: Literal["cpu", "gpu"] = Field("cpu", description="What it takes a slot of while it runs.")
    deadline_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        None, description="It fails with 'timeout' if it is not done in so many seconds."
    )


class Judged(Placed):
    """A job that makes a version: what decides whether it is served."""

    promote: Literal["if_better", "always", "never"] = Field(
        "if_better", description="When the alias 'champion' moves to the new version."
    )
    gate: GatePolicy = Field(
        GatePolicy(), description="What 'if_better' means; 'always' and 'never' have their way whatever it says."
    )


class TrainRequest(Judged):
    """A training job: which data, under which name, and what to change of what the data suggest."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "train",
                    "model": "electricity",
                    "dataset": "electricity-hourly",
                    "spec": {"cell": "gru", "strategy": "direct", "horizon": 24},
                    "training": {"max_epochs": 12},
                }
            ]
        }
    )

    kind: Literal["train"] = "train"
    model: Name
    dataset: Name
    revision: Number | None = None
    recipe: Name = Field("default", description="Where the fields come from that neither you nor the data name.")
    spec: dict[str, Any] = Field(
        {}, max_length=50, description="Fields of the spec; those left out are suggested by the data."
    )
    training: dict[str, Any] = Field(
        {}, max_length=50, description="Fields of the training; those left out have defaults."
    )
    ensemble: Annotated[list[Annotated[dict[str, Any], Field(max_length=50)]], Field(fail_fast=True)] | None = Field(
        None,
        min_length=1,
        max_length=10,
        description="Train several members, whose mean is forecast: for each the fields of spec or training in which "
        "it differs.",
        examples=[[{}, {"seed": 1}, {"loss": "mse"}]],
    )
    warm_start_from: Annotated[str, Field(pattern=VERSION_NAME)] | None = Field(
        None,
        description="NAME@NUMBER or NAME@ALIAS: go on from the weights of that version; fields of the spec that are "
        "left out are its own.",
        examples=["electricity@champion"],
    )
    auto: AutoRequest | None = None
    baselines: Annotated[list[Literal["theta", "ets"]], Field(max_length=2, fail_fast=True)] = Field(
        ["theta", "ets"], description="Compared as well in the backtest, on some windows, where the worker has them."
    )
    refit: bool = Field(
        True, description="After the backtest, teach the newest points as well; the scores stay those of the backtest."
    )

    by: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None,
        description="A model for each value of this static covariate, or 'unique_id' for each series: a job with as "
        "many children, whose models are named MODEL-VALUE.",
    )
    children_at_once: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        None, description="How many of them may be under way at the same time."
    )
    skip_unfit: bool = Field(False, description="Leave groups out that cannot be trained, instead of refusing all.")

    @model_validator(mode="after")
    def _for_groups(self) -> "TrainRequest":
        if self.by is not None and self.warm_start_from is not None:
            raise ValueError("give either 'by' or 'warm_start_from': each group would go on from the same weights")
        if self.by is None and (self.children_at_once is not None or self.skip_unfit):
            raise ValueError("'children_at_once' and 'skip_unfit' are for groups: give 'by' as well")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> "TrainRequest":
        ways = {"ensemble": self.ensemble, "warm_start_from": self.warm_start_from, "auto": self.auto}
        if sum(way is not None for way in ways.values()) > 1:
            raise ValueError(f"give at most one of {', '.join(ways)}")
        return self


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
