"""What was asked of a worker becomes a job: every field settled on the data as they are, what cannot work refused."""

from sqlalchemy.orm import Session

from app.api.settling import Parent, settled
from app.edge.guard import Principal
from app.schemas import TrainRequest
from app.settings import Settings
from app.store import datasets, jobs, panels, registry
from app.store.db import Database
from app.store.orders import WarmStart
from models import bundle


def new_job(database: Database, settings: Settings, caller: Principal, request: TrainRequest) -> jobs.NewJob:
    """The training job that ``request`` describes, with every field of its spec settled on the data as they are now.

    Raises:
        NotFound: no such data set or revision, or no such version to start from.
        SpecError, InputError: a field that cannot work, or series too short for it.
    """
    with database.read() as session:
        revision = datasets.revision(session, caller.tenant_id, request.dataset, request.revision)
        panel = panels.load(session, caller.tenant_id, revision)
        parent = _parent(session, caller.tenant_id, request.warm_start_from)
    order = settled(request, panel, parent)
    return jobs.NewJob(
        tenant_id=caller.tenant_id,
        kind=request.kind,
        model=request.model,
        revision_id=revision.id,
        request=order.to_json(),
        max_attempts=settings.max_attempts,
        created_by=caller.key_id,
        priority=request.priority,
        resource=request.resource,
        deadline_s=request.deadline_s,
    )


def _parent(session: Session, tenant_id: int, name: str | None) -> Parent | None:
    """The version ``name``, NAME@NUMBER or NAME@ALIAS, as it stands."""
    if name is None:
        return None
    model, _, which = name.partition("@")
    number = int(which) if which.isdigit() and int(which) < 2**31 else None
    version = registry.resolve(session, tenant_id, model, number, which)
    made = bundle.from_bytes(registry.bundle(session, tenant_id, version.id))
    return Parent(WarmStart(name, version.number, version.id), made)
