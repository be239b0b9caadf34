"""/v1/jobs: long work, done by a worker."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app.api.paging import MOST, PageSize, PageToken, after_text, foreign, next_token
from app.api.service import Caller, PathName, Service, The, problems
from app.api.settling import Parent, settled
from app.problems import NotFound
from app.schemas import JobAnswer, MemberAnswer, Page, TrainRequest
from app.store import datasets, jobs, panels, registry
from app.store.orders import WarmStart, members_of
from app.store.tables import Job, State
from models import bundle

router = APIRouter(tags=["jobs"])


@router.post("/v1/jobs", status_code=202, responses=problems(403, 404), summary="Start a training job")
def post_job(request: TrainRequest, response: Response, the: The, caller: Caller) -> JobAnswer:
    """Queue a training job; ask its address in ``Location`` how it goes. What cannot work is refused at once."""
    job = submit(the, caller, request)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


@router.get("/v1/jobs", responses=problems(), summary="List jobs")
def list_jobs(
    the: The,
    caller: Caller,
    state: Annotated[State | None, Query()] = None,
    page_token: PageToken = None,
    page_size: PageSize = 50,
) -> Page[JobAnswer]:
    """Jobs, newest first."""
    size = min(page_size, MOST)
    after = after_text(page_token)
    with the.database.read() as session:
        try:
            rows = jobs.list_page(session, caller.tenant_id, after, size, jobs.Filter(state=state))
        except NotFound as error:
            raise foreign(page_token) from error
        items = [answer_of(session, row) for row in rows]
    return Page(items=items, next_page_token=next_token(rows, size, rows[-1].id if rows else None))


@router.get("/v1/jobs/{job_id}", responses=problems(404), summary="Show a job")
def get_job(job_id: PathName, the: The, caller: Caller) -> JobAnswer:
    """A job as it is now: state, progress (epoch, loss, share done, seconds left), error or version."""
    with the.database.read() as session:
        return answer_of(session, jobs.get(session, caller.tenant_id, job_id))


@router.post("/v1/jobs/{job_id}/cancel", status_code=202, responses=problems(403, 404, 409), summary="Cancel a job")
def cancel_job(job_id: PathName, the: The, caller: Caller) -> JobAnswer:
    """Cancel a queued job at once; ask the worker to stop a running one."""
    with the.database.write() as session:
        return answer_of(session, jobs.request_cancel(session, caller.tenant_id, job_id))


def submit(the: Service, caller: Caller, request: TrainRequest) -> JobAnswer:
    """Queue the training job that ``request`` describes, with every field of its spec settled.

    Raises:
        NotFound: no such data set or revision, or no such version to start from.
        SpecError, InputError: a field that cannot work, or series too short for it.
    """
    with the.database.read() as session:
        revision = datasets.revision(session, caller.tenant_id, request.dataset, request.revision)
        panel = panels.load(session, caller.tenant_id, revision)
        parent = _parent(session, caller.tenant_id, request.warm_start_from)
    order = settled(request, panel, parent)
    new = jobs.NewJob(
        tenant_id=caller.tenant_id,
        kind=request.kind,
        model=request.model,
        revision_id=revision.id,
        request=order.to_json(),
        max_attempts=the.settings.max_attempts,
        created_by=caller.key_id,
    )
    with the.database.write() as session:
        return answer_of(session, jobs.enqueue(session, new))


def _parent(session: Session, tenant_id: int, name: str | None) -> Parent | None:
    """The version ``name``, NAME@NUMBER or NAME@ALIAS, as it stands."""
    if name is None:
        return None
    model, _, which = name.partition("@")
    number = int(which) if which.isdigit() and int(which) < 2**31 else None
    version = registry.resolve(session, tenant_id, model, number, which)
    made = bundle.from_bytes(registry.bundle(session, tenant_id, version.id))
    return Parent(WarmStart(name, version.number, version.id), made)


def answer_of(session: Session, job: Job) -> JobAnswer:
    """The public face of a job."""
    revision = datasets.revision_by_id(session, job.tenant_id, job.revision_id)
    version = None if job.version_id is None else registry.version(session, job.tenant_id, job.version_id).number
    asked, warm_start = job.request, job.request.get("warm_start")
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
        spec=asked["spec"],
        training=asked["training"],
        members=[MemberAnswer(spec=each["spec"], training=each["training"]) for each in members_of(asked)],
        warm_start_from=None if warm_start is None else warm_start["name"],
        auto=asked.get("auto"),
        refit=asked.get("refit", True),
        created_by=job.created_by,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
