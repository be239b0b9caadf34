"""Collectors of metrics that are cheap to count and are rendered only when somebody reads them."""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

# From a cached answer (1 ms) to a large panel on a busy machine.
BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Figure(NamedTuple):
    """A metric whose value is kept elsewhere: a counter if ``name`` ends in ``_total``, otherwise a gauge."""

    name: str
    documentation: str
    read: Callable[[], float]


class FigureCollector(Collector):
    """Reads ``figures`` whenever the metrics are rendered."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each figure."""
        for name, documentation, read in self._figures:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(name, documentation, value=read())

    def describe(self) -> Iterator[Metric]:
        """Yield the same metrics; the registry reads their names."""
        return self.collect()


class CounterTable(Collector):
    """A counter with labels, in one dictionary: adding takes a fifth of the time that prometheus_client's own takes.

    Safe to use from several threads.
    """

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> None:
        self._name, self._documentation, self._labels = name.removesuffix("_total"), documentation, labels
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0}
        self._created_s: dict[tuple[str, ...], float] = {} if labels else {(): time.time()}
        self._lock = threading.Lock()

    def add(self, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Add ``amount`` to the series with these label values."""
        with self._lock:
            if labels not in self._values:
                self._values[labels], self._created_s[labels] = 0, time.time()
            self._values[labels] += amount

    def collect(self) -> Iterator[Metric]:
        """Yield the counter with all of its series."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            for labels, value in self._values.items():
                family.add_metric(labels, value, created=self._created_s[labels])
        yield family


class DurationTable(Collector):
    """A histogram of durations in seconds for each route, for one thread: the event loop's."""

    def __init__(self, name: str, documentation: str) -> None:
        self._name, self._documentation = name, documentation
        self._counts: dict[str, list[int]] = {}  # route -> requests in each bucket, and in the one without a bound
        self._sums_s: dict[str, float] = {}
        self._created_s: dict[str, float] = {}

    def add(self, route: str, seconds: float) -> None:
        """Count one duration."""
        counts = self._counts.get(route)
        if counts is None:
            counts = self._counts[route] = [0] * (len(BUCKETS_S) + 1)
            self._sums_s[route], self._created_s[route] = 0.0, time.time()
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._sums_s[route] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram with the buckets of all routes."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=("route",))
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        for route, counts in list(self._counts.items()):
            family.add_metric((route,), list(zip(bounds, accumulate(counts), strict=True)), self._sums_s[route])
            family.add_sample(f"{self._name}_created", {"route": route}, self._created_s[route])
        yield family
