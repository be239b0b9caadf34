"""How a job gets into the queue, alone or with its children, and where in it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store import datasets
from app.store.db import insert_if_absent, now
from app.store.jobs import events
from app.store.jobs.rows import fresh
from app.store.tables import Job

AGEING = timedelta(minutes=10)  # of waiting that make up for one step of priority: nothing waits for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Job to be done; ``model`` is the name under which its result is registered, ``revision_id`` the data it reads.

    ``priority``: -10 to 10, more goes first; each step is worth ten minutes of waiting. ``resource``: what it takes a
    slot of while it runs. ``run_at``: not before then. ``deadline_s``: it fails if it is not done in so many seconds.
    ``dedup``: of two with the same text there is only one. ``children_at_once``: of a parent, how many of its children
    may be under way at the same time. ``children``: of a parent, which no worker claims itself.
    """

    tenant_id: int
    kind: str
    model: str | None
    revision_id: int | None
    request: dict[str, Any]
    max_attempts: int
    created_by: str
    priority: int = 0
    resource: str = "cpu"
    run_at: datetime | None = None
    deadline_s: float | None = None
    dedup: str | None = None
    schedule_id: int | None = None
    parent_id: str | None = None
    label: dict[str, Any] | None = None
    children_at_once: int | None = None
    children: tuple["NewJob", ...] = ()


def enqueue(session: Session, new: NewJob) -> Job:
    """Put a job in the queue, with its children; where there is one of the same ``dedup``, that one is returned.

    Raises:
        NotFound: the revision is not this tenant's.
    """
    if new.children:
        return enqueue_family(session, replace(new, children=()), new.children)
    if new.revision_id is not None:
        datasets.revision_by_id(session, new.tenant_id, new.revision_id)
    moment = now(session)
    values = _values(new, moment)
    if new.dedup is None:
        job = Job(**values)
        session.add(job)
        session.flush()
    elif insert_if_absent(session, Job, **values) is None:
        same = (Job.tenant_id == new.tenant_id) & (Job.dedup == new.dedup)
        return session.scalars(fresh(same)).one()
    else:
        job = session.get_one(Job, values["id"])
    events.say_state(session, job, at=moment)
    return job


def enqueue_family(session: Session, parent: NewJob, children: Sequence[NewJob]) -> Job:
    """Put ``children`` in the queue, at most ``parent.children_at_once`` of them under way at a time; their parent.

    No worker claims the parent: it runs until its last child has ended. ``parent_id`` of the children is set here.

    Raises:
        NotFound: a revision is not this tenant's.
        ValueError: there are no children.
    """
    if not children:
        raise ValueError("got a family without children; enqueue a single job instead")
    job = enqueue(session, parent)
    if job.children_total:  # by its dedup this family is in the queue already
        return job
    for revision_id in {child.revision_id for child in children if child.revision_id is not None}:
        datasets.revision_by_id(session, parent.tenant_id, revision_id)
    moment, at_once = job.created_at, parent.children_at_once or len(children)
    job.state, job.started_at, job.children_total = "running", moment, len(children)
    rows = [Job(**{**_values(child, moment), "parent_id": job.id}) for child in children]
    for row in rows[at_once:]:
        row.place = None
    session.add_all(rows)
    session.flush()
    events.say_state(session, job, *rows, at=moment)
    return job


def place_of(job: Job) -> datetime:
    """Where in the queue a job belongs: older and more important ones come first."""
    return job.created_at - job.priority * AGEING


def admit(session: Session, parent: Job) -> None:
    """Let so many of the children that wait outside the queue in, as may be under way at the same time."""
    if parent.children_at_once is None:
        return
    own = Job.parent_id == parent.id
    inside = select(Job.id).where(own, Job.state.in_(("queued", "running")), Job.place.is_not(None))
    free = parent.children_at_once - len(session.scalars(inside).all())
    outside = fresh(own & (Job.state == "queued") & Job.place.is_(None)).order_by(Job.created_at, Job.id)
    # One that somebody else has locked is about to be cancelled, and will let in another in its stead.
    for child in session.scalars(outside.limit(max(free, 0)).with_for_update(skip_locked=True)):
        child.place = place_of(child)
    session.flush()


def _values(new: NewJob, moment: datetime) -> dict[str, Any]:
    values = asdict(new)
    deadline_s, _ = values.pop("deadline_s"), values.pop("children")
    deadline_at = None if deadline_s is None else moment + timedelta(seconds=deadline_s)
    place = moment - new.priority * AGEING
    return {**values, "id": uuid4().hex, "created_at": moment, "place": place, "deadline_at": deadline_at}
