"""Report of a backtest: errors of the model and of the baselines, and the quality of the intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NotRequired, Self, TypedDict

from models.types import JsonObject

Score = dict[str, float | None]  # MASE, sMAPE, RMSE, MSE, RMSSE, means over windows; None where one is undefined


class StepErrors(TypedDict):
    """Mean errors of each step, lists of H numbers; None where a step has no observed value."""

    mae: list[float | None]
    mase: list[float | None]


class IntervalScore(TypedDict):
    """Quality of prediction intervals: coverage by level in percent, WQL (weighted quantile loss) and MSIS.

    ``coverage_by_steps``: the same of the first, middle and last third of the horizon and of the steps ``beyond`` it.
    None where there are too few residuals to calibrate. Earlier releases did not write it.
    """

    coverage: dict[str, float | None]
    coverage_by_steps: NotRequired[dict[str, dict[str, float | None]]]
    wql: float | None
    msis: float | None


class Sample(TypedDict):
    """Scores on the windows that the statistical baselines were fitted to; ``left_out``: baselines that failed, and
    why."""

    windows: int
    scores: dict[str, Score]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestReport:
    """Scores of a model and of the baselines on the same windows.

    ``steps``, ``intervals`` and ``sample`` are None in reports of releases that did not compute them.
    """

    horizon: int
    season: int
    origins: int
    windows: int
    series_left_out: int
    scores: Mapping[str, Score]  # by forecaster: model, seasonal_naive, naive, drift
    skill: float | None  # 1 - MASE / MASE of seasonal naive
    steps: Mapping[str, StepErrors] | None = None
    coverage: Mapping[str, float | None]  # of the model's intervals, by level in percent
    intervals: Mapping[str, IntervalScore] | None = None
    sample: Sample | None = None

    def to_json(self) -> JsonObject:
        """Return the report as JSON values, in the order of the fields; leave out those that earlier releases lack."""
        optional = {field.name for field in fields(self) if field.default is None}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None or name not in optional}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the report that ``to_json`` of this release or an earlier one described; skip unknown fields.

        Raises:
            TypeError: a field that every release writes is missing.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
