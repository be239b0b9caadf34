"""Answers of the jobs API: a row of the job table in its public form."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.planning.job_kind import payload_details
from app.planning.kinds import KINDS
from app.schemas.jobs import JobAnswer
from app.schemas.specs import MemberAnswer
from app.store import datasets, schedules
from app.store import jobs as job_store
from app.store.tables import Job, Revision


def job_answer(session: Session, job: Job) -> JobAnswer:
    """Return the public form of ``job``, read in the transaction of ``session``."""
    return job_answers(session, job.tenant_id, [job])[0]


def job_answers(session: Session, tenant_id: int, jobs: Sequence[Job]) -> list[JobAnswer]:
    """Return the public form of a page of ``jobs``, read in a number of queries that does not depend on its length."""
    version_ids = [job.version_id for job in jobs if job.version_id is not None]
    schedule_ids = [job.schedule_id for job in jobs if job.schedule_id is not None]
    revisions = datasets.revisions_by_id(session, tenant_id, [job.revision_id for job in jobs])
    versions = job_store.version_numbers(session, tenant_id, version_ids) if version_ids else {}
    names = schedules.names_of(session, tenant_id, schedule_ids) if schedule_ids else {}
    return [
        _answer(
            job,
            None if job.revision_id is None else revisions[job.revision_id],
            None if job.version_id is None else versions[job.version_id],
            None if job.schedule_id is None else names.get(job.schedule_id),
        )
        for job in jobs
    ]


def _answer(job: Job, revision: Revision | None, version: int | None, schedule: str | None) -> JobAnswer:
    kind = KINDS.get(job.kind)
    details = (payload_details if kind is None else kind.details)(job.request)
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        model=job.model,
        dataset=None if revision is None else revision.dataset.name,
        revision=None if revision is None else revision.number,
        state=job.state,
        cancel_requested=job.cancel_requested,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        progress=job.progress,
        error=job.error,
        version=version,
        order=details.order,
        spec=details.spec,
        training=details.training,
        members=[MemberAnswer.model_validate(member) for member in details.members],
        warm_start_from=details.warm_start_from,
        auto=details.auto,
        refit=details.refit,
        promote=details.promote,
        gate=details.gate,
        priority=job.priority,
        resource=job.resource,
        run_at=job.run_at,
        deadline_at=job.deadline_at,
        parent=job.parent_id,
        label=job.label,
        children=job.children_total,
        schedule=schedule,
        result=job.result,
        created_by=job.created_by,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
