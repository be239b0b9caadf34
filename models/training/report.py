"""The report of a trained version: its backtest, how it was trained, and whether it became champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from models.evaluation.report import BacktestReport, Score
from models.evaluation.scoring import MEASURES
from models.types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """Measurements of a training: see the fields of the same names in ``VersionReport``."""

    seasonal_naive_share: float
    refit: bool
    engines_differ_by: float
    carry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionReport(BacktestReport):
    """Backtest of a version before it was refitted, and the origin of the version.

    Fields that are None were not recorded by the release that trained the version; ``warm_started_from`` is None for a
    version that began with random weights.
    """

    seasonal_naive_share: float | None = None  # of the members' mean
    refit: bool | None = None  # trained on the windows of the backtest as well, once they were scored
    engines_differ_by: float | None = None  # largest difference between the outputs of Keras and ONNX Runtime
    carry: int | None = None  # windows in a row over which the state was carried in training
    warm_started_from: str | None  # NAME@NUMBER of the version whose weights training continued
    members: Sequence[JsonObject] | None = None  # spec and training of each
    auto: JsonObject | None = None  # budget and trials of the search that chose the spec
    made_by: JsonObject | None = None  # library versions, device, threads and processor, time and memory of the run
    parent_knew_backtest: bool | None = None  # the version of the warm start had been trained on some of the windows
    promoted: bool | None = None
    promotion: str | None = None  # reason of the gate

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the report that a registered version stores, of this release or an earlier one; skip unknown fields.

        Raises:
            TypeError: a field that every release writes is missing.
        """
        return super(VersionReport, cls).from_json({"warm_started_from": None, **values})

    @classmethod
    def unscored(cls, horizon: int, season: int) -> Self:
        """Return the report of a version that no backtest has scored, such as an imported one: no windows, no skill."""
        unknown: Score = dict.fromkeys(MEASURES)
        return cls(
            horizon=horizon,
            season=season,
            origins=0,
            windows=0,
            series_left_out=0,
            scores={"model": unknown, "seasonal_naive": unknown},
            skill=None,
            coverage={"80": None, "95": None},
            warm_started_from=None,
        )
