"""Figures about models and attempts for monitoring: each list is bounded, whatever the database holds."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, extract, func, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.store import quality
from app.store.db import now
from app.store.quality import Quality
from app.store.registry import CHAMPION
from app.store.tables import Alias, Job, JobAttempt, Model, Revision, Version

MAX_MODELS = 50
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """Champion of the model ``model``: its age, its skill in the backtest, and its realised quality.

    ``data_age_s`` is the time since rows were last added to the data set that it was trained on; None for a version
    that was imported without data.
    """

    model: str
    age_s: float
    skill: float | None
    data_age_s: float | None
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTotals:
    """Attempts that ended in one way: their number, and the seconds that they ran together."""

    count: int
    seconds: float


def count_champions(session: Session, tenant_id: int) -> int:
    """Return the number of a tenant's models that have a champion."""
    own = (Alias.tenant_id == tenant_id) & (Alias.name == CHAMPION)
    return session.scalars(select(func.count()).select_from(Alias).where(own)).one()


def list_champions(session: Session, tenant_id: int, window_days: int) -> list[Champion]:
    """Return the ``MAX_MODELS`` champions of a tenant that changed last, by name.

    Their realised quality is that of actual values which arrived in the last ``window_days``.
    """
    newest = select(func.max(Revision.created_at)).where(Revision.dataset_id == _trained_on()).scalar_subquery()
    query = (
        select(Model.name, Version.id, Version.created_at, Version.skill, newest)
        .join(Alias, Alias.model_id == Model.id)
        .join(Version, Version.id == Alias.version_id)
        .where(Alias.tenant_id == tenant_id, Alias.name == CHAMPION)
        .order_by(Alias.moved_at.desc(), Alias.id)
        .limit(MAX_MODELS)
    )
    rows, moment = session.execute(query).all(), now(session)
    realised = quality.by_version(session, [row[1] for row in rows], window_days)
    return [
        Champion(
            model=name,
            age_s=(moment - made_at).total_seconds(),
            skill=skill,
            data_age_s=None if data_at is None else (moment - data_at).total_seconds(),
            quality=realised.get(version_id, Quality(coverage={})),
        )
        for name, version_id, made_at, skill, data_at in sorted(rows, key=lambda row: str(row[0]))
    ]


def attempts_of_last_day(session: Session) -> dict[tuple[str, str], AttemptTotals]:
    """Return the attempts of all tenants that ended in the last 24 hours, by kind of job and outcome."""
    since = now(session) - timedelta(seconds=DAY_S)
    seconds = func.sum(_seconds(session, JobAttempt.ended_at) - _seconds(session, JobAttempt.started_at))
    query = select(Job.kind, JobAttempt.outcome, func.count(), seconds).join(Job, Job.id == JobAttempt.job_id)
    rows = session.execute(query.where(JobAttempt.ended_at > since).group_by(Job.kind, JobAttempt.outcome))
    return {
        (kind, str(outcome)): AttemptTotals(count=count, seconds=float(total)) for kind, outcome, count, total in rows
    }


def database_bytes(session: Session) -> int:
    """Return the bytes of the whole database on its disk, without those of a log of changes."""
    pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    own = "SELECT pg_database_size(current_database())"
    size: int = session.scalars(text(pages if _is_sqlite(session) else own)).one()
    return size


def _trained_on() -> ColumnElement[int | None]:
    """Return the data set of the version of the query around."""
    learned = select(Revision.dataset_id).where(Revision.id == Version.revision_id)
    return learned.correlate(Version).scalar_subquery()


def _seconds(session: Session, column: InstrumentedAttribute[Any]) -> ColumnElement[float]:
    """Return the time in ``column`` as seconds since a fixed moment."""
    if _is_sqlite(session):
        return func.julianday(column) * DAY_S
    return cast(extract("epoch", column), Float)


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
