"""Forecast of several series, with its timestamps, intervals and notes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from models.data.bounds import UNBOUNDED, Bounds
from models.data.calendar import Freq
from models.evaluation.intervals import Interval, Prediction
from models.types import Floats, Times

MAX_CACHED_STEPS = 200


@lru_cache(maxsize=1_000)
def format_times(start_us: int, freq: Freq, steps: int, utc: bool) -> list[str]:
    """Return ``steps`` timestamps in ISO 8601 from ``start_us`` (microseconds since 1970) on; not to be changed."""
    times = freq.after(np.datetime64(start_us, "us"), np.arange(steps))
    whole = bool((times.astype(np.int64) % 1_000_000 == 0).all())
    return [text + "Z" * utc for text in np.datetime_as_string(times, unit="s" if whole else "us").tolist()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Note to the reader of a forecast, such as a short history."""

    code: str
    message: str
    unique_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Forecast of N series: ``median``, the point forecast, and ``mean``, (N, horizon) each.

    ``intervals``: level -> bounds. ``starts``: first timestamp of each series.
    ``prediction``: the networks' whole prediction, as views of arrays that other forecasts share.
    """

    ids: tuple[str, ...]
    freq: Freq
    starts: Times
    median: Floats
    mean: Floats
    intervals: Mapping[int, Interval]
    quantiles: Mapping[float, Floats] = field(default_factory=dict)
    bounds: Bounds = UNBOUNDED
    notes: tuple[Note, ...] = field(default=())
    utc: bool = False
    prediction: Prediction | None = None

    def times(self, i: int) -> Times:
        """Return the timestamps of series ``i``, (horizon,)."""
        return self.freq.after(self.starts[i], np.arange(self.median.shape[1]))

    def stamps(self, i: int) -> list[str]:
        """Return the timestamps of series ``i`` in ISO 8601, with a Z if the history had one; not to be changed.

        Most series of most requests end at the same time, so recent lists are cached.
        """
        return (format_times if self.median.shape[1] <= MAX_CACHED_STEPS else format_times.__wrapped__)(
            int(self.starts[i].astype(np.int64)), self.freq, self.median.shape[1], self.utc
        )
