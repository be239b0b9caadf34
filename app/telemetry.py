"""Every Prometheus metric of the service, and the format of its log."""

import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
OTHER = "other"
REALISED = {"points": "values that came", "mase": "mean error in MASE's unit", "drift": "that over the backtests'"}
# From a cached answer (1 ms) to a large panel on a busy machine.
BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Figure(NamedTuple):
    """A number that is kept elsewhere: one that only rises where its ``name`` ends in ``_total``, a state otherwise."""

    name: str
    documentation: str
    read: Callable[[], float]


class _Read(Collector):
    def __init__(self, figures: Sequence[Figure]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        for name, documentation, read in self._figures:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(name, documentation, value=read())

    def describe(self) -> Iterator[Metric]:
        """The same; asked when they are registered."""
        return self.collect()


class Telemetry:
    """The metrics of one process, in a registry of their own so that two services may live in one test."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self._requests = counter(
            "forecastle_http_requests_total", "HTTP requests answered.", ("method", "route", "status")
        )
        self._request_seconds = Histogram(
            "forecastle_http_request_seconds",
            "Time from the request's head to the end of its answer.",
            ("route",),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._forecasts = counter("forecastle_forecasts_total", "Forecast requests, by outcome.", ("outcome",))
        self._series = counter("forecastle_forecast_series_total", "Series forecast.")
        self._batches = counter(
            "forecastle_batches_total", "Times that waiting forecasts were taken, by lane.", ("lane",)
        )
        self._batched = counter("forecastle_batched_requests_total", "Forecasts that were taken, by lane.", ("lane",))
        self._sessions = gauge("forecastle_sessions", "Sessions in memory.")
        self._sessions_bytes = gauge("forecastle_sessions_bytes", "Memory that they take.")
        self._session_requests = counter(
            "forecastle_session_requests_total", "Requests that named a session.", ("outcome",)
        )
        self._sessions_dropped = counter("forecastle_sessions_dropped_total", "Sessions that are no more.", ("reason",))
        self._jobs = gauge("forecastle_jobs", "Jobs, by state and kind.", ("state", "kind"))
        self._oldest = gauge("forecastle_job_oldest_queued_seconds", "For how long the oldest queued job has waited.")
        self._attempts = gauge(
            "forecastle_job_attempts",
            "Attempts at jobs, by how they ended; fenced: by workers that were thought lost and woke up.",
            ("outcome",),
        )
        self._waited = gauge("forecastle_job_waited_seconds", "Time that all attempts together waited to be claimed.")
        self._slots = gauge("forecastle_job_slots", "Slots of limited resources, by use.", ("resource", "use"))
        self._realised = {
            name: gauge(f"forecastle_realised_{name}", f"Of all served forecasts, lately: {what}.")
            for name, what in REALISED.items()
        }
        self._coverage = gauge("forecastle_realised_coverage", "Share of values within served intervals.", ("level",))
        self._firings = gauge(
            "forecastle_schedule_firings_last_day",
            "What schedules have come to in the last 24 hours, by outcome.",
            ("outcome",),
        )
        self._lag = gauge("forecastle_schedule_lag_seconds", "For how long the most late schedule has been due.")
        self._tick = gauge(
            "forecastle_scheduler_last_tick_timestamp_seconds",
            "When a scheduler last did its work; 0 where none ever has.",
        )
        self._deliveries = gauge("forecastle_webhook_deliveries", "Messages to webhooks, by state.", ("state",))
        self._of_route = cache(self._labelled)  # looking labels up takes longer than counting
        Info("forecastle_build", "The version that runs.", registry=registry).info({"version": version})

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is a template of the access table or ``OTHER``, never the path."""
        count, times = self._of_route(method if method in METHODS else OTHER, route, status)
        count.inc()
        times.observe(seconds)

    def _labelled(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, str(status)), self._request_seconds.labels(route)

    def forecast_made(self, outcome: str, series: int = 0) -> None:
        """Count one forecast request and the series that it forecast."""
        self._forecasts.labels(outcome).inc()
        self._series.inc(series)

    def batch_taken(self, lane: str, requests: int) -> None:
        """Count one batch and the requests that it took."""
        self._batches.labels(lane).inc()
        self._batched.labels(lane).inc(requests)

    def sessions_kept(self, count: int, size_bytes: int) -> None:
        """State how many sessions are in memory, and how large they are."""
        self._sessions.set(count)
        self._sessions_bytes.set(size_bytes)

    def session_asked(self, outcome: str) -> None:
        """Count a request that named a session: ``found`` or ``unknown``."""
        self._session_requests.labels(outcome).inc()

    def session_dropped(self, reason: str) -> None:
        """Count a session that is no more: ``expired`` or ``evicted``."""
        self._sessions_dropped.labels(reason).inc()

    def watch(self, *figures: "Figure") -> None:
        """Render ``figures`` too, read anew whenever the metrics are asked for."""
        self.registry.register(_Read(figures))

    def jobs_counted(self, jobs: Mapping[tuple[str, str], int], oldest_s: float) -> None:
        """State how many jobs there are of each state and kind, and for how long the oldest queued one has waited."""
        self._jobs.clear()  # or what there is none of any more would keep its last number
        for (state, kind), count in jobs.items():
            self._jobs.labels(state, kind).set(count)
        self._oldest.set(oldest_s)

    def attempts_counted(self, outcomes: Mapping[str, int], waited_s: float) -> None:
        """State how many attempts at jobs ended how, and how long all of them waited for a worker."""
        for outcome, count in outcomes.items():
            self._attempts.labels(outcome).set(count)
        self._waited.set(waited_s)

    def slots_counted(self, slots: Mapping[str, tuple[int, int]]) -> None:
        """State how many slots of each limited resource are used, and how many there are."""
        self._slots.clear()
        for resource, (used, total) in slots.items():
            self._slots.labels(resource, "used").set(used)
            self._slots.labels(resource, "total").set(total)

    def quality_realised(self, figures: Mapping[str, float | None], coverage: Mapping[int, float | None]) -> None:
        """State what came of served forecasts: the figures named in ``REALISED``, NaN where nothing can be said."""
        for name, gauge in self._realised.items():
            value = figures[name]
            gauge.set(math.nan if value is None else value)
        for level, share in coverage.items():
            self._coverage.labels(str(level)).set(math.nan if share is None else share)

    def schedules_seen(self, firings: Mapping[str, int], lag_s: float, ticked_at: datetime | None) -> None:
        """State what schedules have come to, how late the latest is, and when a scheduler last was alive."""
        for outcome, count in firings.items():
            self._firings.labels(outcome).set(count)
        self._lag.set(lag_s)
        self._tick.set(0.0 if ticked_at is None else ticked_at.timestamp())

    def deliveries_counted(self, counts: Mapping[str, int]) -> None:
        """State how many messages are in each state."""
        for state, count in counts.items():
            self._deliveries.labels(state).set(count)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def configure_logging(level: str = "INFO") -> None:
    """Send every log record of the process to stderr, one line each.

    What no line shows is not looked up, as the documentation of ``logging`` advises: the caller's place in the source,
    threads and processes take longer than all the rest.
    """
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


# What every record has: all else in one is its ``extra``.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


class LineFormatter(logging.Formatter):
    """``time level logger message key=value …`` on one line.

    The keys are the record's ``extra``, and ``traceback`` where there is one. Control characters are escaped: a log
    line that holds a caller's text must not start a second line or colour a terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = (f"{key}={_quoted(value)}" for key, value in self._fields(record))
        return " ".join((time, record.levelname, record.name, escaped(record.getMessage()), *fields))

    def _fields(self, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
        yield from ((key, str(value)) for key, value in record.__dict__.items() if key not in STANDARD)
        if record.exc_info:
            yield "traceback", self.formatException(record.exc_info)


def escaped(text: str) -> str:
    """``text`` with every character that is not printable written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _quoted(value: str) -> str:
    value = escaped(value)
    return value if value and not set(value) & set(' "=') else json.dumps(value, ensure_ascii=False)
