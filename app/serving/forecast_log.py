"""Log of a sample of the served forecasts of stored series, to be compared with the values that come later.

A request hands over objects that it has anyway and does not wait. A thread writes them, at most ``CAPACITY`` forecasts
once a second; forecasts beyond that are dropped.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from app.records import ForecastRecord
from models.data.panel import Panel
from models.evaluation.intervals import Prediction
from models.evaluation.metrics import error_unit
from models.evaluation.realised import to_bytes
from models.evaluation.scoring import REPORTED_LEVELS
from models.forecasting.forecast import Forecast
from models.types import Floats

logger = logging.getLogger(__name__)

CAPACITY = 200  # forecasts in the queue
WRITE_EVERY_S = 1.0
ALWAYS_PER_DAY = 100  # forecasts of a version that a process logs before it draws a share
DAY_S = 86_400
MAX_SERIES = 20  # of one forecast, drawn at random
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogSource:
    """Version and data of a served forecast: ``season`` and interval factors ``scales`` (P, 99) of the version, newest
    ``revision`` of the data set.
    """

    tenant_id: int
    model: str
    version_id: int
    season: int
    scales: Floats | None
    dataset_id: int
    revision: int


class LogEntry(NamedTuple):
    """Served forecast; ``panel`` has the whole history of its series."""

    source: LogSource
    panel: Panel
    forecast: Forecast


class ShadowForecast(NamedTuple):
    """Prediction of a challenger for the series of a served forecast."""

    version_id: int
    prediction: Prediction


MakeShadow = Callable[[LogSource, Panel, int], ShadowForecast | None]  # for the series of a panel and a horizon


class LogCounts(NamedTuple):
    """Forecasts that were written, and those dropped because the queue was full or the database did not answer."""

    kept: int = 0
    dropped: int = 0


class ForecastLog:
    """Writes a ``share`` of the served forecasts by ``write``, with the shadow forecasts of ``make_shadow``."""

    def __init__(
        self,
        share: float,
        write: Callable[[Sequence[ForecastRecord]], int],
        make_shadow: MakeShadow | None = None,
        write_every_s: float = WRITE_EVERY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._day, self._drawn = clock, 0, dict[int, int]()  # drawn today, by version
        self._share, self._write, self._make_shadow, self._write_every_s = share, write, make_shadow, write_every_s
        self._queue: queue.SimpleQueue[LogEntry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting, self._stopping = threading.Lock(), threading.Event()
        self._kept = self._dropped = 0

    def draw(self, version_id: int) -> bool:
        """Return whether a forecast belongs to the sample: the first ones of a version on a day, then a random share.

        So a small service has all its forecasts scored, and a busy one does not log more than a share.
        """
        if self._share == 0:
            return False
        today = int(self._clock() // DAY_S)
        if today != self._day:
            self._day, self._drawn = today, {}
        drawn = self._drawn.get(version_id, 0)
        if drawn < ALWAYS_PER_DAY:
            self._drawn[version_id] = drawn + 1
            return True
        return random.random() < self._share  # noqa: S311 - a sample is no secret

    def put(self, entry: LogEntry) -> None:
        """Queue ``entry``, or drop it where the queue is full; this neither blocks nor raises."""
        if self._stopping.is_set() or self._queue.qsize() >= CAPACITY:
            self._dropped += 1
            return
        if self._thread is None:
            self._start()
        self._queue.put(entry)

    def counts(self) -> LogCounts:
        """Return the numbers of forecasts written and dropped since the start."""
        return LogCounts(self._kept, self._dropped)

    def close(self) -> None:
        """Write the queued forecasts, and end the thread."""
        with self._starting:
            self._stopping.set()
            thread = self._thread
        self._queue.put(None)
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="forecast-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            self._stopping.wait(self._write_every_s)
            entries = [first]
            while not self._queue.empty() and (entry := self._queue.get()) is not None:
                entries.append(entry)
            try:
                self._write([record for entry in entries for record in self._records(entry)])
                self._kept += len(entries)
            except Exception as error:  # whatever the error, forecasts go on
                self._dropped += len(entries)
                logger.warning("%d served forecasts were not logged: %s", len(entries), error)
            if self._stopping.is_set() and self._queue.empty():
                return

    def _records(self, entry: LogEntry) -> Iterator[ForecastRecord]:
        """Yield the records of a forecast, each followed by that of the challenger if there is one."""
        records, shadow = list(records_of(entry)), None
        if self._make_shadow is not None and records:
            panel = entry.panel.select([record.series for record in records])
            shadow = self._make_shadow(entry.source, panel, entry.forecast.median.shape[1])
        if shadow is None:
            yield from records
            return
        for i, record in enumerate(records):
            yield replace(record, beside=shadow.version_id)
            yield replace(
                record,
                version_id=shadow.version_id,
                said=to_bytes(shadow.prediction, i),
                stretch={},
                shadow=True,
                beside=record.version_id,
            )


def records_of(entry: LogEntry) -> Iterator[ForecastRecord]:
    """Yield the records of up to ``MAX_SERIES`` series of a forecast: its whole prediction, and the unit of MASE."""
    source, panel, forecast = entry
    if forecast.prediction is None:
        return
    scales = source.scales
    stretch = {} if scales is None else {str(level): scales[:, level - 1].tolist() for level in REPORTED_LEVELS}
    for i in random.sample(range(len(forecast.ids)), min(len(forecast.ids), MAX_SERIES)):
        unit = error_unit(panel.series(i), source.season)  # rows after the last value do not count
        yield ForecastRecord(
            tenant_id=source.tenant_id,
            version_id=source.version_id,
            dataset_id=source.dataset_id,
            revision=source.revision,
            series=forecast.ids[i],
            start_us=int(forecast.starts[i].astype(np.int64)),
            horizon=forecast.median.shape[1],
            said=to_bytes(forecast.prediction, i),
            scale=unit if unit > 0 else None,
            stretch=stretch,
        )
