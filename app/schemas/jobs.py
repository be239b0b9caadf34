"""Answers of the jobs API: jobs, their attempts and the files that they wrote."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.schemas.base import Answer, DescribedBy, JsonObject
from app.schemas.decisions import GateDocument
from app.schemas.forecasts import Skill, WarningAnswer
from app.schemas.reports import AuditAnswer, BacktestAnswer, TrialAnswer
from app.schemas.specs import MemberAnswer, PartialSpec, SpecDocument, TrainingDocument


class ProgressAnswer(Answer):
    """Progress of a job; the fields depend on the kind and the phase, and there are none before the work begins."""

    phase: str | None = Field(None, description="search, fit, backtest, refit, forecast, done, ...")
    member: int | None = Field(None, description="Number of the member in training, from 1.")
    members: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    validation_loss: float | None = None
    validation_skill: float | None = Field(None, description="Skill so far, on some windows of the backtest.")
    done: int | None = Field(None, description="Series or windows that are done.")
    of: int | None = Field(None, description="Series or windows of the whole job.")
    children: dict[str, int] | None = Field(None, description="Number of children in each state.")
    share: float | None = Field(None, description="Share of the whole job that is done, 0 to 1.")
    eta_s: float | None = Field(None, description="Seconds until the end, estimated; null if unknown.")


class JobErrorAnswer(Answer):
    """Failure of a job; ``class`` is job, infrastructure, oom or timeout."""

    code: str
    message: str
    class_: str = Field(alias="class")


class PinnedVersionAnswer(Answer):
    """A version as the request named it, and its number when the job was created."""

    name: str
    number: int
    id: int


class OrderAnswer(Answer):
    """Plan of a job that trains nothing itself; the fields depend on the kind."""

    version: PinnedVersionAnswer | None = None
    horizon: int | None = None
    season: int | None = None
    levels: list[int] | None = None
    quantiles: list[float] | None = None
    bounds: list[float | None] | None = Field(None, description="Null: those of the version.")
    format: str | None = None
    ids: list[str] | None = Field(None, description="First few of the series that the request names; null: all series.")
    ids_total: int | None = Field(None, description="Number of the series that the request names.")
    baselines: list[str] | None = None
    windows: str | None = Field(None, description="Format of the file of windows.")
    by: str | None = Field(None, description="Covariate that divides the series into groups.")
    groups: int | None = None
    left_out: list[str] | None = Field(None, description="Groups that cannot be trained, and why.")


class AutoAnswer(Answer):
    """Search for the best spec."""

    budget_s: float
    fixed: PartialSpec = Field(description="Fields of the spec that the search does not change.")
    trials: int | None = None


class TrainingResultAnswer(Answer):
    """Result of a job that trains: the version, and the trials of a search."""

    version: int | None = None
    skill: float | None = None
    verdict: str | None = None
    reason: str | None = None
    audit: AuditAnswer | None = Field(None, description="Differences because of which nothing was trained.")
    trials: list[TrialAnswer] | None = None
    best: MemberAnswer | None = Field(None, description="Choice of a search that registers no version.")


class ForecastResultAnswer(Answer):
    """Result of a batch forecast."""

    series: int
    rows: int
    horizon: int
    notes: dict[str, int] = Field(description="Number of notes by code.")
    of: str = Field(description="The version, as MODEL@NUMBER.")
    skill: float | None = Field(None, description="Of the version; above 0 it beats seasonal naive.")
    backtest: Skill | None = Field(None, description="Of the version, as an answer of POST /v1/forecasts has it.")
    warnings: list[WarningAnswer] = Field([], description="The first one of each code; 'notes' counts them.")


class BacktestResultAnswer(BacktestAnswer):
    """Result of a backtest."""

    of: str = Field(description="The version, as MODEL@NUMBER, or seasonal_naive.")
    windows_taught: int = Field(description="Windows that the version was trained on, so that their scores are void.")


class ChildrenResultAnswer(Answer):
    """Result of a parent job."""

    children: dict[str, int] = Field(description="Number of children by final state.")


ProgressDocument = Annotated[JsonObject, DescribedBy(ProgressAnswer)]
ErrorDocument = Annotated[JsonObject, DescribedBy(JobErrorAnswer)]
OrderDocument = Annotated[JsonObject, DescribedBy(OrderAnswer)]
AutoDocument = Annotated[JsonObject, DescribedBy(AutoAnswer)]
ResultDocument = Annotated[
    JsonObject,
    DescribedBy(TrainingResultAnswer, ForecastResultAnswer, BacktestResultAnswer, ChildrenResultAnswer),
]


class JobAnswer(Answer):
    """A job and its present state.

    ``spec`` and ``training`` are those of the first member, of a job that trains; ``order`` is the plan of any other
    job, with a value for every field.
    """

    id: str
    kind: str
    model: str | None
    dataset: str | None = Field(description="Data set that the job reads; null if it reads no stored data.")
    revision: int | None
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    cancel_requested: bool
    attempt: int
    max_attempts: int
    progress: ProgressDocument
    error: ErrorDocument | None
    version: int | None
    order: OrderDocument | None
    spec: SpecDocument | None
    training: TrainingDocument | None
    members: list[MemberAnswer]
    warm_start_from: str | None
    auto: AutoDocument | None
    refit: bool
    promote: str | None = Field(description="When the trained version becomes champion; null for jobs without one.")
    gate: GateDocument | None = Field(description="Rule of promotion, if ``promote`` is ``if_better``.")
    priority: int
    resource: str
    run_at: datetime | None = Field(description="Earliest start: the attempt after a failure waits a little.")
    deadline_at: datetime | None
    parent: str | None
    label: JsonObject | None = Field(description="The group of a child: its covariate and value.")
    children: int = Field(description="Number of children; GET /v1/jobs?parent= lists them.")
    schedule: str | None = Field(description="Name of the schedule that made the job, while the schedule exists.")
    result: ResultDocument | None
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
        description="succeeded, cancelled, released (the worker was stopped), lost (the worker sent no sign of life), "
        "fenced (the worker came back too late), or the class of a failure: job, infrastructure, oom, timeout."
    )
    message: str | None


class ArtifactAnswer(Answer):
    """A file that a job wrote."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    created_at: datetime
