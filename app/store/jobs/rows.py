"""Jobs as they are now: one by its id or under its token, or many page by page."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.store.tables import Job, Schedule, State
from models.errors import excerpt

ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


class Fenced(Exception):
    """The token is not good any more: the job was taken over, given back or finished. Drop the work and stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which jobs a list holds; None: whatever it is."""

    state: State | None = None
    kind: str | None = None
    model: str | None = None
    schedule: str | None = None  # by name
    parent_id: str | None = None


EVERY = Filter()


def get(session: Session, tenant_id: int, job_id: str) -> Job:
    """The job as it is now. Raise NotFound."""
    job = session.scalars(fresh((Job.tenant_id == tenant_id) & (Job.id == job_id))).one_or_none()
    if job is None:
        raise NotFound(f"no job {excerpt(job_id)}; GET /v1/jobs lists them")
    return job


def hold(session: Session, job_id: str, token: int) -> Job:
    """The running job, locked until the transaction ends: what is written in it is written by who has the job.

    Raise Fenced where the token is not good any more.
    """
    mine = (Job.id == job_id) & (Job.token == token) & (Job.state == "running")
    job = session.scalars(fresh(mine).with_for_update()).one_or_none()
    if job is None:
        raise Fenced(f"job {job_id} is not held under token {token} any more; drop the work and claim another job")
    return job


def ended_by(session: Session, job_id: str, token: int) -> State | None:
    """How the job ended under ``token``; None where it goes on, or another has it.

    For a worker that was fenced: what it wrote last may have been done, and only the answer lost on the way.
    """
    mine = (Job.id == job_id) & (Job.token == token) & Job.state.in_(ENDED)
    return session.scalars(select(Job.state).where(mine)).one_or_none()


def list_page(session: Session, tenant_id: int, after: str | None, size: int, only: Filter = EVERY) -> list[Job]:
    """Up to ``size`` jobs, newest first, that come after the job ``after`` (None: from the newest).

    Raise NotFound for ``after``.
    """
    query = select(Job).where(Job.tenant_id == tenant_id)
    for name in ("state", "kind", "model", "parent_id"):
        if (wanted := getattr(only, name)) is not None:
            query = query.where(getattr(Job, name) == wanted)
    if only.schedule is not None:
        meant = (Schedule.tenant_id == tenant_id) & (Schedule.name == only.schedule)
        query = query.where(Job.schedule_id.in_(select(Schedule.id).where(meant)))
    if after is not None:
        last = get(session, tenant_id, after)
        query = query.where(tuple_(Job.created_at, Job.id) < (last.created_at, last.id))
    return list(session.scalars(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(size)))


def fresh(condition: ColumnElement[bool]) -> Select[Job]:
    """The jobs of ``condition`` as their rows are: what the session holds of them may be older."""
    return select(Job).where(condition).execution_options(populate_existing=True)
