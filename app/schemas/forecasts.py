"""Request and answer of a forecast."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import AfterValidator, ConfigDict, Field, model_validator

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


MAX_LEVELS, MAX_QUANTILES = 10, 21
QUANTILE_STEPS = 200  # a quantile is the bound of a central interval of a whole percentage: a multiple of 0.005

Level = Annotated[int, Field(ge=1, le=99)]


def check_quantile(value: float) -> float:
    """Return a quantile without its rounding error. Raise ValueError if it is no multiple of 0.005."""
    nearest = round(value * QUANTILE_STEPS) / QUANTILE_STEPS
    if abs(value - nearest) > 1e-9 or not 0 < nearest < 1:
        raise ValueError("give quantiles from 0.005 to 0.995 in steps of 0.005, such as 0.1 or 0.975")
    return nearest


Quantile = Annotated[float, Field(gt=0, lt=1), AfterValidator(check_quantile)]
Bound = Annotated[float, Field(ge=-1e100, le=1e100)] | None
BoundPair = Annotated[list[Bound], Field(min_length=2, max_length=2)]  # lowest and highest value, null for none

LEVELS = "Central intervals, in percent. Each contains the median."
QUANTILES = (
    "Quantiles from 0.005 to 0.995, in steps of 0.005: 0.5 is the median, 0.1 and 0.9 are the bounds of the interval "
    "of 80 percent."
)
NON_NEGATIVE = "Whether no value can be below 0: true clips the forecast, false removes such a bound of the model."
BOUNDS = (
    "Lowest and highest possible value, null where there is none, in place of the model's own bounds; the forecast is "
    "clipped to them. A history out of them is refused."
)


def check_parts(request: "AskedParts") -> None:
    """Refuse parts of a forecast that contradict each other. Raise ValueError."""
    if len(set(request.levels)) != len(request.levels):
        raise ValueError("give each level once")
    if len(set(request.quantiles)) != len(request.quantiles):
        raise ValueError("give each quantile once")
    check_pair(request.non_negative, request.bounds)


def check_pair(non_negative: bool | None, bounds: Sequence[float | None] | None) -> None:
    """Refuse bounds that no value lies within. Raise ValueError."""
    lo, hi = bounds or (None, None)
    if lo is not None and hi is not None and lo >= hi:
        raise ValueError(f"the lower of the bounds, {lo:g}, is not below the upper one, {hi:g}")
    if non_negative and hi is not None and hi <= 0:
        raise ValueError(f"'bounds' end at {hi:g}: give a value above 0, or 'non_negative': false")


class AskedParts(Protocol):
    """Parts of a forecast that a request asks for, and the bounds that replace those of the model."""

    levels: list[int]
    quantiles: list[float]
    non_negative: bool | None
    bounds: list[float | None] | None


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
    levels: list[Level] = Field([80], max_length=MAX_LEVELS, fail_fast=True, description=LEVELS)
    quantiles: list[Quantile] = Field([], max_length=MAX_QUANTILES, fail_fast=True, description=QUANTILES)
    non_negative: bool | None = Field(None, description=NON_NEGATIVE)
    bounds: BoundPair | None = Field(None, description=BOUNDS)
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
        check_parts(self)
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
    """The forecast of one series, with a number for each step in every list."""

    unique_id: str
    ds: list[str] = Field(description="Timestamps of the steps.")
    median: list[float] = Field(
        description="Median: half of the values will be below it. MASE and skill are of this forecast."
    )
    mean: list[float] = Field(
        description="Mean (expected value): sums over steps and series are forecasts of sums. It may lie outside of "
        "an interval."
    )
    intervals: dict[str, IntervalAnswer] = Field(description="Central prediction intervals by level in percent.")
    quantiles: dict[str, list[float]] = Field(
        {}, description="The quantiles asked for; 0.1 and 0.9 are the bounds of the interval of 80 percent."
    )


class ForecastAnswer(Answer):
    """Forecasts, the version that made them, its backtest, and warnings."""

    model: VersionRef
    freq: str
    horizon: int
    backtest: Skill
    skill: float | None
    bounds: BoundPair | None = Field(description="Bounds that the forecasts are clipped to; null without any.")
    warnings: list[WarningAnswer]
    forecasts: list[SeriesForecast]
