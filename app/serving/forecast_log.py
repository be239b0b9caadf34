"""The log of served forecasts: a sample of what is said of stored series, so that it can be held against what comes.

A request gives away what it has anyway and waits for nothing; a thread of its own does the rest, at most ``CAPACITY``
forecasts a turn and a turn a second. What is beyond that is not kept.
"""

import logging
import queue
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from app.records import ForecastRecord
from models.data.panel import Panel
from models.evaluation.intervals import Prediction
from models.evaluation.metrics import naive_scale
from models.evaluation.realised import to_bytes
from models.evaluation.scoring import REPORTED_LEVELS
from models.forecasting.forecast import Forecast
from models.types import Floats

logger = logging.getLogger(__name__)

CAPACITY = 200  # forecasts that wait
TURN_S = 1.0
MAX_SERIES = 20  # of one forecast, drawn alike from all
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """What a forecast is made of: a version of ``model``, with its ``season`` and the ``stretch`` (99,) of its
    intervals, and the newest ``revision`` of a data set.
    """

    tenant_id: int
    model: str
    version_id: int
    season: int
    stretch: Floats | None
    dataset_id: int
    revision: int


class Entry(NamedTuple):
    """A forecast that was served; ``panel`` has the whole history of its series."""

    source: Source
    panel: Panel
    made: Forecast


class Other(NamedTuple):
    """What a challenger would have said in place of what was served."""

    version_id: int
    said: Prediction


Beside = Callable[[Source, Panel, int], Other | None]  # of the series of a panel, and of so many steps


class Counts(NamedTuple):
    """Forecasts that were kept, and those that were not, because too many waited or the database did not answer."""

    kept: int = 0
    dropped: int = 0


class ForecastLog:
    """Keeps a ``share`` of the forecasts served, by ``write``, and what ``beside`` says: a challenger's, if any."""

    def __init__(
        self,
        share: float,
        write: Callable[[Sequence[ForecastRecord]], int],
        beside: Beside | None = None,
        turn_s: float = TURN_S,
    ) -> None:
        self._share, self._write, self._beside, self._turn_s = share, write, beside, turn_s
        self._waiting: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting, self._stopping = threading.Lock(), threading.Event()
        self._kept = self._dropped = 0

    def wants(self) -> bool:
        """Whether this forecast is one of the sample."""
        return self._share > 0 and random.random() < self._share  # noqa: S311 - a sample is no secret

    def put(self, entry: Entry) -> None:
        """Keep ``entry`` some time; this waits for nothing and raises nothing."""
        if self._stopping.is_set() or self._waiting.qsize() >= CAPACITY:
            self._dropped += 1
            return
        if self._thread is None:
            self._start()
        self._waiting.put(entry)

    def counts(self) -> Counts:
        """What became of the sample."""
        return Counts(self._kept, self._dropped)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        with self._starting:
            self._stopping.set()
            thread = self._thread
        self._waiting.put(None)
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._work, name="forecast-log", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._stopping.wait(self._turn_s)
            taken = [first]
            while not self._waiting.empty() and (entry := self._waiting.get()) is not None:
                taken.append(entry)
            self._keep(taken)
            if self._stopping.is_set() and self._waiting.empty():
                return

    def _keep(self, taken: Sequence[Entry]) -> None:
        try:
            self._write([record for entry in taken for record in self._records(entry)])
            self._kept += len(taken)
        except Exception as error:  # whatever it is, forecasts go on
            self._dropped += len(taken)
            logger.warning("%d served forecasts were not logged: %s", len(taken), error)

    def _records(self, entry: Entry) -> Iterator[ForecastRecord]:
        own, other = list(records_of(entry)), None
        if self._beside is not None and own:
            some = entry.panel.select([record.series for record in own])
            other = self._beside(entry.source, some, entry.made.mean.shape[1])
        if other is None:
            yield from own
            return
        for i, record in enumerate(own):
            yield replace(record, beside=other.version_id)
            said = to_bytes(other.said, i)
            who = replace(record, version_id=other.version_id, beside=record.version_id, shadow=True)
            yield replace(who, said=said, stretch={})


def records_of(entry: Entry) -> Iterator[ForecastRecord]:
    """What is kept of a forecast: all that was said of up to ``MAX_SERIES`` of its series, and MASE's unit of each."""
    source, panel, made = entry
    if made.prediction is None:
        return
    stretch = source.stretch
    widths = {} if stretch is None else {str(level): float(stretch[level - 1]) for level in REPORTED_LEVELS}
    for i in random.sample(range(len(made.ids)), min(len(made.ids), MAX_SERIES)):
        scale = naive_scale(panel.series(i), source.season)  # what has no value after the last one does not count
        yield ForecastRecord(
            tenant_id=source.tenant_id,
            version_id=source.version_id,
            dataset_id=source.dataset_id,
            revision=source.revision,
            series=made.ids[i],
            start_us=int(made.starts[i].astype(np.int64)),
            horizon=made.mean.shape[1],
            said=to_bytes(made.prediction, i),
            scale=scale if scale > 0 else None,
            stretch=widths,
        )
