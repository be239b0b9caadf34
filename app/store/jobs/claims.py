"""How workers take jobs out of the queue, keep them, and get those back whose worker is gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.jobs import attempts, events
from app.store.jobs.completion import lose, miss
from app.store.jobs.rows import Fenced, fresh, hold
from app.store.tables import Job, Resource, State

RESOURCES = ("cpu", "gpu")
MAX_LOST_JOBS = 100  # lost jobs that one transaction sees to


@dataclass(frozen=True, slots=True)
class Held:
    """A job that runs, and the process that has it, as that one described itself."""

    id: str
    token: int
    holder: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Sign:
    """What a worker has to know of a job that it has, or had."""

    token: int
    state: State
    cancel_requested: bool
    is_late: bool


@dataclass(frozen=True, slots=True)
class Calls:
    """What there is to do: jobs to claim if a slot is free, and jobs to reap."""

    to_claim: bool
    to_reap: bool


def calls(session: Session, resources: Sequence[str] = RESOURCES) -> Calls:
    """What there is to do for a worker; only reads, so that idle workers lock nothing."""
    moment = now(session)
    conditions = [*(_ready(moment, name) for name in resources), _lost(moment), _overdue(moment)]
    *ready, is_lost, is_overdue = session.execute(select(*(exists().where(each) for each in conditions))).one()
    return Calls(any(ready), is_lost or is_overdue)


def signs(session: Session, job_ids: Sequence[str]) -> dict[str, Sign]:
    """How the jobs are that a worker has, by their ids."""
    if not job_ids:
        return {}
    moment = now(session)
    query = select(Job.id, Job.token, Job.state, Job.cancel_requested, Job.deadline_at).where(Job.id.in_(job_ids))
    return {
        row.id: Sign(
            row.token, row.state, row.cancel_requested, row.deadline_at is not None and row.deadline_at < moment
        )
        for row in session.execute(query)
    }


def claim(
    session: Session,
    worker: str,
    lease_s: float,
    *,
    resources: Sequence[str] = RESOURCES,
    holder: dict[str, Any] | None = None,
    runner_sha256: str | None = None,
) -> Job | None:
    """Take the first job of the queue that needs one of ``resources``, of which a slot is free; None: there is none.

    The caller owns it for ``lease_s`` seconds, and longer with ``heartbeat``, under the job's new ``token``.
    ``holder`` says which process that is, ``runner_sha256`` what its runner proves itself with.
    """
    moment = now(session)
    first: list[tuple[datetime, str]] = []
    for name in _with_a_slot(session, resources):
        query = select(Job.place, Job.id).where(_ready(moment, name)).order_by(Job.place, Job.id).limit(1)
        first += [(row.place, row.id) for row in session.execute(query.with_for_update(skip_locked=True, of=Job))]
    if not first:
        return None
    taken = (
        update(Job)
        .where(Job.id == min(first)[1])
        .values(
            state="running",
            attempt=Job.attempt + 1,
            token=Job.token + 1,
            worker=worker,
            holder=holder,
            runner_sha256=runner_sha256,
            lease_until=moment + timedelta(seconds=lease_s),
            started_at=moment,
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job = session.scalars(taken).one()
    attempts.begin(session, job, (moment - max(job.created_at, job.run_at or job.created_at)).total_seconds())
    events.say_state(session, job, at=moment)
    return job


def heartbeat(session: Session, job_id: str, token: int, lease_s: float) -> bool:
    """Extend the lease to ``lease_s`` seconds from now; False where the token is not good any more."""
    try:
        hold(session, job_id, token).lease_until = now(session) + timedelta(seconds=lease_s)
    except Fenced:
        return False
    session.flush()
    return True


def reap(session: Session) -> int:
    """Put the jobs that lost their worker back in the queue, or end them; end those whose deadline passed in it.

    How many there were. Not to be called until one lease after an outage, for every lease looks lost then.
    """
    moment, seen = now(session), 0
    for condition, settle in ((_lost(moment), lose), (_overdue(moment), miss)):
        # By parents, so that two who reap children of several wait for each other in one order.
        query = fresh(condition).order_by(Job.parent_id, Job.id).limit(MAX_LOST_JOBS)
        for job in session.scalars(query.with_for_update(skip_locked=True)).all():
            settle(session, job)
            seen += 1
    return seen


def held(session: Session) -> list[Held]:
    """Every job that a worker has: who knows that one of their processes is dead need not wait for its lease."""
    return _held(session, Job.children_total == 0)


def lost(session: Session) -> list[Held]:
    """The jobs whose lease has run out, as ``reap`` would see them."""
    return _held(session, _lost(now(session)))


def running(session: Session, job_id: str, token: int) -> Job | None:
    """The job, if it runs under this token."""
    mine = (Job.id == job_id) & (Job.token == token) & (Job.state == "running")
    return session.scalars(fresh(mine)).one_or_none()


def take_back(session: Session, job_id: str, token: int) -> None:
    """The process that had the job is dead: as ``reap``, at once. Raise Fenced."""
    lose(session, hold(session, job_id, token))


def adopt(session: Session, job: Job, worker: str, lease_s: float, holder: dict[str, Any] | None) -> None:
    """Go on with an attempt that outlived its worker, under its token. Raise Fenced."""
    mine = hold(session, job.id, job.token)
    mine.worker, mine.holder, mine.lease_until = worker, holder, now(session) + timedelta(seconds=lease_s)
    session.flush()


def _held(session: Session, condition: ColumnElement[bool]) -> list[Held]:
    query = select(Job.id, Job.token, Job.holder).where(Job.state == "running", condition)
    return [Held(*row) for row in session.execute(query)]


def _ready(moment: datetime, resource: str) -> ColumnElement[bool]:
    is_due = or_(Job.run_at.is_(None), Job.run_at <= moment) & or_(Job.deadline_at.is_(None), Job.deadline_at > moment)
    return (Job.state == "queued") & (Job.resource == resource) & Job.place.is_not(None) & is_due


def _lost(moment: datetime) -> ColumnElement[bool]:
    return (Job.state == "running") & (Job.lease_until < moment)


def _overdue(moment: datetime) -> ColumnElement[bool]:
    return (Job.state == "queued") & (Job.deadline_at <= moment)


def _with_a_slot(session: Session, resources: Sequence[str]) -> list[str]:
    """The resources of which not every slot is taken; those without a limit have one for everybody."""
    limited = select(Resource.name).where(Resource.name.in_(resources))
    names = set(session.scalars(limited))
    if not names:
        return list(resources)
    # The lock makes counting and taking one step; whoever finds it taken looks again at its next poll.
    locked = select(Resource.name, Resource.slots).where(Resource.name.in_(names)).with_for_update(skip_locked=True)
    slots = dict(session.execute(locked).all())
    running = select(Job.resource, func.count()).where(Job.state == "running", Job.children_total == 0)
    used = dict(session.execute(running.group_by(Job.resource)).all())
    return [name for name in resources if name not in names or used.get(name, 0) < slots.get(name, 0)]
