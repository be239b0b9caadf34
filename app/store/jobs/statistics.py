"""How many jobs there are of which kind, how long they wait, and what the attempts at them came to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.store.db import insert_if_absent, now
from app.store.tables import Job, JobAttempt, Resource, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The whole table in a few numbers.

    ``jobs``: by state and kind; ``oldest_s``: how long the oldest queued job has waited, 0 where there is none;
    ``attempts``: how many ended (or run) so; ``waited_s``: by all of them together, before a worker claimed them;
    ``slots``: used and in all, of each resource that is limited.
    """

    jobs: Mapping[tuple[State, str], int]
    oldest_s: float
    attempts: Mapping[str, int]
    waited_s: float
    slots: Mapping[str, tuple[int, int]]


def tally(session: Session) -> Tally:
    """The jobs of all tenants."""
    by_kind = select(Job.state, Job.kind, func.count(), func.min(Job.created_at)).group_by(Job.state, Job.kind)
    rows = session.execute(by_kind).all()
    outcomes = select(JobAttempt.outcome, func.count(), func.sum(JobAttempt.waited_s)).group_by(JobAttempt.outcome)
    ended = session.execute(outcomes).all()
    moment = now(session)
    waits = [(moment - oldest).total_seconds() for state, _, _, oldest in rows if state == "queued"]
    return Tally(
        jobs={(state, kind): count for state, kind, count, _ in rows},
        oldest_s=max(waits, default=0.0),
        attempts={outcome or "running": count for outcome, count, _ in ended},
        waited_s=float(sum(waited for _, _, waited in ended)),
        slots=slots(session),
    )


def counts(session: Session) -> dict[State, int]:
    """How many jobs of all tenants are in each state."""
    return _every(session.execute(select(Job.state, func.count()).group_by(Job.state)).all())


def children(session: Session, parent_id: str) -> dict[State, int]:
    """How many children of a job are in each state."""
    query = select(Job.state, func.count()).where(Job.parent_id == parent_id).group_by(Job.state)
    return _every(session.execute(query).all())


def slots(session: Session) -> dict[str, tuple[int, int]]:
    """How many slots of each limited resource are taken, and how many there are."""
    running = select(Job.resource, func.count()).where(Job.state == "running", Job.children_total == 0)
    used = dict(session.execute(running.group_by(Job.resource)).all())
    return {row.name: (used.get(row.name, 0), row.slots) for row in session.scalars(select(Resource))}


def limit(session: Session, resource: str, count: int | None) -> None:
    """At most ``count`` jobs that need ``resource`` run at once from now on; None: as many as there are workers."""
    own = Resource.name == resource
    if count is None:
        session.execute(delete(Resource).where(own))
    elif insert_if_absent(session, Resource, name=resource, slots=count) is None:
        session.execute(update(Resource).where(own).values(slots=count))


def _every(rows: Iterable[tuple[State, int]]) -> dict[State, int]:
    return {**dict.fromkeys(get_args(State), 0), **dict(rows)}
