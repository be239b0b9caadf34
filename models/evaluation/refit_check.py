"""Check that a forecaster trained on more data after its backtest is still the forecaster that the backtest scored.

It has seen the windows of the backtest meanwhile, so that its errors there say nothing about its merit. But training on
new data that are worth less shows: as a larger error on any of the windows, or as forecasts far from those before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.errors import ModelBroken
from models.evaluation.backtest import Predict, predict_windows
from models.evaluation.origins import Origins
from models.evaluation.scoring import PointForecasts
from models.types import Floats, Ints

MAX_WINDOWS = 1_000  # of each set
MAX_DETERIORATION = 0.05  # relative growth of the mean absolute error
MAX_DISTANCE = 1.0  # mean distance of the forecasts, in mean absolute errors of the scored forecaster

WindowSet = Literal["newest", "former"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefitErrors:
    """Mean absolute errors on the windows ``on``, in units of MASE.

    ``before`` and ``after`` are those of the forecaster before and after its refit, ``distance`` is the mean distance
    between their forecasts.
    """

    on: WindowSet
    windows: int
    before: float
    after: float
    distance: float

    @property
    def is_bounded(self) -> bool:
        """Whether the error has not grown, and the forecasts have not moved, beyond the bounds."""
        tiny = 1e-9 * max(1.0, abs(self.before))
        near = self.distance <= MAX_DISTANCE * self.before + tiny
        return near and self.after <= (1 + MAX_DETERIORATION) * self.before + tiny


@dataclass(frozen=True, slots=True, kw_only=True)
class RefitCheck:
    """Comparison of a forecaster with itself before its refit; ``kept`` says whether the refit is served."""

    kept: bool
    sets: tuple[RefitErrors, ...]


def check_refit(before: Predict, after: Predict, sets: Sequence[tuple[WindowSet, Origins, Ints]]) -> RefitCheck:
    """Compare forecasts ``before`` and ``after`` a refit on sets of windows, each given by its rows (B,) of origins.

    A forecaster that gives NaN or infinity after its refit has not kept its errors.
    """
    found = []
    for name, origins, rows in sets:
        if len(rows) == 0:
            continue
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), MAX_WINDOWS)).astype(np.int64)]
        try:
            found.append(_compare(name, before, after, origins, some))
        except ModelBroken:
            return RefitCheck(kept=False, sets=tuple(found))
    return RefitCheck(kept=all(each.is_bounded for each in found), sets=tuple(found))


def _compare(name: WindowSet, before: Predict, after: Predict, origins: Origins, rows: Ints) -> RefitErrors:
    actuals = origins.actuals(rows)
    first, second = (
        np.concatenate([PointForecasts.of(made).median for _, made in predict_windows(each, origins, rows)])
        for each in (before, after)
    )
    unit = actuals.scale[:, None]
    return RefitErrors(
        on=name,
        windows=len(rows),
        before=_mean(np.abs(first - actuals.actual) / unit),
        after=_mean(np.abs(second - actuals.actual) / unit),
        distance=_mean(np.abs(second - first) / unit),
    )


def _mean(errors: Floats) -> float:
    known = errors[~np.isnan(errors)]
    return float(known.mean()) if len(known) else 0.0
