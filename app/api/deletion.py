"""DELETE of models, versions, aliases and jobs; models and versions are archived first, then deleted."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.write_routes import WriteRoute
from app.api.models import Number, version_answer
from app.schemas.models import VersionAnswer
from app.store import datasets, deletion

router = APIRouter(route_class=WriteRoute)

Purge = Annotated[bool, Query(description="Delete the bytes of what is archived; this cannot be undone.")]


@router.delete(
    "/v1/models/{name}",
    status_code=204,
    responses=problems(403, 404, 409),
    tags=["models"],
    summary="Delete a model",
)
def delete_model(name: PathName, service: CurrentService, caller: Caller, purge: Purge = False) -> None:
    """Archive a model with all its versions: it leaves the lists and forecasts nothing. Restoring a version undoes it.

    With ``purge`` the bundles of an archived model are deleted. Its decisions and moves stay readable, its name can be
    used again, and the numbers of its versions go on. Refused with 409 while an alias, a schedule, a job or a pending
    decision uses it; each error names one and the remedy. Repeating it changes nothing.
    """
    change = deletion.purge_model if purge else deletion.archive_model
    with service.database.write() as session:
        change(session, caller.tenant_id, name, caller.key_id)


@router.delete(
    "/v1/models/{name}/versions/{number}",
    status_code=204,
    responses=problems(403, 404, 409),
    tags=["models"],
    summary="Delete a version",
)
def delete_version(
    name: PathName, number: Number, service: CurrentService, caller: Caller, purge: Purge = False
) -> None:
    """Archive a version: it leaves the list, and no alias, forecast or job can use it until it is restored.

    With ``purge`` the bundle and the logged forecasts of an archived version are deleted; its row stays for the
    history, so that its number is not used again. Refused with 409 like the deletion of a model. Other processes stop
    serving it within a second.
    """
    change = deletion.purge_version if purge else deletion.archive_version
    with service.database.write() as session:
        change(session, caller.tenant_id, name, number, caller.key_id)


@router.post(
    "/v1/models/{name}/versions/{number}/restore",
    responses=problems(403, 404),
    tags=["models"],
    summary="Restore an archived version",
)
def restore_version(name: PathName, number: Number, service: CurrentService, caller: Caller) -> VersionAnswer:
    """Take an archived version back into use; repeating it changes nothing."""
    with service.database.write() as session:
        row = deletion.restore_version(session, caller.tenant_id, name, number, caller.key_id)
        revisions = datasets.revisions_by_id(session, caller.tenant_id, [row.revision_id])
    return version_answer(name, row, revisions)


@router.delete(
    "/v1/models/{name}/aliases/{alias}",
    status_code=204,
    responses=problems(403, 404, 409),
    tags=["models"],
    summary="Delete an alias",
)
def delete_alias(name: PathName, alias: PathName, service: CurrentService, caller: Caller) -> None:
    """Delete an alias; its moves stay readable, with this as the last. Refused with 409 while a schedule uses it.

    Rolling it back creates it again. Repeating this changes nothing.
    """
    with service.database.write() as session:
        deletion.delete_alias(session, caller.tenant_id, name, alias, caller.key_id)
    service.aliases.forget((caller.tenant_id, name, alias))


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=204,
    responses=problems(403, 404, 409),
    tags=["jobs"],
    summary="Delete a job",
)
def delete_job(job_id: PathName, service: CurrentService, caller: Caller) -> None:
    """Delete a job that has ended, its children, and their artifacts, events and attempts.

    Refused with 409 while it runs, and while a version that it made is not deleted: a retraining reads its request.
    """
    with service.database.write() as session:
        deletion.delete_job(session, caller.tenant_id, job_id, caller.key_id)
