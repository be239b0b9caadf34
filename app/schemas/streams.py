"""What a stream of forecasts says line by line, and what is asked with where the body is a table."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.schemas.base import Answer, Name, Number
from app.schemas.forecasts import Level, SeriesForecast, Skill, VersionRef, WarningAnswer


class StreamHead(Answer):
    """The first line: what holds for all series."""

    model: VersionRef
    freq: str
    horizon: int
    skill: float | None
    backtest: Skill
    warnings: list[WarningAnswer]


class StreamedSeries(SeriesForecast):
    """A line for each series."""

    warnings: list[WarningAnswer] = Field(description="What is to be known of this series.")


class StreamEnd(Answer):
    """The last line of a stream that is whole; ``series`` says of how many."""

    done: Literal[True]
    series: int


class StreamFailure(Answer):
    """The last line of a stream that could not go on; ``error`` is what a refusal of a request would have been."""

    error: dict[str, Any] = Field(description="RFC 9457 problem details.")


def _listed(levels: object) -> object:
    return [level for level in levels.split(",") if level] if isinstance(levels, str) else levels


Levels = Annotated[list[Level], Field(max_length=10, fail_fast=True), BeforeValidator(_listed)]


class ForecastQuery(BaseModel):
    """What a forecast is asked with beside a table: in the query, for the body is the history."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: Name
    version: Number | None = None
    alias: Name | None = None
    freq: Annotated[str, Field(max_length=20)] | None = Field(None, description="Read off the table if left out.")
    horizon: Annotated[int, Field(ge=1)] | None = Field(None, description="Steps; the trained horizon if left out.")
    levels: Levels = Field([80], description="Percent, with commas between; empty for the mean alone.")
    session: Name | None = None

    @model_validator(mode="after")
    def _once(self) -> "ForecastQuery":
        if self.version is not None and self.alias is not None:
            raise ValueError("give either 'version' or 'alias'")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("give each level once")
        return self
