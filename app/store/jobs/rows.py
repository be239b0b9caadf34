"""Reading jobs: one by id or under its token, or many page by page."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.store.tables import Job, Schedule, State, Version
from models.errors import excerpt

RESOURCES = ("cpu", "gpu")
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


class Fenced(Exception):
    """The token is no longer valid: the job was taken over, released or finished. Drop the work and stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Conditions for the jobs of a list; None: no condition."""

    state: State | None = None
    kind: str | None = None
    model: str | None = None
    schedule: str | None = None  # by name
    parent_id: str | None = None


ALL_JOBS = JobFilter()


def get(session: Session, tenant_id: int, job_id: str) -> Job:
    """Return the present row of a job. Raise NotFound."""
    own = (Job.tenant_id == tenant_id) & (Job.id == job_id) & Job.deleted_at.is_(None)
    job = session.scalars(fresh(own)).one_or_none()
    if job is None:
        raise NotFound(f"no job {excerpt(job_id)}; GET /v1/jobs lists them")
    return job


def hold(session: Session, job_id: str, token: int) -> Job:
    """Return the running job, locked until the transaction ends, so that only its holder writes.

    Raise Fenced if the token is no longer valid.
    """
    matches = (Job.id == job_id) & (Job.token == token) & (Job.state == "running")
    job = session.scalars(fresh(matches).with_for_update()).one_or_none()
    if job is None:
        raise Fenced(f"job {job_id} is no longer held under token {token}; drop the work and claim another job")
    return job


def ended_by(session: Session, job_id: str, token: int) -> State | None:
    """Return the final state of a job that ended under ``token``; None if it runs on or another attempt has it.

    A worker that was fenced uses it: its last write may have been committed although the answer was lost.
    """
    matches = (Job.id == job_id) & (Job.token == token) & Job.state.in_(ENDED)
    return session.scalars(select(Job.state).where(matches)).one_or_none()


def list_page(session: Session, tenant_id: int, after: str | None, size: int, only: JobFilter = ALL_JOBS) -> list[Job]:
    """Return up to ``size`` jobs, newest first, that follow the job ``after`` (None: from the newest).

    Raise NotFound for ``after``.
    """
    query = select(Job).where(Job.tenant_id == tenant_id, Job.deleted_at.is_(None))
    for name in ("state", "kind", "model", "parent_id"):
        if (value := getattr(only, name)) is not None:
            query = query.where(getattr(Job, name) == value)
    if only.schedule is not None:
        named = (Schedule.tenant_id == tenant_id) & (Schedule.name == only.schedule)
        query = query.where(Job.schedule_id.in_(select(Schedule.id).where(named)))
    if after is not None:
        last = get(session, tenant_id, after)
        query = query.where(tuple_(Job.created_at, Job.id) < (last.created_at, last.id))
    return list(session.scalars(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(size)))


def version_numbers(session: Session, tenant_id: int, ids: Iterable[int | None]) -> dict[int, int]:
    """Return the numbers of the versions that a page of jobs points at, by id, in one query."""
    wanted = {one for one in ids if one is not None}
    query = select(Version.id, Version.number).where(Version.tenant_id == tenant_id, Version.id.in_(wanted))
    return dict(session.execute(query).all()) if wanted else {}


def fresh(condition: ColumnElement[bool]) -> Select[Job]:
    """Return a query for the jobs of ``condition`` that overwrites older copies in the session."""
    return select(Job).where(condition).execution_options(populate_existing=True)
