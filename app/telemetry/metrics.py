"""The Prometheus metrics of one process."""

from collections.abc import Iterable, Sequence
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import Metric

from app.telemetry.collectors import BUCKETS_S, CounterTable, Figure, FigureCollector, HistogramTable, Snapshot

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
OTHER = "other"
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Telemetry:
    """The metrics of one process, in a registry of their own so that two services can exist in one test."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        gauge = partial(Gauge, registry=registry)
        self._requests = self._table(
            "forecastle_http_requests_total", "HTTP requests answered.", ("method", "route", "status")
        )
        self._request_seconds = self._histogram(
            "forecastle_http_request_seconds", "Time from the request's head to the end of its answer.", "route"
        )
        self._problems = self._table(
            "forecastle_http_problems_total", "Requests answered with an error, by its code.", ("code",)
        )
        self._forecasts = self._table("forecastle_forecasts_total", "Forecast requests, by outcome.", ("outcome",))
        self._series = self._table("forecastle_forecast_series_total", "Series forecast.")
        self._batch_requests = self._histogram(
            "forecastle_batch_requests", "Forecast requests in one batch, by lane.", "lane", BATCH_SIZES
        )
        self._batch_wait_seconds = self._histogram(
            "forecastle_batch_wait_seconds", "Time that the oldest request of a batch waited, by lane.", "lane"
        )
        self._batch_seconds = self._histogram(
            "forecastle_batch_seconds", "Time of one batch in the networks, intervals and encoders, by lane.", "lane"
        )
        self._sessions = gauge("forecastle_sessions", "Sessions in memory.")
        self._sessions_bytes = gauge("forecastle_sessions_bytes", "Memory of these sessions in bytes.")
        self._session_requests = self._table(
            "forecastle_session_requests_total", "Requests that name a session, by outcome.", ("outcome",)
        )
        self._sessions_dropped = self._table(
            "forecastle_sessions_dropped_total", "Sessions removed from memory, by reason.", ("reason",)
        )
        Info("forecastle_build", "The running version.", registry=registry).info({"version": version})

    def _table(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> CounterTable:
        table = CounterTable(name, documentation, labels)
        self.registry.register(table)
        return table

    def _histogram(
        self, name: str, documentation: str, label: str, bounds: Sequence[float] = BUCKETS_S
    ) -> HistogramTable:
        table = HistogramTable(name, documentation, label, bounds)
        self.registry.register(table)
        return table

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is a template of the access table or ``OTHER``, never the path.

        Called by the thread of the event loop only.
        """
        self._requests.add((method if method in METHODS else OTHER, route, str(status)))
        self._request_seconds.add(route, seconds)

    def problem_answered(self, code: str) -> None:
        """Count one request that was answered with an error of this code."""
        self._problems.add((code,))

    def forecast_made(self, outcome: str, series: int = 0) -> None:
        """Count one forecast request and its series."""
        self._forecasts.add((outcome,))
        self._series.add(amount=series)

    def batch_ended(self, lane: str, requests: int, waited_s: float, seconds: float) -> None:
        """Count one batch: its requests, how long the oldest of them waited, and how long the batch itself took.

        Called by the thread of the lane only.
        """
        self._batch_requests.add(lane, requests)
        self._batch_wait_seconds.add(lane, waited_s)
        self._batch_seconds.add(lane, seconds)

    def sessions_kept(self, count: int, size_bytes: int) -> None:
        """Set the number of sessions in memory and their size."""
        self._sessions.set(count)
        self._sessions_bytes.set(size_bytes)

    def session_asked(self, outcome: str) -> None:
        """Count a request that named a session: ``found`` or ``unknown``."""
        self._session_requests.add((outcome,))

    def session_dropped(self, reason: str) -> None:
        """Count a removed session: ``expired`` or ``evicted``."""
        self._sessions_dropped.add((reason,))

    def watch(self, *figures: Figure) -> None:
        """Add metrics whose values are read from the running service at each rendering."""
        self.registry.register(FigureCollector(figures))

    def render(self, others: Iterable[Metric] = ()) -> bytes:
        """Return all metrics of the process, and ``others``, in the text format of Prometheus."""
        return generate_latest(self.registry) + render(others)


def render(metrics: Iterable[Metric]) -> bytes:
    """Return ``metrics`` in the text format of Prometheus."""
    return generate_latest(Snapshot(metrics))
