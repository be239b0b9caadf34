"""Metrics: of this process, of all processes together, and of the models of one tenant."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress

from fastapi import APIRouter, Response
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from app.api.http.services import Caller, CurrentService, problems
from app.principal import includes
from app.service import Service
from app.store import firings, jobs, monitoring, quality, webhooks
from app.store.db import Database, DatabaseUnreachable
from app.store.monitoring import Champion
from app.store.stored_quotas import STORED_QUOTAS, limit_of
from app.telemetry import family, render

router = APIRouter(tags=["health"])

REALISED_DAYS = 7  # in which actual values arrived, for realised quality
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DAY_S = 86_400.0


@router.get("/metrics", responses=problems(), response_class=Response, summary="Prometheus metrics")
def metrics(service: CurrentService, caller: Caller) -> Response:
    """Return metrics of the caller's models and quotas; for a key of the scope ``operator``, those of the service too.

    The metrics of the service are those of this process, and those of all processes together, which are read from the
    database: jobs, schedules, webhooks and served forecasts.
    """
    sees_all = includes(caller.scope, "operator")
    with service.database.read() as session:
        shared = list(shared_metrics(service.database, session)) if sees_all else []
        found = [*shared, *model_metrics(session, caller.tenant_id), *quota_metrics(session, caller.tenant_id)]
    content = service.telemetry.render(found) if sees_all else render(found)
    return Response(content, media_type=METRICS_TYPE)


class ServiceMetrics(Collector):
    """Metrics of the service, without names of anything that a tenant has; those of the process alone while the
    database does not answer.
    """

    def __init__(self, service: Service) -> None:
        self._telemetry, self._database = service.telemetry, service.database

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        yield from self._telemetry.registry.collect()
        with suppress(DatabaseUnreachable), self._database.read() as session:
            yield from list(shared_metrics(self._database, session))


def shared_metrics(database: Database, session: Session) -> Iterator[Metric]:
    """Yield the metrics that every process of the service has in common."""
    yield from _of_jobs(session)
    yield from _of_schedules(session)
    yield from _of_quality(session)
    yield family("forecastle_database_bytes", "Size of the database.", monitoring.database_bytes(session))
    yield family(
        "forecastle_database_free_bytes",
        "Free space on the disk of an SQLite file; NaN over PostgreSQL.",
        database.free_bytes(),
    )


def _of_jobs(session: Session) -> Iterator[Metric]:
    tally, ended = jobs.queue_statistics(session), monitoring.attempts_of_last_day(session)
    yield family("forecastle_jobs", "Jobs, by state and kind.", tally.jobs.items(), ("state", "kind"))
    yield family("forecastle_job_oldest_queued_seconds", "Waiting time of the oldest queued job.", tally.oldest_s)
    yield family(
        "forecastle_job_attempts",
        "Attempts at jobs, by outcome; fenced: by workers that were thought lost and came back.",
        (((outcome,), count) for outcome, count in tally.attempts.items()),
        ("outcome",),
    )
    yield family(
        "forecastle_job_waited_seconds", "Total waiting time of all attempts before their claim.", tally.waited_s
    )
    yield family(
        "forecastle_job_attempts_last_day",
        "Attempts at jobs that ended in the last 24 hours, by kind and outcome.",
        ((key, totals.count) for key, totals in ended.items()),
        ("kind", "outcome"),
    )
    yield family(
        "forecastle_job_run_seconds_last_day",
        "Total duration of these attempts, by kind and outcome.",
        ((key, totals.seconds) for key, totals in ended.items()),
        ("kind", "outcome"),
    )
    slots = [((name, use), counts[use == "total"]) for name, counts in tally.slots.items() for use in ("used", "total")]
    yield family("forecastle_job_slots", "Slots of limited resources, by use.", slots, ("resource", "use"))


def _of_schedules(session: Session) -> Iterator[Metric]:
    yield family(
        "forecastle_schedule_firings_last_day",
        "Firings of schedules in the last 24 hours, by outcome.",
        (((outcome,), count) for outcome, count in firings.counts(session, DAY_S).items()),
        ("outcome",),
    )
    yield family(
        "forecastle_schedule_lag_seconds", "Delay of the schedule that is the most overdue.", firings.lag_s(session)
    )
    ticked_at = firings.last_heartbeat(session, firings.SCHEDULER)
    yield family(
        "forecastle_scheduler_last_tick_timestamp_seconds",
        "Time of the newest tick of any scheduler; 0 before the first.",
        0.0 if ticked_at is None else ticked_at.timestamp(),
    )
    yield family(
        "forecastle_webhook_deliveries",
        "Messages to webhooks, by state.",
        (((state,), count) for state, count in webhooks.counts(session).items()),
        ("state",),
    )


def _of_quality(session: Session) -> Iterator[Metric]:
    found = quality.totals(session, REALISED_DAYS)
    about = "Forecasts whose actual values arrived in the last 7 days"
    yield family("forecastle_realised_points", f"{about}: actual values compared.", found.points)
    yield family("forecastle_realised_mase", f"{about}: mean error in the unit of MASE.", _or_nan(found.mase))
    yield family("forecastle_realised_drift", f"{about}: MASE divided by that of the backtests.", _or_nan(found.drift))
    yield family(
        "forecastle_realised_coverage",
        f"{about}: share of values within the intervals, by level.",
        (((str(level),), _or_nan(share)) for level, share in found.coverage.items()),
        ("level",),
    )


def model_metrics(session: Session, tenant_id: int) -> Iterator[Metric]:
    """Yield the metrics of a tenant's models."""
    count = monitoring.count_champions(session, tenant_id)
    champions = monitoring.list_champions(session, tenant_id, REALISED_DAYS)
    yield family("forecastle_champions", "Models of the caller's tenant that have a champion.", count)
    about = f"Champion of each of the {monitoring.MAX_MODELS} models whose champion changed last"
    for name, what, read in MODEL_GAUGES:
        values = (((one.model,), _or_nan(read(one))) for one in champions)
        yield family(f"forecastle_model_{name}", f"{about}: {what}.", values, ("model",))
    yield family(
        "forecastle_model_realised_coverage",
        f"{about}: share of values of 7 days within the intervals, by level.",
        (
            ((one.model, str(level)), _or_nan(share))
            for one in champions
            for level, share in one.quality.coverage.items()
        ),
        ("model", "level"),
    )


def quota_metrics(session: Session, tenant_id: int) -> Iterator[Metric]:
    """Yield the metrics of what a tenant has stored, and of its limits."""
    used = (((name,), quota.used(session, tenant_id)) for name, quota in STORED_QUOTAS.items())
    yield family("forecastle_quota_used", "What the caller's tenant has, by quota.", used, ("quota",))
    limits = (((name,), limit_of(session, tenant_id, name)) for name in STORED_QUOTAS)
    yield family("forecastle_quota_limit", "The most that it may have, by quota.", limits, ("quota",))


MODEL_GAUGES: tuple[tuple[str, str, Callable[[Champion], float | None]], ...] = (
    ("age_seconds", "time since it was made", lambda one: one.age_s),
    ("data_age_seconds", "time since rows were added to its data set", lambda one: one.data_age_s),
    ("skill", "skill in the backtest", lambda one: one.skill),
    ("realised_mase", "realised MASE of 7 days", lambda one: one.quality.mase),
    ("realised_drift", "realised MASE of 7 days divided by that of the backtest", lambda one: one.quality.drift),
)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
