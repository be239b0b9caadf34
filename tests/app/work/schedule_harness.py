"""A tenant with a data set and schedules, ticked at times that a test gives."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.store import datasets, firings, keys, schedules
from app.store.data_freshness import model_of
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.quality import Quality
from app.store.schedules import Edit, Plan
from app.store.tables import Firing, Job, Schedule
from app.store.triggers import Triggers
from app.work.scheduler import SchedulerDependencies, tick
from tests.app.store.conftest import new_revision

PLAN = Plan(
    cron="0 * * * *",
    zone="UTC",
    misfire="once",
    overlap="queue",
    grace_s=60.0,
    jitter_s=0.0,
    triggers=Triggers(),
    request={"model": "demand", "dataset": "sales"},
    gate=None,
)


def at(text: str) -> datetime:
    """Return a time in UTC: ``at("10:30")`` is on the first of May 2026; a date may be given, too."""
    whole = text if "T" in text else f"2026-05-01T{text}"
    return datetime.fromisoformat(whole).replace(tzinfo=UTC)


@dataclass
class ScheduleHarness:
    """Schedules of one tenant; their jobs are planned on the newest revision of the data set ``sales``."""

    database: Database
    tenant_id: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    quality: Quality = field(default_factory=lambda: Quality(coverage={}))

    def __post_init__(self) -> None:
        with self.database.write() as session:
            self.tenant_id = keys.tenant_id(session, "acme")
            datasets.create(session, self.tenant_id, "sales", "D", new_revision(), "cli")

    @property
    def dependencies(self) -> SchedulerDependencies:
        return SchedulerDependencies(self.settle, lambda session, tenant_id, model: self.quality)

    def settle(self, tenant_id: int, request: dict[str, Any], created_by: str) -> NewJob:
        """Plan a job on the newest revision. Raise NotFound for the data set, RuntimeError for the model ``bug``."""
        self.requests.append(request)
        model = model_of(request) or "baselines"
        if model == "bug":
            raise RuntimeError("nobody thought of this")
        with self.database.read() as session:
            revision = datasets.revision(session, tenant_id, request["dataset"])
        return NewJob(
            tenant_id=tenant_id,
            kind="train",
            model=model,
            revision_id=revision.id,
            request={"rows": revision.rows_total},
            max_attempts=3,
            created_by=created_by,
        )

    def add(self, name: str = "nightly", now: str = "09:30", **changes: Any) -> Schedule:
        with self.database.write() as session:
            plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__slots__}, **changes})
            return schedules.create(session, self.tenant_id, name, plan, "a1b2c3d4", at(now))

    def look(self, name: str = "nightly") -> Schedule:
        with self.database.read() as session:
            return schedules.get(session, self.tenant_id, name)

    def edit(self, name: str = "nightly", now: str = "09:30", **changes: Any) -> Schedule:
        with self.database.write() as session:
            seen = schedules.plan_of(schedules.get(session, self.tenant_id, name))
            plan = Plan(**{**{f: getattr(seen, f) for f in seen.__slots__}, **changes})
            return schedules.edit(session, self.tenant_id, name, Edit(before=seen, after=plan), "cli", at(now))

    def pause(self, name: str = "nightly", now: str = "09:30") -> Schedule:
        with self.database.write() as session:
            return schedules.pause(session, self.tenant_id, name, "cli", at(now))

    def resume(self, name: str = "nightly", now: str = "09:30") -> Schedule:
        with self.database.write() as session:
            return schedules.resume(session, self.tenant_id, name, "cli", at(now))

    def tick(self, now: str, plus_s: float = 0.0) -> dict[str, int]:
        return dict(tick(self.database, self.dependencies, at(now) + timedelta(seconds=plus_s)))

    def grow(self, rows_total: int, rows_added: int | None = None) -> None:
        """Append a revision to ``sales``; all its rows have a value unless ``rows_added`` says how many have."""
        with self.database.write() as session:
            newest = datasets.revision(session, self.tenant_id, "sales")
            added = rows_total - newest.rows_total if rows_added is None else rows_added
            revision = new_revision(rows_total=rows_total, rows_added=added)
            datasets.append(session, self.tenant_id, "sales", newest.number, revision, "cli")

    def firings(self, name: str = "nightly") -> list[Firing]:
        """Return them oldest first."""
        with self.database.read() as session:
            return firings.list_page(session, self.tenant_id, name, None, 10_000)[::-1]

    def outcomes(self, name: str = "nightly") -> list[tuple[str, str, str]]:
        """Return the due time, the cause and the outcome of each firing."""
        return [(row.due_at.strftime("%H:%M"), row.cause, row.outcome) for row in self.firings(name)]

    def jobs(self) -> list[Job]:
        """Return them oldest first."""
        with self.database.read() as session:
            rows = session.query(Job).order_by(Job.created_at, Job.id).all()
            return [row for row in rows if row.tenant_id == self.tenant_id]

    def end_jobs(self) -> None:
        """Mark every job as succeeded."""
        with self.database.write() as session:
            for job in session.query(Job):
                job.state = "succeeded"
