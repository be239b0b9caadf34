"""/v1/jobs: long work, done by a worker."""

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from app.api.http.idempotency import Keep, OnlyOnce, forget
from app.api.http.pagination import MAX_PAGE_SIZE, PageSize, PageToken, after_text, foreign, next_token
from app.api.http.services import Caller, PathName, Service, Services, problems
from app.planning.jobs import new_job
from app.planning.training_payload import members_of
from app.problems import NotFound
from app.schemas import NAME, JobAnswer, JobRequest, MemberAnswer, Page
from app.store import datasets, jobs, registry, schedules
from app.store.jobs import ENDED, Filter
from app.store.tables import Job, State
from models.evaluation.promotion import Policy

router = APIRouter(tags=["jobs"])


def _which(
    state: Annotated[State | None, Query()] = None,
    kind: Annotated[str | None, Query(pattern=NAME)] = None,
    model: Annotated[str | None, Query(pattern=NAME)] = None,
    schedule: Annotated[str | None, Query(pattern=NAME, description="Name of the schedule that made them.")] = None,
    parent: Annotated[str | None, Query(pattern=NAME, description="Id of the job that they are children of.")] = None,
) -> Filter:
    return Filter(state=state, kind=kind, model=model, schedule=schedule, parent_id=parent)


Which = Annotated[Filter, Depends(_which)]


@router.post("/v1/jobs", status_code=202, responses=problems(403, 404), summary="Start a job")
def post_job(request: JobRequest, response: Response, the: Services, caller: Caller, once: OnlyOnce) -> JobAnswer:
    """Queue a job; ask its address in ``Location`` how it goes. What cannot work is refused at once."""
    job = once(JobAnswer, lambda keep: submit(the, caller, request, keep))
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


@router.get("/v1/jobs", responses=problems(), summary="List jobs")
def list_jobs(
    the: Services, caller: Caller, which: Which, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[JobAnswer]:
    """Jobs, newest first."""
    size = min(page_size, MAX_PAGE_SIZE)
    after = after_text(page_token)
    with the.database.read() as session:
        try:
            rows = jobs.list_page(session, caller.tenant_id, after, size, which)
        except NotFound as error:
            raise foreign(page_token) from error
        items = [answer_of(session, row) for row in rows]
    return Page(items=items, next_page_token=next_token(rows, size, rows[-1].id if rows else None))


@router.get("/v1/jobs/{job_id}", responses=problems(404, 429), summary="Show a job")
async def get_job(
    job_id: PathName,
    the: Services,
    caller: Caller,
    wait: Annotated[
        float, Query(ge=0, le=60, description="Answer when state or attempt change, or after so long.")
    ] = 0,
) -> JobAnswer:
    """A job as it is now: state, progress (epoch, loss, share done, seconds left), error or version."""
    job = await run_sync(_shown, the, caller, job_id)
    if wait and job.state not in ENDED:
        await the.watch.changed(job.id, (job.state, job.attempt), wait)
        job = await run_sync(_shown, the, caller, job_id)
    return job


@router.post("/v1/jobs/{job_id}/cancel", status_code=202, responses=problems(403, 404, 409), summary="Cancel a job")
def cancel_job(job_id: PathName, the: Services, caller: Caller) -> JobAnswer:
    """Cancel a queued job at once; ask the worker to stop a running one."""
    with the.database.write() as session:
        return answer_of(session, jobs.request_cancel(session, caller.tenant_id, job_id))


def submit(the: Service, caller: Caller, request: JobRequest, keep: Keep = forget) -> JobAnswer:
    """Queue the job that ``request`` describes, with every field settled on the data as they are now.

    ``keep`` is given the answer in the transaction that queues it.

    Raises:
        NotFound, SpecError, InputError: see ``app.planning.jobs.new_job``.
    """
    new = new_job(the.database, the.settings, caller, request)
    with the.database.write() as session:
        job = answer_of(session, jobs.enqueue(session, new))
        keep(session, job)
    return job


def _shown(the: Service, caller: Caller, job_id: str) -> JobAnswer:
    with the.database.read() as session:
        return answer_of(session, jobs.get(session, caller.tenant_id, job_id))


def answer_of(session: Session, job: Job) -> JobAnswer:
    """The public face of a job."""
    revision = datasets.revision_by_id(session, job.tenant_id, job.revision_id)
    version = None if job.version_id is None else registry.version(session, job.tenant_id, job.version_id).number
    asked, trains, warm_start = job.request, "spec" in job.request, job.request.get("warm_start")
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        model=job.model,
        dataset=revision.dataset.name,
        revision=revision.number,
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
        schedule=schedules.name_of(session, job.schedule_id),
        result=job.result,
        created_by=job.created_by,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
