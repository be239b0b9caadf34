"""Lines of a stream of forecasts, and the query parameters of a forecast from a table."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.schemas.base import Answer, JsonObject, Name, Number
from app.schemas.forecasts import Level, SeriesForecast, Skill, VersionRef, WarningAnswer


class StreamHead(Answer):
    """First line of a stream: the facts that hold for all series."""

    model: VersionRef
    freq: str
    horizon: int
    skill: float | None
    backtest: Skill
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


def _listed(levels: object) -> object:
    return [level for level in levels.split(",") if level] if isinstance(levels, str) else levels


Levels = Annotated[list[Level], Field(max_length=10, fail_fast=True), BeforeValidator(_listed)]


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
    levels: Levels = Field([80], description="Percent, separated by commas; empty for the mean alone.")
    session: Name | None = None

    @model_validator(mode="after")
    def _once(self) -> "ForecastQuery":
        if self.version is not None and self.alias is not None:
            raise ValueError("give either 'version' or 'alias'")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("give each level once")
        return self
