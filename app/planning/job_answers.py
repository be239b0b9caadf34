"""Answers of the jobs API: a row of the job table in its public form."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.planning.training_payload import members_of
from app.schemas import JobAnswer, MemberAnswer
from app.store import datasets, registry, schedules
from app.store.tables import Job, Revision
from models.evaluation.promotion import Policy


def job_answer(session: Session, job: Job) -> JobAnswer:
    """Return the public form of ``job``, read in the transaction of ``session``."""
    return job_answers(session, job.tenant_id, [job])[0]


def job_answers(session: Session, tenant_id: int, jobs: Sequence[Job]) -> list[JobAnswer]:
    """Return the public form of a page of ``jobs``, read in a number of queries that does not depend on its length."""
    revisions = datasets.revisions_by_id(session, tenant_id, [job.revision_id for job in jobs])
    versions = registry.version_numbers(session, tenant_id, [job.version_id for job in jobs])
    names = schedules.names_of(session, tenant_id, [job.schedule_id for job in jobs])
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
    asked, trains, warm_start = job.request, "spec" in job.request, job.request.get("warm_start")
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
        order=None if trains else asked,
        spec=asked.get("spec"),
        training=asked.get("training"),
        members=[MemberAnswer(**{of: each[of] for of in ("spec", "training")}) for each in members_of(asked)]
        if trains
        else [],
        warm_start_from=None if warm_start is None else warm_start["name"],
        auto=asked.get("auto"),
        refit=asked.get("refit", trains),
        promote=asked.get("promote") if trains else None,
        gate=Policy.from_json(asked.get("gate", {})).to_json() if trains else None,
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
