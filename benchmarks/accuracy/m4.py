"""Protocol of M4: the test sets of the competition, and OWA against its Naive2.

OWA is the mean of sMAPE and MASE, each relative to Naive2: Makridakis et al. (2020), "The M4 Competition".
"""

import numpy as np
import pandas as pd

from benchmarks.accuracy.protocol import Teach, actual_of, taught
from benchmarks.data import Dataset, folder
from models.data.panel import Panel
from models.evaluation import metrics
from models.types import Floats, Ints, JsonObject

REFERENCE = "m4_reference_forecasts.parquet"
NAIVE2 = "Naive2"


def reference(panel: Panel, horizon: int, method: str) -> Floats:
    """Return the submitted forecasts of ``method`` for each series of ``panel``, (N, H)."""
    frame = pd.read_parquet(folder() / REFERENCE, columns=["unique_id", "step", method])
    by_id = {str(name): rows for name, rows in frame.sort_values("step").groupby("unique_id")}
    return np.stack([by_id[name][method].to_numpy(np.float64)[:horizon] for name in panel.ids])


def moments(panel: Panel, horizon: int) -> tuple[Ints, Ints]:
    """Return the forecast origin of each series: before its last ``horizon`` points."""
    return np.arange(len(panel)), panel.lengths - horizon


def scores(panel: Panel, forecast: Floats, season: int) -> dict[str, float]:
    """Return sMAPE, MASE and OWA of ``forecast`` (N, H) on the test sets of all series."""
    horizon = forecast.shape[1]
    own, naive2 = (_errors(panel, each, season) for each in (forecast, reference(panel, horizon, NAIVE2)))
    return {"smape": own[0], "mase": own[1], "owa": metrics.owa(*own, *naive2)}


def _errors(panel: Panel, forecast: Floats, season: int) -> tuple[float, float]:
    series, at = moments(panel, forecast.shape[1])
    actual = actual_of(panel, series, at, forecast.shape[1])
    unit = np.array([metrics.naive_scale(panel.series(i)[:end], season) for i, end in enumerate(at.tolist())])
    return float(metrics.smape(actual, forecast).mean()), float(np.nanmean(metrics.mase(actual, forecast, unit)))


def measure(dataset: Dataset, teach: Teach) -> JsonObject:
    """Return the OWA of a forecaster trained on the training sets of the competition.

    MASE uses the competition's season (1 for weeks), the forecaster the season of its frequency.
    """
    panel, horizon = dataset.panel(), dataset.horizon
    series, at = moments(panel, horizon)
    predictor, took = taught(teach, panel.cut(horizon), {"horizon": horizon}, held=0)
    found = scores(panel, predictor(panel, series, at, horizon).median, dataset.season)
    return {**found, **took}
