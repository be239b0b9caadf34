"""Protocol of ETT, the transformer temperatures: long horizons over every window of the test part.

The series are split into 12, 4 and 4 months for training, validation and test. Each of the seven columns is
standardised by the mean and the standard deviation of its training part and is a series of its own. Source: Zhou et
al. (2021), "Informer"; Qiu et al. (2024), "TFB", for keeping the windows of the last batch.
"""

import numpy as np
import pandas as pd

from benchmarks.accuracy.protocol import CHUNK, Predictor, Teach, actual_of, taught
from benchmarks.data import Dataset, panel_of
from models.data.panel import Panel
from models.types import Ints, JsonObject

COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "y")
MONTH_DAYS = 30
TAUGHT, CHOOSING, TESTING = 12, 4, 4  # months
LOOK_BACK = 720


def parts(dataset: Dataset) -> tuple[int, int, int]:
    """Return the points for training, validation and test: 8,640, 2,880 and 2,880 of the hourly set."""
    month = round(MONTH_DAYS / dataset.freq.min_days)
    return TAUGHT * month, CHOOSING * month, TESTING * month


def panel(dataset: Dataset) -> Panel:
    """Return the three parts of the seven columns, standardised, one series each."""
    frame = pd.read_parquet(dataset.file)
    first, whole = parts(dataset)[0], sum(parts(dataset))
    values = frame[list(COLUMNS)].to_numpy(np.float64)[:whole]
    scaled = (values - values[:first].mean(axis=0)) / values[:first].std(axis=0)
    start = frame["ds"].to_numpy().astype("datetime64[us]")[0]
    return panel_of(dataset.freq, ((name, start, scaled[:, i]) for i, name in enumerate(COLUMNS)))


def moments(series: int, begin: int, points: int, horizon: int) -> tuple[Ints, Ints]:
    """Return every (series, at) with ``horizon`` steps inside the ``points`` points from ``begin``."""
    at = np.arange(begin, begin + points - horizon + 1)
    return np.repeat(np.arange(series), len(at)), np.tile(at, series)


def errors(predictor: Predictor, panel: Panel, where: tuple[Ints, Ints], horizon: int) -> tuple[float, float]:
    """Return the mean squared and the mean absolute error over all windows, steps and columns."""
    series, at = where
    squared = absolute = 0.0
    for i in range(0, len(at), CHUNK):
        some = slice(i, i + CHUNK)
        off = predictor(panel, series[some], at[some], horizon).median - actual_of(
            panel, series[some], at[some], horizon
        )
        squared, absolute = squared + float(np.square(off).sum()), absolute + float(np.abs(off).sum())
    return squared / (len(at) * horizon), absolute / (len(at) * horizon)


def measure(dataset: Dataset, horizon: int, teach: Teach) -> JsonObject:
    """Return MSE and MAE, in standard deviations, on the validation part and on the test part."""
    whole = panel(dataset)
    begin, choosing, testing = parts(dataset)
    fields = {"season": dataset.season, "context": LOOK_BACK, "horizon": horizon}
    predictor, took = taught(teach, whole.cut(testing), fields, held=choosing)
    validation, _ = errors(predictor, whole, moments(len(whole), begin, choosing, horizon), horizon)
    where = moments(len(whole), begin + choosing, testing, horizon)
    mse, mae = errors(predictor, whole, where, horizon)
    return {"mse": mse, "mae": mae, "validation_mse": validation, "windows": len(where[0]), **took}
