"""Use cases of the job queue: plan the job that a request describes, and queue it."""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.orm import Session

from app.planning import bundle_import
from app.planning.bundle_import import BundleUpload
from app.planning.job_answers import job_answer
from app.planning.job_kind import PlanContext, limits_of
from app.planning.kinds import REQUESTED, JobRequest, kind_name
from app.principal import Principal
from app.schemas.jobs import JobAnswer
from app.settings import Settings
from app.store import checkpoints, jobs
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.stored_quotas import lock_tenant
from app.telemetry import TRACEPARENT


def plan_job(database: Database, settings: Settings, principal: Principal, request: JobRequest) -> NewJob:
    """Return the job that ``request`` describes, planned on the stored data as they are now.

    Raises:
        NotFound: no such data set, revision, model or version.
        SpecError, InputError: a field cannot work alone, with another or with the data.
        QuotaExceeded: the tenant has as many queued jobs or bytes of files as it may have.
    """
    kind = REQUESTED[str(kind_name(request))]
    with database.read() as session:
        context = PlanContext(session, settings, principal, kind.name)
        context.check_room(1)  # first: planning takes a while
        return kind.plan(context, request)


def submit_job(
    database: Database,
    settings: Settings,
    principal: Principal,
    request: JobRequest,
    keep: Callable[[Session, JobAnswer], None] = lambda session, answer: None,
) -> JobAnswer:
    """Plan the job that ``request`` describes, queue it, and return its public form.

    ``keep`` is called with the answer in the transaction that queues the job.

    Raises:
        NotFound, SpecError, InputError, QuotaExceeded: as ``plan_job``.
    """
    new = replace(plan_job(database, settings, principal, request), traceparent=TRACEPARENT.get())
    with database.write() as session:
        lock_tenant(session, new.tenant_id)
        jobs.check_room(session, new.tenant_id, max(1, len(new.children)), limits_of(settings))
        answer = job_answer(session, jobs.enqueue(session, new))
        keep(session, answer)
    return answer


def submit_import(
    database: Database,
    settings: Settings,
    principal: Principal,
    upload: BundleUpload,
    keep: Callable[[Session, JobAnswer], None] = lambda session, answer: None,
) -> JobAnswer:
    """Queue the job that registers the uploaded bundle, and return its public form.

    ``keep`` is called with the answer in the transaction that queues the job.

    Raises:
        InputError: a wrong checksum, bytes that are no bundle, or another frequency than the model's.
        QuotaExceeded: the tenant has as many queued jobs as it may have.
    """
    with database.read() as session:
        context = PlanContext(session, settings, principal, bundle_import.KIND.name)
        context.check_room(1)
        new = replace(bundle_import.plan(context, upload), traceparent=TRACEPARENT.get())
    with database.write() as session:
        lock_tenant(session, new.tenant_id)
        jobs.check_room(session, new.tenant_id, 1, limits_of(settings))
        job = jobs.enqueue(session, new)
        checkpoints.save(session, job, upload.data)  # the worker reads the bytes as the first checkpoint of the job
        answer = job_answer(session, job)
        keep(session, answer)
    return answer
