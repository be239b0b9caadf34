"""Request and response bodies."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
Name = Annotated[str, Field(pattern=NAME, description="1 to 128 letters, digits, '.', '_' or '-'")]

MOST_FIELDS = 50
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]  # of a version or revision: what a column of a database holds
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]  # databases keep no NUL

T = TypeVar("T")

# Lists stop at their first wrong element: a million errors would cost a gigabyte to describe.
Texts = Annotated[list[str], Field(fail_fast=True)]
Values = Annotated[list[float | None], Field(fail_fast=True)]


class Body(BaseModel):
    """A request body: no unknown fields, no numbers in strings."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, values: Any) -> Any:
        # Each unknown field would be an error of its own: a body full of them costs seconds to describe.
        if isinstance(values, dict) and len(values) > MOST_FIELDS:
            raise ValueError(f"there are more than {MOST_FIELDS} fields")
        return values


class Answer(BaseModel):
    """A response body."""

    model_config = ConfigDict(protected_namespaces=(), from_attributes=True)


class History(Body):
    """The past as columns of one length, a row for each series and moment; one name may stand for all rows."""

    unique_id: Texts | str = "series"
    ds: Texts
    y: Values


class DatasetRef(Body):
    """Series of a stored data set; the newest revision and all its series where nothing else is said."""

    name: Name
    revision: Number | None = None
    ids: Annotated[list[str], Field(min_length=1, max_length=10_000, fail_fast=True)] | None = None

    @model_validator(mode="after")
    def _each_once(self) -> "DatasetRef":
        if self.ids is not None and len(set(self.ids)) != len(self.ids):
            raise ValueError("give each id once")
        return self


Level = Annotated[int, Field(ge=1, le=99)]


class ForecastRequest(Body):
    """What to forecast, with which model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "electricity",
                    "dataset": {"name": "electricity-hourly", "ids": ["PJME"]},
                    "horizon": 24,
                    "levels": [80, 95],
                }
            ]
        }
    )

    model: Name
    version: Number | None = None
    alias: Name | None = None
    history: History | None = None
    dataset: DatasetRef | None = None
    freq: Annotated[str, Field(max_length=20)] | None = None
    horizon: Annotated[int, Field(ge=1)] | None = Field(None, description="Steps; the trained horizon if left out.")
    levels: Annotated[list[Level], Field(max_length=10, fail_fast=True)] = [80]

    @model_validator(mode="after")
    def _one_source(self) -> "ForecastRequest":
        if (self.history is None) == (self.dataset is None):
            raise ValueError("give either 'history' or 'dataset'")
        if self.version is not None and self.alias is not None:
            raise ValueError("give either 'version' or 'alias'")
        if self.dataset is not None and self.freq is not None:
            raise ValueError("leave out 'freq': a data set has its own")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("give each level once")
        return self


class VersionRef(Answer):
    """The version that answered."""

    name: str
    version: int
    sha256: str
    cell: str
    strategy: str
    trained_horizon: int


class Skill(Answer):
    """How the version did in its backtest; ``skill`` is 1 - MASE / MASE of seasonal naive, above 0 is worth serving."""

    skill: float | None
    mase: float | None
    seasonal_naive_mase: float | None
    horizon: int
    windows: int
    coverage: dict[str, float | None]


class WarningAnswer(Answer):
    """Something the reader should know."""

    code: str
    message: str
    unique_id: str | None = None


class Interval(Answer):
    """A central prediction interval, step by step."""

    lo: list[float]
    hi: list[float]


class SeriesForecast(Answer):
    """The forecast of one series; ``intervals`` by level in percent."""

    unique_id: str
    ds: list[str]
    mean: list[float]
    intervals: dict[str, Interval]


class ForecastAnswer(Answer):
    """Forecasts, the version that made them, how good it is, and what to know."""

    model: VersionRef
    freq: str
    horizon: int
    backtest: Skill
    skill: float | None
    warnings: list[WarningAnswer]
    forecasts: list[SeriesForecast]


class RevisionAnswer(Answer):
    """A data set after one write; ``sha256`` is of its whole content."""

    dataset: str
    freq: str
    revision: int
    sha256: str
    rows_added: int
    rows_total: int
    series_total: int
    first_ds: str
    last_ds: str
    created_by: str
    created_at: datetime


class TrainRequest(Body):
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
    spec: dict[str, Any] = Field(
        {}, max_length=50, description="Fields of the spec; those left out are suggested by the data."
    )
    training: dict[str, Any] = Field(
        {}, max_length=50, description="Fields of the training; those left out have defaults."
    )
    promote: Literal["if_better", "always", "never"] = Field(
        "if_better", description="When the alias 'champion' moves to the new version."
    )


class JobAnswer(Answer):
    """A job as it is now."""

    id: str
    kind: str
    model: str
    dataset: str
    revision: int
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    cancel_requested: bool
    attempt: int
    max_attempts: int
    progress: dict[str, Any]
    error: dict[str, Any] | None
    version: int | None
    spec: dict[str, Any]
    training: dict[str, Any]
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class VersionAnswer(Answer):
    """One immutable version of a model: what it is, what it learned from, how it did."""

    model: str
    version: int
    sha256: str
    size_bytes: int
    spec: dict[str, Any]
    scores: dict[str, Any]
    skill: float | None
    dataset: str
    revision: int
    data_sha256: str
    job_id: str
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


class Page(Answer, Generic[T]):
    """One page of a list; ``next_page_token`` is null on the last one."""

    items: list[T]
    next_page_token: str | None


class Health(Answer):
    """Whether the service works, and what does not."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]
