"""Rows of a forecast: nested by series for JSON, and one row for each series and step for tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.forecasting.forecast import Forecast, Note


def series_rows(forecast: Forecast) -> list[dict[str, Any]]:
    """Return unique_id, ds, mean and intervals by level of each series; arrays stay arrays, which orjson encodes."""
    bounds = [(str(level), interval.lo, interval.hi) for level, interval in forecast.intervals.items()]
    return [
        {
            "unique_id": unique_id,
            "ds": forecast.stamps(i),
            "mean": forecast.mean[i],
            "intervals": {level: {"lo": lo[i], "hi": hi[i]} for level, lo, hi in bounds},
        }
        for i, unique_id in enumerate(forecast.ids)
    ]


def step_columns(forecast: Forecast) -> dict[str, NDArray[Any]]:
    """Return ds, mean, and lo-L and hi-L for each level L, each (N, horizon)."""
    times = forecast.freq.after(forecast.starts[:, None], np.arange(forecast.mean.shape[1]))
    columns: dict[str, NDArray[Any]] = {"ds": times, "mean": forecast.mean}
    for level, interval in forecast.intervals.items():
        columns |= {f"lo-{level}": interval.lo, f"hi-{level}": interval.hi}
    return columns


def table_columns(forecast: Forecast) -> Mapping[str, NDArray[Any]]:
    """Return unique_id and ``step_columns`` with a row for each series and step, each (N * horizon,)."""
    ids = np.repeat(np.array(forecast.ids, dtype=object), forecast.mean.shape[1])
    return {"unique_id": ids, **{name: values.ravel() for name, values in step_columns(forecast).items()}}


def warning_of(note: Note) -> dict[str, str | None]:
    """Return a note as an answer has it."""
    return {"code": note.code, "message": note.message, "unique_id": note.unique_id}
