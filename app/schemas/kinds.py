"""What can be asked of a worker: one body for each kind of job, told apart by ``kind``."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from app.schemas.base import VERSION_NAME, Answer, Body, Name, Number, Texts
from app.schemas.resources import Judged, Placed, TrainRequest

Version = Annotated[str, Field(pattern=VERSION_NAME, description="NAME@NUMBER or NAME@ALIAS.")]
Level = Annotated[int, Field(ge=1, le=99)]
Baselines = Annotated[list[Literal["theta", "ets"]], Field(max_length=2, fail_fast=True)]


class OnData(Placed):
    """A job on a data set; ``revision`` is the newest where it is left out."""

    dataset: Name
    revision: Number | None = None


class BacktestRequest(OnData):
    """Score a version, or the baselines alone, from rolling origins at the end of a data set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "backtest", "version": "electricity@champion", "dataset": "electricity-hourly"}]
        }
    )

    kind: Literal["backtest"]
    version: Version | None = Field(None, description="NAME@NUMBER or NAME@ALIAS; left out, seasonal naive is scored.")
    horizon: Annotated[int, Field(ge=1, le=5_000)] | None = Field(None, description="The version's if left out.")
    baselines: Baselines = Field(["theta", "ets"], description="Compared as well, where the worker has them.")
    windows: Literal["parquet", "csv"] | None = Field(
        None, description="Also leave a file with each forecast beside what came: unique_id, cutoff, ds, y, mean."
    )


class BatchRequest(OnData):
    """Forecast every series of a data set into a file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "forecast", "version": "electricity@champion", "dataset": "electricity-hourly", "horizon": 24}
            ]
        }
    )

    kind: Literal["forecast"]
    version: Version
    ids: Annotated[Texts, Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="Only these series, in this order."
    )
    horizon: Annotated[int, Field(ge=1, le=5_000)] | None = Field(None, description="The version's if left out.")
    levels: Annotated[list[Level], Field(max_length=10, fail_fast=True)] = Field(
        [80], description="Central intervals, in percent."
    )
    format: Literal["parquet", "csv"] = "parquet"


class TuneRequest(OnData, Judged):
    """Search for the spec that does best on origins before those of the backtest, and train it to its end."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "tune", "model": "electricity", "dataset": "electricity-hourly", "trials": 20}]
        }
    )

    kind: Literal["tune"]
    model: Name
    recipe: Name = "default"
    spec: dict[str, Any] = Field({}, max_length=50, description="Fields that the search may not change.")
    training: dict[str, Any] = Field({}, max_length=50)
    budget_s: Annotated[float, Field(ge=1, le=86_400)] = Field(
        3_600, description="Seconds for the search and for training what it chose."
    )
    trials: Annotated[int, Field(ge=1, le=500)] | None = Field(
        None, description="So many candidates, drawn at random where those with a name are fewer."
    )
    register_best: bool = Field(True, alias="register", description="Train what was found, as a version.")
    baselines: Baselines = Field(["theta", "ets"], description="Compared as well, where the worker has them.")
    refit: bool = True


class RetrainRequest(Judged):
    """Train the champion's spec again, on the newest revision of its data set."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "retrain", "model": "electricity"}]})

    kind: Literal["retrain"]
    model: Name
    dataset: Name | None = Field(None, description="Another data set than the champion's.")
    warm_start: bool = Field(False, description="Go on from the champion's weights, if it has any.")


KINDS: dict[str, type[Body]] = {
    "train": TrainRequest,
    "backtest": BacktestRequest,
    "forecast": BatchRequest,
    "tune": TuneRequest,
    "retrain": RetrainRequest,
}


def kind_of(value: Any) -> str | None:
    """The kind of job that a body asks for; where it says none, a training job."""
    found = value.get("kind", "train") if isinstance(value, dict) else getattr(value, "kind", None)
    return found if isinstance(found, str) else None


JobRequest = Annotated[
    Annotated[TrainRequest, Tag("train")]
    | Annotated[BacktestRequest, Tag("backtest")]
    | Annotated[BatchRequest, Tag("forecast")]
    | Annotated[TuneRequest, Tag("tune")]
    | Annotated[RetrainRequest, Tag("retrain")],
    Discriminator(
        kind_of,
        custom_error_type="unknown_kind",
        custom_error_message=f"no such kind of job; use one of {', '.join(KINDS)}",
    ),
]


class ArtifactAnswer(Answer):
    """A file that a job left behind."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    created_at: datetime
