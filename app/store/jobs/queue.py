"""Adding jobs to the queue, alone or with children, and their order in it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.problems import QueueFull
from app.store import audit_log, datasets
from app.store.db import insert_if_absent, now
from app.store.job_limits import JobLimits
from app.store.jobs import events
from app.store.jobs.rows import RESOURCES, fresh
from app.store.stored_quotas import own_limit
from app.store.tables import Job
from models.json_types import JsonObject

PRIORITY_STEP = timedelta(minutes=10)  # of waiting equal one step of priority, so that no job waits for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Job to be done; ``model`` is the name under which its result is registered, ``revision_id`` the data it reads.

    ``priority``: -10 to 10, higher runs first; a step equals ten minutes of waiting. ``resource``: kind of slot that
    the job occupies while it runs. ``run_at``: earliest start. ``deadline_s``: seconds after which an unfinished job
    fails. ``dedup``: a tenant has at most one job of the same text. ``children``: jobs of a parent, which no worker
    claims itself. ``children_at_once``: greatest number of them in the queue or running.
    ``traceparent``: span of the request that asks for the job.
    """

    tenant_id: int
    kind: str
    model: str | None
    revision_id: int | None
    request: JsonObject
    max_attempts: int
    created_by: str
    priority: int = 0
    resource: str = "cpu"
    run_at: datetime | None = None
    deadline_s: float | None = None
    dedup: str | None = None
    schedule_id: int | None = None
    parent_id: str | None = None
    label: JsonObject | None = None
    children_at_once: int | None = None
    traceparent: str | None = None
    children: tuple["NewJob", ...] = ()


def check_room(session: Session, tenant_id: int, added: int, limits: JobLimits) -> None:
    """Refuse ``added`` more jobs of a tenant that would have more queued ones than one tenant may have.

    A transaction that then adds them locks the tenant first: ``stored_quotas.lock_tenant``.

    Raises:
        QueueFull: with the number of queued jobs.
    """
    own = (Job.tenant_id == tenant_id) & (Job.state == "queued") & Job.resource.in_(RESOURCES)
    queued = session.scalars(select(func.count()).select_from(Job).where(own)).one()
    limit = own_limit(session, tenant_id, "max_queued_jobs")
    limit = limits.max_queued if limit is None else limit
    if queued + added > limit:
        message = f"you have {queued} jobs in the queue; {added} more would exceed the limit of {limit}"
        hint = "wait until some have ended, or cancel some; FORECASTLE_MAX_QUEUED_JOBS sets the limit"
        raise QueueFull.of("queue_full", message, hint)


def enqueue(session: Session, new: NewJob) -> Job:
    """Queue a job with its children, and return it; if there is a job of the same ``dedup``, return that one.

    Raises:
        NotFound: the tenant has no such revision.
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
    events.record_states(session, job, at=moment)
    detail: JsonObject = {"kind": job.kind, "model": job.model}
    audit_log.record(session, job.tenant_id, job.created_by, "job.created", job.id, detail)
    return job


def enqueue_family(session: Session, parent: NewJob, children: Sequence[NewJob]) -> Job:
    """Queue ``children`` and return their parent; ``parent.children_at_once`` bounds those in the queue or running.

    No worker claims the parent: it runs until its last child has ended. The children get its ``parent_id``.

    Raises:
        NotFound: the tenant has no such revision.
        ValueError: there are no children.
    """
    if not children:
        raise ValueError("got a family without children; enqueue a single job instead")
    job = enqueue(session, parent)
    if job.children_total:  # a family of the same dedup is in the queue already
        return job
    for revision_id in {child.revision_id for child in children if child.revision_id is not None}:
        datasets.revision_by_id(session, parent.tenant_id, revision_id)
    moment, at_once = job.created_at, parent.children_at_once or len(children)
    job.state, job.started_at, job.children_total = "running", moment, len(children)
    own = {"parent_id": job.id, "traceparent": parent.traceparent}
    rows = [Job(**{**_values(child, moment), **own}) for child in children]
    for row in rows[at_once:]:
        row.place = None
    session.add_all(rows)
    session.flush()
    events.record_states(session, job, *rows, at=moment)
    return job


def place_of(job: Job) -> datetime:
    """Return the place of a job in the queue: older jobs and jobs of higher priority come first."""
    return job.created_at - job.priority * PRIORITY_STEP


def admit_children(session: Session, parent: Job) -> None:
    """Move waiting children to the queue, up to ``children_at_once`` that are queued or run."""
    if parent.children_at_once is None:
        return
    own = Job.parent_id == parent.id
    active = select(Job.id).where(own, Job.state.in_(("queued", "running")), Job.place.is_not(None))
    free = parent.children_at_once - len(session.scalars(active).all())
    waiting = fresh(own & (Job.state == "queued") & Job.place.is_(None)).order_by(Job.created_at, Job.id)
    # A child that is locked is being cancelled; that transaction admits another child.
    for child in session.scalars(waiting.limit(max(free, 0)).with_for_update(skip_locked=True)):
        child.place = place_of(child)
    session.flush()


def _values(new: NewJob, moment: datetime) -> JsonObject:
    values = asdict(new)
    deadline_s, _ = values.pop("deadline_s"), values.pop("children")
    deadline_at = None if deadline_s is None else moment + timedelta(seconds=deadline_s)
    place = moment - new.priority * PRIORITY_STEP
    return {**values, "id": uuid4().hex, "created_at": moment, "place": place, "deadline_at": deadline_at}
