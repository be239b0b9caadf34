"""/v1/jobs: long work, done by a worker."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app.api.paging import MOST, PageSize, PageToken, after_text, foreign, next_token
from app.api.service import Caller, PathName, Service, The, problems
from app.problems import NotFound
from app.schemas import JobAnswer, Page, TrainRequest
from app.store import datasets, jobs, panels, registry
from app.store.tables import Job, State
from models.backtest import origins_of, plan_for
from models.errors import Fault, SpecError
from models.panel import Panel
from models.recipes import suggest
from models.spec import Spec, Training, check_batch
from models.windows import split

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
            rows = jobs.list_page(session, caller.tenant_id, after, size, state)
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
        NotFound: no such data set or revision.
        SpecError, InputError: a field that cannot work, or series too short for it.
    """
    training = Training.from_json(request.training)
    with the.database.read() as session:
        revision = datasets.revision(session, caller.tenant_id, request.dataset, request.revision)
        panel = panels.load(session, caller.tenant_id, revision)
    spec = _settled(request, panel)
    check_batch(spec, training)
    new = jobs.NewJob(
        tenant_id=caller.tenant_id,
        kind=request.kind,
        model=request.model,
        revision_id=revision.id,
        request={"spec": spec.to_json(), "training": training.to_json(), "promote": request.promote},
        max_attempts=the.settings.max_attempts,
        created_by=caller.key_id,
    )
    with the.database.write() as session:
        return answer_of(session, jobs.enqueue(session, new))


def _settled(request: TrainRequest, panel: Panel) -> Spec:
    if "freq" in request.spec:
        message, hint = "the frequency is that of the data set", "leave it out"
        raise SpecError([Fault(code="bad_field", field="freq", message=message, hint=hint)])
    spec = suggest(panel, request.spec)
    # What the worker will do first: better refused now than failed later.
    plan = plan_for(panel, spec.horizon, spec.season)
    origins_of(panel, plan, max(spec.context, spec.season), spec.season)
    split(panel.cut(plan.held_out), spec.context, spec.horizon)
    return spec


def answer_of(session: Session, job: Job) -> JobAnswer:
    """The public face of a job."""
    revision = datasets.revision_by_id(session, job.tenant_id, job.revision_id)
    version = None if job.version_id is None else registry.version(session, job.tenant_id, job.version_id).number
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
        spec=job.request["spec"],
        training=job.request["training"],
        created_by=job.created_by,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
