"""Rows of a forecast: nested by series for JSON, and one row for each series and step for tables."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.data.calendar import Freq
from models.forecasting.forecast import MAX_CACHED_STEPS, Forecast, Note, format_times


def series_rows(forecast: Forecast) -> list[dict[str, Any]]:
    """Return unique_id, ds, median, mean, intervals and quantiles of each series, for orjson: ``ds`` is JSON already.

    Most series of most requests end at the same moment, so their timestamps are encoded once.
    """
    bounds = [
        (str(level), interval.lo.tolist(), interval.hi.tolist()) for level, interval in forecast.intervals.items()
    ]
    quantiles = [(f"{quantile:g}", values.tolist()) for quantile, values in forecast.quantiles.items()]
    starts_us = forecast.starts.astype(np.int64).tolist()
    steps = forecast.median.shape[1]
    encode = _encoded_stamps if steps <= MAX_CACHED_STEPS else _encoded_stamps.__wrapped__
    medians, nothing = forecast.median.tolist(), dict[str, Any]()
    means = medians if forecast.mean is forecast.median else forecast.mean.tolist()
    points = zip(forecast.ids, starts_us, medians, means, strict=True)
    return [
        {
            "unique_id": unique_id,
            "ds": encode(start_us, forecast.freq, steps, forecast.utc),
            "median": median,
            "mean": mean,
            "intervals": {level: {"lo": lo[i], "hi": hi[i]} for level, lo, hi in bounds} if bounds else nothing,
            "quantiles": {quantile: values[i] for quantile, values in quantiles} if quantiles else nothing,
        }
        for i, (unique_id, start_us, median, mean) in enumerate(points)
    ]


@lru_cache(maxsize=1_000)
def _encoded_stamps(start_us: int, freq: Freq, steps: int, utc: bool) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(format_times(start_us, freq, steps, utc)))


def step_columns(forecast: Forecast) -> dict[str, NDArray[Any]]:
    """Return ds, median, mean, lo-L and hi-L for each level L, and q-Q for each quantile Q, each (N, horizon)."""
    times = forecast.freq.after(forecast.starts[:, None], np.arange(forecast.median.shape[1]))
    columns: dict[str, NDArray[Any]] = {"ds": times, "median": forecast.median, "mean": forecast.mean}
    for level, interval in forecast.intervals.items():
        columns |= {f"lo-{level}": interval.lo, f"hi-{level}": interval.hi}
    return columns | {f"q-{quantile:g}": values for quantile, values in forecast.quantiles.items()}


def table_columns(forecast: Forecast) -> Mapping[str, NDArray[Any]]:
    """Return unique_id and ``step_columns`` with a row for each series and step, each (N * horizon,)."""
    ids = np.repeat(np.array(forecast.ids, dtype=object), forecast.median.shape[1])
    return {"unique_id": ids, **{name: values.ravel() for name, values in step_columns(forecast).items()}}


def warning_of(note: Note) -> dict[str, str | None]:
    """Return a note as an answer has it."""
    return {"code": note.code, "message": note.message, "unique_id": note.unique_id}
