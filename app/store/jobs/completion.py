"""Ends of attempts and jobs: finished, cancelled, released, failed, retried.

``_end`` and ``request_cancel`` are the only places where a job ends.
"""

import random
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy.orm import Session

from app.problems import Conflict
from app.store import artifacts, audit_log, checkpoints, webhooks
from app.store.db import now
from app.store.jobs import attempts, events
from app.store.jobs.progress import JobProgress
from app.store.jobs.queue import admit_children
from app.store.jobs.rows import fresh, get, hold
from app.store.jobs.statistics import count_children
from app.store.tables import Job, State
from models.json_types import JsonObject

MAX_BACKOFF_S = 300.0  # between two attempts
# Class of an error by its code; the others are "job" or "infrastructure". An error of the job itself is never retried,
# one of memory once, because the same job needs as much again, one of its surroundings while there are attempts left.
ERROR_CLASSES = {"timeout": "timeout", "out_of_memory": "oom"}


def release(session: Session, job_id: str, token: int) -> None:
    """Requeue an unfinished job because its worker stops; the attempt does not count. Raise Fenced."""
    job = hold(session, job_id, token)
    attempts.close(session, job, "released")
    job.attempt -= 1
    _requeue(session, job, 0.0)


def fail(session: Session, job_id: str, token: int, code: str, message: str, *, retry: bool) -> None:
    """End the attempt with an error; with ``retry`` the job is requeued if it has attempts left. Raise Fenced.

    The code ``timeout`` is never retried, ``out_of_memory`` once.
    """
    job = hold(session, job_id, token)
    cls = ERROR_CLASSES.get(code, "infrastructure" if retry else "job")
    again = cls == "infrastructure" or (cls == "oom" and not attempts.has_ended_as(session, job, "oom"))
    attempts.close(session, job, cls, message)
    job.error = {"code": code, "message": message, "class": cls}
    if again and job.attempt < job.max_attempts:
        _requeue(session, job, backoff_s(job.attempt, random.random()))  # noqa: S311 - spreads retries, hides nothing
    else:
        _end(session, job, "cancelled" if job.cancel_requested else "failed")


def finish(session: Session, job_id: str, token: int, version_id: int | None) -> None:
    """End the job as succeeded, even if its cancellation was requested meanwhile. Raise Fenced.

    Called in the transaction that registers the version, so that both become visible or neither.
    """
    job = hold(session, job_id, token)
    job.version_id, job.error = version_id, None
    _end(session, job, "succeeded")


def mark_cancelled(session: Session, job_id: str, token: int) -> None:
    """End the job as cancelled, after its worker has stopped. Raise Fenced."""
    _end(session, hold(session, job_id, token), "cancelled")


def request_cancel(session: Session, tenant_id: int, job_id: str, actor: str) -> Job:
    """Cancel a job that no worker holds, with its children; ask the worker of a running job to stop.

    Raises:
        NotFound: this tenant has no such job.
        Conflict: the job has ended.
    """
    # Children are locked before their parent, as where a child ends: one order prevents deadlocks.
    family = (Job.tenant_id == tenant_id) & ((Job.id == job_id) | (Job.parent_id == job_id))
    query = fresh(family & Job.state.in_(("queued", "running"))).order_by(Job.children_total, Job.id)
    rows = session.scalars(query.with_for_update()).all()
    job = get(session, tenant_id, job_id)
    if job.state not in ("queued", "running"):
        raise Conflict(f"job {job.id} is over ({job.state}); there is nothing left to cancel")
    for row in rows:
        row.cancel_requested = True
    audit_log.record(session, tenant_id, actor, "job.cancelled", job.id)
    _close(session, "cancelled", *(row for row in rows if row.state == "queued"))
    if job.children_total:
        _children_ended(session, job)
    elif job.parent_id is not None and job.finished_at is not None:
        _child_ended(session, job)
    session.flush()
    return job


