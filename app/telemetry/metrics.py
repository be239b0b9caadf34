"""The Prometheus metrics of the service."""

import math
from collections.abc import Mapping
from datetime import datetime
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

from app.telemetry.collectors import CounterTable, DurationTable, Figure, FigureCollector

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
OTHER = "other"
REALISED = {
    "points": "actual values compared",
    "mase": "mean error in the unit of MASE",
    "drift": "MASE divided by that of the backtests",
}


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
        self._request_seconds = DurationTable(
            "forecastle_http_request_seconds", "Time from the request's head to the end of its answer."
        )
        registry.register(self._request_seconds)
        self._forecasts = self._table("forecastle_forecasts_total", "Forecast requests, by outcome.", ("outcome",))
        self._series = self._table("forecastle_forecast_series_total", "Series forecast.")
        self._batches = self._table("forecastle_batches_total", "Batches of forecasts, by lane.", ("lane",))
        self._batched = self._table(
            "forecastle_batched_requests_total", "Forecast requests in these batches, by lane.", ("lane",)
        )
        self._sessions = gauge("forecastle_sessions", "Sessions in memory.")
        self._sessions_bytes = gauge("forecastle_sessions_bytes", "Memory of these sessions in bytes.")
        self._session_requests = self._table(
            "forecastle_session_requests_total", "Requests that name a session, by outcome.", ("outcome",)
        )
        self._sessions_dropped = self._table(
            "forecastle_sessions_dropped_total", "Sessions removed from memory, by reason.", ("reason",)
        )
        self._jobs = gauge("forecastle_jobs", "Jobs, by state and kind.", ("state", "kind"))
        self._oldest = gauge("forecastle_job_oldest_queued_seconds", "Waiting time of the oldest queued job.")
        self._attempts = gauge(
            "forecastle_job_attempts",
            "Attempts at jobs, by outcome; fenced: by workers that were thought lost and came back.",
            ("outcome",),
        )
        self._waited = gauge("forecastle_job_waited_seconds", "Total waiting time of all attempts before their claim.")
        self._slots = gauge("forecastle_job_slots", "Slots of limited resources, by use.", ("resource", "use"))
        self._realised = {
            name: gauge(f"forecastle_realised_{name}", f"Recently served forecasts: {what}.")
            for name, what in REALISED.items()
        }
        self._coverage = gauge("forecastle_realised_coverage", "Share of values within served intervals.", ("level",))
        self._firings = gauge(
            "forecastle_schedule_firings_last_day",
            "Firings of schedules in the last 24 hours, by outcome.",
            ("outcome",),
        )
        self._lag = gauge("forecastle_schedule_lag_seconds", "Delay of the schedule that is the most overdue.")
        self._tick = gauge(
            "forecastle_scheduler_last_tick_timestamp_seconds",
            "Time of the newest tick of any scheduler; 0 before the first.",
        )
        self._deliveries = gauge("forecastle_webhook_deliveries", "Messages to webhooks, by state.", ("state",))
        Info("forecastle_build", "The running version.", registry=registry).info({"version": version})

    def _table(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> CounterTable:
        table = CounterTable(name, documentation, labels)
        self.registry.register(table)
        return table

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is a template of the access table or ``OTHER``, never the path.

        Called by the thread of the event loop only.
        """
        self._requests.add((method if method in METHODS else OTHER, route, str(status)))
        self._request_seconds.add(route, seconds)

    def forecast_made(self, outcome: str, series: int = 0) -> None:
        """Count one forecast request and its series."""
        self._forecasts.add((outcome,))
        self._series.add(amount=series)

    def batch_taken(self, lane: str, requests: int) -> None:
        """Count one batch and its requests."""
        self._batches.add((lane,))
        self._batched.add((lane,), requests)

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

    def watch(self, *figures: "Figure") -> None:
        """Add metrics whose values are read from the running service at each rendering."""
        self.registry.register(FigureCollector(figures))

    def jobs_counted(self, jobs: Mapping[tuple[str, str], int], oldest_s: float) -> None:
        """Set the number of jobs of each state and kind, and the waiting time of the oldest queued job."""
        self._jobs.clear()  # a state without jobs would otherwise keep its last number
        for (state, kind), count in jobs.items():
            self._jobs.labels(state, kind).set(count)
        self._oldest.set(oldest_s)

    def attempts_counted(self, outcomes: Mapping[str, int], waited_s: float) -> None:
        """Set the number of attempts by outcome, and their total waiting time for a worker."""
        for outcome, count in outcomes.items():
            self._attempts.labels(outcome).set(count)
        self._waited.set(waited_s)

    def slots_counted(self, slots: Mapping[str, tuple[int, int]]) -> None:
        """Set the used and the total slots of each limited resource."""
        self._slots.clear()
        for resource, (used, total) in slots.items():
            self._slots.labels(resource, "used").set(used)
            self._slots.labels(resource, "total").set(total)

    def quality_realised(self, figures: Mapping[str, float | None], coverage: Mapping[int, float | None]) -> None:
        """Set the figures named in ``REALISED`` and the coverage by level; NaN where a figure is unknown."""
        for name, gauge in self._realised.items():
            value = figures[name]
            gauge.set(math.nan if value is None else value)
        for level, share in coverage.items():
            self._coverage.labels(str(level)).set(math.nan if share is None else share)

    def schedules_seen(self, firings: Mapping[str, int], lag_s: float, ticked_at: datetime | None) -> None:
        """Set the firings by outcome, the delay of the most overdue schedule, and the time of the last tick."""
        for outcome, count in firings.items():
            self._firings.labels(outcome).set(count)
        self._lag.set(lag_s)
        self._tick.set(0.0 if ticked_at is None else ticked_at.timestamp())

    def deliveries_counted(self, counts: Mapping[str, int]) -> None:
        """Set the number of messages in each state."""
        for state, count in counts.items():
            self._deliveries.labels(state).set(count)

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
