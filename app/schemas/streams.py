"""Lines of a stream of forecasts, and the query parameters of a forecast from a table."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.schemas.base import Answer, JsonObject, Name, Number
from app.schemas.forecasts import (
    BOUNDS,
    MAX_LEVELS,
    MAX_QUANTILES,
    NON_NEGATIVE,
    QUANTILES,
    BoundPair,
    Level,
    Quantile,
    SeriesForecast,
    Skill,
    VersionRef,
    WarningAnswer,
    check_parts,
)


class StreamHead(Answer):
    """First line of a stream: the facts that hold for all series."""

    model: VersionRef
    freq: str
    horizon: int
    skill: float | None
    backtest: Skill
    bounds: BoundPair | None
    warnings: list[WarningAnswer]


class StreamedSeries(SeriesForecast):
    """Line of a stream with the forecast of one series."""

    warnings: list[WarningAnswer] = Field(description="Warnings about this series.")


class StreamEnd(Answer):
    """Last line of a complete stream; ``series`` is the number of series."""

    done: Literal[True]
    series: int


class StreamFailure(Answer):
    """Last line of a stream that failed; ``error`` are the problem details of a refused request."""

    error: JsonObject = Field(description="RFC 9457 problem details.")


def _listed(values: object) -> object:
    return [value for value in values.split(",") if value] if isinstance(values, str) else values


def _paired(values: object) -> object:
    return [value or None for value in values.split(",")] if isinstance(values, str) else values


Levels = Annotated[list[Level], Field(max_length=MAX_LEVELS, fail_fast=True), BeforeValidator(_listed)]
Quantiles = Annotated[list[Quantile], Field(max_length=MAX_QUANTILES, fail_fast=True), BeforeValidator(_listed)]


class ForecastQuery(BaseModel):
    """Query parameters of a forecast from a table, which is the request body."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: Name
    version: Number | None = None
    alias: Name | None = None
    freq: Annotated[str, Field(max_length=20)] | None = Field(
        None, description="Of the rows; if left out, the model's if the timestamps fit it, else their own."
    )
    horizon: Annotated[int, Field(ge=1)] | None = Field(None, description="Steps; the trained horizon if left out.")
    levels: Levels = Field([80], description="Percent, separated by commas; empty for no interval.")
    quantiles: Quantiles = Field([], description=f"{QUANTILES} Separated by commas.")
    non_negative: bool | None = Field(None, description=NON_NEGATIVE)
    bounds: Annotated[BoundPair | None, BeforeValidator(_paired)] = Field(
        None, description=f"{BOUNDS} Two numbers with a comma between; '0,' has no highest value."
    )
    session: Name | None = None

    @model_validator(mode="after")
    def _once(self) -> "ForecastQuery":
        if self.version is not None and self.alias is not None:
            raise ValueError("give either 'version' or 'alias'")
        check_parts(self)
        return self
