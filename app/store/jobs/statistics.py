"""Statistics of the queue: numbers of jobs and attempts, waiting times, slots."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.store.db import insert_if_absent, now
from app.store.tables import Job, JobAttempt, Resource, State


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """Statistics of the jobs of all tenants.

    ``jobs``: number by state and kind; ``oldest_s``: waiting time of the oldest queued job, 0 if there is none;
    ``attempts``: number by outcome, "running" included; ``waited_s``: total time that the attempts waited for a worker;
    ``slots``: used and total, by limited resource.
    """

    jobs: Mapping[tuple[State, str], int]
    oldest_s: float
    attempts: Mapping[str, int]
    waited_s: float
    slots: Mapping[str, tuple[int, int]]


def queue_statistics(session: Session) -> QueueStatistics:
    """Return the statistics of the jobs of all tenants."""
    by_kind = select(Job.state, Job.kind, func.count(), func.min(Job.created_at)).group_by(Job.state, Job.kind)
    rows = session.execute(by_kind).all()
    outcomes = select(JobAttempt.outcome, func.count(), func.sum(JobAttempt.waited_s)).group_by(JobAttempt.outcome)
    ended = session.execute(outcomes).all()
    moment = now(session)
    waits = [(moment - oldest).total_seconds() for state, _, _, oldest in rows if state == "queued"]
    return QueueStatistics(
        jobs={(state, kind): count for state, kind, count, _ in rows},
        oldest_s=max(waits, default=0.0),
        attempts={outcome or "running": count for outcome, count, _ in ended},
        waited_s=float(sum(waited for _, _, waited in ended)),
        slots=slots(session),
    )


def count_by_state(session: Session) -> dict[State, int]:
    """Return the number of jobs of all tenants in each state."""
    return _with_zeros(session.execute(select(Job.state, func.count()).group_by(Job.state)).all())


def count_children(session: Session, parent_id: str) -> dict[State, int]:
    """Return the number of a job's children in each state."""
    query = select(Job.state, func.count()).where(Job.parent_id == parent_id).group_by(Job.state)
    return _with_zeros(session.execute(query).all())


def slots(session: Session) -> dict[str, tuple[int, int]]:
    """Return the used and the total number of slots of each limited resource."""
    running = select(Job.resource, func.count()).where(Job.state == "running", Job.children_total == 0)
    used = dict(session.execute(running.group_by(Job.resource)).all())
    return {row.name: (used.get(row.name, 0), row.slots) for row in session.scalars(select(Resource))}


def set_slots(session: Session, resource: str, count: int | None) -> None:
    """Limit the jobs that run on ``resource`` at the same time to ``count``; None removes the limit."""
    same = Resource.name == resource
    if count is None:
        session.execute(delete(Resource).where(same))
    elif insert_if_absent(session, Resource, name=resource, slots=count) is None:
        session.execute(update(Resource).where(same).values(slots=count))


def _with_zeros(rows: Iterable[tuple[State, int]]) -> dict[State, int]:
    return {**dict.fromkeys(get_args(State), 0), **dict(rows)}
