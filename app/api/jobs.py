"""/v1/jobs: long work that a worker does."""

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Response

from app.api.http.idempotency import Idempotency
from app.api.http.pagination import PageSize, PageToken, after_text, bad_token, read_page
from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.write_routes import WriteRoute
from app.planning.job_answers import job_answer, job_answers
from app.planning.jobs import submit_job
from app.planning.kinds import JobRequest
from app.problems import NotFound
from app.schemas.base import NAME, Page
from app.schemas.jobs import JobAnswer
from app.service import Service
from app.store import jobs
from app.store.jobs import ENDED, JobFilter
from app.store.tables import State

router = APIRouter(tags=["jobs"], route_class=WriteRoute)


def _which(
    state: Annotated[State | None, Query()] = None,
    kind: Annotated[str | None, Query(pattern=NAME)] = None,
    model: Annotated[str | None, Query(pattern=NAME)] = None,
    schedule: Annotated[str | None, Query(pattern=NAME, description="Name of the schedule that made them.")] = None,
    parent: Annotated[str | None, Query(pattern=NAME, description="Id of the job that they are children of.")] = None,
) -> JobFilter:
    return JobFilter(state=state, kind=kind, model=model, schedule=schedule, parent_id=parent)


Which = Annotated[JobFilter, Depends(_which)]


@router.post("/v1/jobs", status_code=202, responses=problems(403, 404, 429), summary="Start a job")
def post_job(
    request: JobRequest, response: Response, service: CurrentService, caller: Caller, idempotent: Idempotency
) -> JobAnswer:
    """Queue a job; ``Location`` is its address. A request that cannot work on the data is refused at once."""
    job = idempotent.answer(
        JobAnswer, lambda save: submit_job(service.database, service.settings, caller, request, save)
    )
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


@router.get("/v1/jobs", responses=problems(), summary="List jobs")
def list_jobs(
    service: CurrentService, caller: Caller, which: Which, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[JobAnswer]:
    """List jobs, newest first."""
    tenant_id = caller.tenant_id
    with service.database.read() as session:
        try:
            return read_page(
                page_size,
                after_text(page_token),
                lambda after, size: jobs.list_page(session, tenant_id, after, size, which),
                lambda rows: job_answers(session, tenant_id, rows),
                lambda job: job.id,
            )
        except NotFound as error:
            raise bad_token(page_token) from error


@router.get("/v1/jobs/{job_id}", responses=problems(404, 429), summary="Show a job")
async def get_job(
    job_id: PathName,
    service: CurrentService,
    caller: Caller,
    wait: Annotated[
        float, Query(ge=0, le=60, description="Answer when state or attempt change, or after so long.")
    ] = 0,
) -> JobAnswer:
    """Show a job: state, progress (epoch, loss, share done, seconds left), error or version."""
    job = await run_sync(_shown, service, caller, job_id)
    if wait and job.state not in ENDED:
        await service.watch.changed(caller, job.id, (job.state, job.attempt), wait)
        job = await run_sync(_shown, service, caller, job_id)
    return job


@router.post("/v1/jobs/{job_id}/cancel", status_code=202, responses=problems(403, 404, 409), summary="Cancel a job")
def cancel_job(job_id: PathName, service: CurrentService, caller: Caller) -> JobAnswer:
    """Cancel a queued job at once; ask the worker of a running job to stop."""
    with service.database.write() as session:
        return job_answer(session, jobs.request_cancel(session, caller.tenant_id, job_id, caller.key_id))


def _shown(service: Service, caller: Caller, job_id: str) -> JobAnswer:
    with service.database.read() as session:
        return job_answer(session, jobs.get(session, caller.tenant_id, job_id))