def handle_lost(session: Session, job: Job) -> None:
    """Requeue a job after its worker is gone, or end it if it was cancelled or has no attempts left."""
    message = f"the worker {job.worker} was lost at attempt {job.attempt} of {job.max_attempts}; see its log"
    attempts.close(session, job, "lost", message)
    if job.attempt < job.max_attempts:
        _requeue(session, job, 0.0)
        return
    job.error = {"code": "worker_lost", "message": message, "class": "infrastructure"}
    _end(session, job, "cancelled" if job.cancel_requested else "failed")


def handle_overdue(session: Session, job: Job) -> None:
    """End a queued job after its deadline."""
    job.error = {"code": "timeout", "message": f"not done by its deadline, {job.deadline_at}", "class": "timeout"}
    _end(session, job, "failed")


def backoff_s(attempt: int, luck: float) -> float:
    """Return the seconds to wait after attempt number ``attempt`` (from 1); ``luck`` in [0, 1) spreads retries."""
    return min(MAX_BACKOFF_S, 2.0 ** min(attempt, 20) * (0.5 + luck / 2))


def _requeue(session: Session, job: Job, wait_s: float) -> None:
    """Put the job back to its old place in the queue, so that later jobs do not overtake it."""
    if job.cancel_requested:
        _end(session, job, "cancelled")
        return
    job.state, job.worker, job.holder, job.lease_until, job.started_at = "queued", None, None, None, None
    moment = now(session)
    job.run_at = moment + timedelta(seconds=wait_s) if wait_s else None
    events.record_states(session, job, at=moment)


def _end(session: Session, job: Job, state: State) -> None:
    _close(session, state, job)
    if job.parent_id is not None:
        _child_ended(session, job)


def _close(session: Session, state: State, *jobs: Job) -> None:
    """End ``jobs``, of one tenant, without their parent; they may be thousands."""
    if not jobs:
        return
    moment = now(session)
    for job in jobs:
        job.state, job.lease_until, job.finished_at = state, None, moment
        if job.token:  # a job that was never claimed has no attempt and no files
            attempts.close(session, job, state)
            artifacts.delete_unfinished(session, job.id, job.token if state == "succeeded" else None)
    checkpoints.delete(session, [job.id for job in jobs])
    events.record_states(session, *jobs, at=moment)
    webhooks.announce(session, jobs[0].tenant_id, f"job.{state}", *map(_message, jobs))


def _message(job: Job) -> JsonObject:
    """Return the payload of the webhook message about the end of a job."""
    version = (job.result or {}).get("version")
    names = ("id", "kind", "model", "label", "state", "attempt", "error")
    return {**{name: getattr(job, name) for name in names}, "version": version}


def _child_ended(session: Session, child: Job) -> None:
    query = fresh((Job.id == child.parent_id) & (Job.state == "running"))
    parent = session.scalars(query.with_for_update()).one_or_none()
    if parent is not None:
        _children_ended(session, parent)


def _children_ended(session: Session, parent: Job) -> None:
    """Admit the next children to the queue, or end ``parent``, which is locked, if all have ended."""
    counts = count_children(session, parent.id)
    done = counts["succeeded"] + counts["failed"] + counts["cancelled"]
    parent.progress = JobProgress(children=counts, share=done / parent.children_total).to_json()
    events.record_progress(session, parent)
    if done < parent.children_total:
        admit_children(session, parent)
        return
    parent.result = {"children": counts}
    if counts["failed"]:
        message = f"{counts['failed']} of {parent.children_total} children failed; GET /v1/jobs?parent={parent.id}"
        parent.error = {"code": "children_failed", "message": message, "class": "job"}
    _end(session, parent, _combined_state(counts, parent.cancel_requested))


def _combined_state(counts: Mapping[State, int], is_cancelled: bool) -> State:
    if counts["cancelled"] and is_cancelled:
        return "cancelled"
    return "failed" if counts["failed"] else "cancelled" if not counts["succeeded"] else "succeeded"
