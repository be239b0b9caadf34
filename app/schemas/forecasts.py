"""Request and answer of a forecast."""

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from app.schemas.base import Answer, Body, Columns, Name, Number, Texts, Values


class History(Body):
    """History as columns of equal length, with a row for each series and timestamp; one name may stand for all rows.

    Values may be null, and rows may be missing. A forecast begins after the last value of its series.
    """

    unique_id: Texts | str = "series"
    ds: Texts
    y: Values
    covariates: Columns = Field({}, description="Further columns: numbers, true and false, or text.")


class Series(Body):
    """One regular series: a value for each step of the frequency from ``start`` on, null if one is missing."""

    unique_id: str = "series"
    start: str = Field(description="The timestamp of the first value.", examples=["2026-01-01T00:00:00Z"])
    y: Values


class Future(Body):
    """Covariates of the forecast steps, as columns of equal length; one name may stand for all rows.

    The forecast of a series without history begins with the first of its rows.
    """

    unique_id: Texts | str = "series"
    ds: Texts
    covariates: Columns


class DatasetRef(Body):
    """Series of a stored data set; by default all series of the newest revision."""

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
    """A forecast: the model, the history and the horizon."""

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
    series: Annotated[list[Series], Field(min_length=1, fail_fast=True)] | None = Field(
        None, description="History of regular series without a timestamp for each value, at 'freq' or the model's own."
    )
    dataset: DatasetRef | None = None
    future: Future | None = Field(
        None, description="Covariates of the steps to be forecast; rows of the data set with an empty y do the same."
    )
    freq: Annotated[str, Field(max_length=20)] | None = Field(
        None, description="Of the inline rows; if left out, the model's if the timestamps fit it, else their own."
    )
    horizon: Annotated[int, Field(ge=1)] | None = Field(None, description="Steps; the trained horizon if left out.")
    levels: list[Level] = Field([80], max_length=10, fail_fast=True)
    session: Name | None = Field(
        None,
        description="For models with a carried state: the state is kept under this name, and the next request sends "
        "(or reads from the data set) only the new values.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "ForecastRequest":
        given = [name for name in ("history", "series", "dataset") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give either '{given[0]}' or '{given[1]}'")
        if not given and self.future is None:
            raise ValueError("give 'history', 'series' or 'dataset', or for series without history 'future'")
        if self.version is not None and self.alias is not None:
            raise ValueError("give either 'version' or 'alias'")
        if self.dataset is not None and self.freq is not None:
            raise ValueError("leave out 'freq': a data set has its own")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("give each level once")
        return self


class VersionRef(Answer):
    """The version that made the forecast; ``cell`` and ``strategy`` are those of its first member."""

    name: str
    version: int
    sha256: str
    cell: str
    strategy: str
    members: int
    trained_horizon: int


class Skill(Answer):
    """Backtest of the version; ``skill`` is 1 - MASE / MASE of seasonal naive, and above 0 it beats the baseline."""

    skill: float | None
    mase: float | None
    seasonal_naive_mase: float | None
    horizon: int
    windows: int
    coverage: dict[str, float | None]


class WarningAnswer(Answer):
    """A caution about a forecast; ``unique_id`` is null if it concerns all series."""

    code: str
    message: str
    unique_id: str | None = None


class IntervalAnswer(Answer):
    """A central prediction interval, with a bound for each step."""

    lo: list[float]
    hi: list[float]


class SeriesForecast(Answer):
    """The forecast of one series, with ``intervals`` by level in percent."""

    unique_id: str
    ds: list[str]
    mean: list[float]
    intervals: dict[str, IntervalAnswer]


class ForecastAnswer(Answer):
    """Forecasts, the version that made them, its backtest, and warnings."""

    model: VersionRef
    freq: str
    horizon: int
    backtest: Skill
    skill: float | None
    warnings: list[WarningAnswer]
    forecasts: list[SeriesForecast]
