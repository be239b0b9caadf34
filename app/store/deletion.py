"""Deletion: archived first, then the bytes go; the rows that history refers to stay.

A version keeps its number, spec, scores and SHA-256, a job its kind, state and times, so that decisions, moves and
lineage stay readable and no number is used twice.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.problems import InUse, NotFound
from app.store import alias_history, artifacts, audit_log, checkpoints, registry
from app.store.db import now
from app.store.jobs import ENDED, get
from app.store.registry import CHAMPION
from app.store.stored_quotas import check_quota
from app.store.tables import (
    AdaptedIntervals,
    Alias,
    Decision,
    Job,
    JobAttempt,
    JobEvent,
    Model,
    Schedule,
    ServedForecast,
    Version,
)
from models.errors import Fault, excerpt
from models.types import JsonObject

ACTIVE = ("queued", "running")


def archive_version(session: Session, tenant_id: int, model: str, number: int, actor: str) -> None:
    """Take a version out of use; repeating it changes nothing.

    Raises:
        NotFound: no such model or version.
        InUse: an alias, schedule, job, version or pending decision uses it.
    """
    row = registry.lock_model(session, tenant_id, model)
    version = registry.any_version(session, row, number)
    if version.archived_at is None:
        _refuse_if(version_users(session, row, [version]))
        version.archived_at, version.archived_by = now(session), actor
        session.flush()
        audit_log.record(session, tenant_id, actor, "version.archived", f"{model}@{number}")


def restore_version(session: Session, tenant_id: int, model: str, number: int, actor: str) -> Version:
    """Take an archived version, and its model, back into use.

    Raises:
        NotFound: no such model or version, or its bytes are deleted.
        QuotaExceeded: the tenant would have more models than it may have.
    """
    row = registry.lock_model(session, tenant_id, model)
    version = registry.any_version(session, row, number)
    if version.deleted_at is not None:
        raise NotFound(f"version {number} of model {excerpt(model)} is deleted; its bytes are gone")
    if version.archived_at is not None:
        audit_log.record(session, tenant_id, actor, "version.restored", f"{model}@{number}")
    version.archived_at = version.archived_by = row.archived_at = row.archived_by = None
    session.flush()
    check_quota(session, tenant_id, "max_models")
    return version


def purge_version(session: Session, tenant_id: int, model: str, number: int, actor: str) -> None:
    """Delete the bundle of an archived version and its logged forecasts; repeating it changes nothing.

    Raises:
        NotFound: no such model or version.
        InUse: it is not archived, or something uses it.
    """
    row = registry.lock_model(session, tenant_id, model)
    version = registry.any_version(session, row, number)
    if version.archived_at is None:
        message = f"version {number} of model {excerpt(model)} is in use until it is archived"
        raise InUse.of("not_archived", message, "archive it first: DELETE without 'purge'", field="version")
    _refuse_if(version_users(session, row, [version]))
    if version.deleted_at is None:
        audit_log.record(session, tenant_id, actor, "version.deleted", f"{model}@{number}")
    _purge(session, [version], actor)


def archive_model(session: Session, tenant_id: int, model: str, actor: str) -> None:
    """Take a model and all its versions out of use; repeating it changes nothing. Raise as ``archive_version``."""
    row = registry.lock_model(session, tenant_id, model)
    versions = _versions(session, row)
    if row.archived_at is None:
        _refuse_if([*version_users(session, row, versions), *_model_users(session, row)])
        row.archived_at, row.archived_by = now(session), actor
        for version in versions:
            if version.archived_at is None:
                version.archived_at, version.archived_by = row.archived_at, actor
        session.flush()
        audit_log.record(session, tenant_id, actor, "model.archived", model)


def purge_model(session: Session, tenant_id: int, model: str, actor: str) -> None:
    """Delete the bundles of an archived model; its name can be used again, and its numbers go on.

    Raises:
        NotFound: no such model.
        InUse: it is not archived, or something uses it.
    """
    row = registry.lock_model(session, tenant_id, model)
    if row.archived_at is None:
        message = f"model {excerpt(model)} is in use until it is archived"
        raise InUse.of("not_archived", message, "archive it first: DELETE without 'purge'", field="model")
    versions = _versions(session, row)
    _refuse_if([*version_users(session, row, versions), *_model_users(session, row)])
    if any(version.deleted_at is None for version in versions):
        audit_log.record(session, tenant_id, actor, "model.deleted", model)
    _purge(session, versions, actor)


def delete_alias(session: Session, tenant_id: int, model: str, alias: str, actor: str) -> None:
    """Delete an alias and record it as a move to no version; repeating it changes nothing.

    Raises:
        NotFound: no such model, or the model never had this alias.
        InUse: a schedule uses it.
    """
    row = registry.lock_model(session, tenant_id, model)
    own = (Alias.model_id == row.id) & (Alias.name == alias)
    found = session.scalars(select(Alias).where(own)).one_or_none()
    if found is None:
        if alias_history.alias_moves(session, tenant_id, model, alias, None, 1):
            return
        raise NotFound(f"model {excerpt(model)} has no alias {excerpt(alias)}; GET /v1/models/{model} lists them")
    names = {f"{model}@{alias}"} | ({model} if alias == CHAMPION else set())
    _refuse_if(list(_schedules_that_name(session, tenant_id, names)))
    number = found.version.number
    session.delete(found)
    move = registry.Move(model=model, alias=alias, number=None, reason="deleted by request", moved_by=actor)
    registry.record_move(session, row, move, number, now(session))
    session.flush()


def delete_job(session: Session, tenant_id: int, job_id: str, actor: str) -> None:
    """Delete the files, events and payload of a job that has ended, and of its children.

    Raises:
        NotFound: no such job, or it is deleted.
        InUse: it has not ended, belongs to a parent, or made a version that is not deleted.
    """
    job = get(session, tenant_id, job_id)
    family = [job, *session.scalars(select(Job).where(Job.parent_id == job.id))]
    _refuse_if(list(_job_users(session, job, [one.id for one in family])))
    ids = [one.id for one in family]
    for one in family:
        artifacts.delete_unfinished(session, one.id, None)
    checkpoints.delete(session, ids)
    session.execute(delete(JobEvent).where(JobEvent.job_id.in_(ids)))
    session.execute(delete(JobAttempt).where(JobAttempt.job_id.in_(ids)))
    emptied: JsonObject = {"request": {}, "progress": {}, "result": None, "error": None, "label": None, "holder": None}
    deleted = {"deleted_at": now(session), "deleted_by": actor}
    session.execute(update(Job).where(Job.id.in_(ids)).values(**emptied, **deleted))
    session.flush()
    audit_log.record(session, tenant_id, actor, "job.deleted", job_id)


def version_users(session: Session, model: Model, versions: Sequence[Version]) -> list[Fault]:
    """Return a fault for each alias, schedule, job, version and pending decision that uses one of ``versions``."""
    numbers = {version.id: version.number for version in versions}
    names = {f"{model.name}@{number}" for number in numbers.values()}
    faults = list(_schedules_that_name(session, model.tenant_id, names))
    for alias in session.scalars(select(Alias).where(Alias.version_id.in_(numbers))):
        message = f"alias '{alias.name}' points at version {numbers[alias.version_id]}"
        faults.append(_fault("alias", message, "point it at another version, or delete it"))
    active = select(Job).where(Job.tenant_id == model.tenant_id, Job.state.in_(ACTIVE))
    for job in session.scalars(active):
        if numbers.keys() & set(_pinned_ids(job.request)):
            faults.append(_fault("job", f"job {job.id} uses it", "wait for its end, or cancel it"))
    made = select(Version.number, Job.request).join(Job, Job.id == Version.job_id)
    others = (Version.model_id == model.id, Version.archived_at.is_(None), Version.id.not_in(numbers))
    for number, request in session.execute(made.where(*others)):
        if numbers.keys() & set(_pinned_ids(request)):
            message = f"version {number} was trained from it, and a retraining would start from it again"
            faults.append(_fault("version", message, f"archive version {number} first"))
    waiting = select(Version.id).join(Decision, Decision.version_id == Version.id)
    pending = waiting.where(Version.id.in_(numbers), Decision.verdict == "pending")
    for version_id in session.scalars(pending):
        message = f"the decision about version {numbers[version_id]} is pending"
        faults.append(_fault("decision", message, "approve or reject it"))
    return faults


def _model_users(session: Session, model: Model) -> Iterator[Fault]:
    yield from _schedules_that_name(session, model.tenant_id, {model.name})
    active = select(Job.id).where(Job.tenant_id == model.tenant_id, Job.state.in_(ACTIVE), Job.model == model.name)
    for job_id in session.scalars(active):
        yield _fault("job", f"job {job_id} will register a version", "wait for its end, or cancel it")


def _job_users(session: Session, job: Job, ids: Sequence[str]) -> Iterator[Fault]:
    if job.state not in ENDED:
        yield _fault("job", f"job {job.id} has not ended", "cancel it, or wait for its end")
    if job.parent_id is not None:
        yield _fault("parent", f"job {job.id} belongs to job {job.parent_id}", "delete that one")
    made = select(Version.number, Model.name).join(Model, Model.id == Version.model_id)
    for number, name in session.execute(made.where(Version.job_id.in_(ids), Version.deleted_at.is_(None))):
        message = f"version {number} of model {excerpt(name)} was made by it, and a retraining reads its request"
        yield _fault("version", message, "delete the version first: archive it, then DELETE with 'purge=true'")


def _schedules_that_name(session: Session, tenant_id: int, names: set[str]) -> Iterator[Fault]:
    query = select(Schedule.name, Schedule.request).where(Schedule.tenant_id == tenant_id)
    for schedule, request in session.execute(query):
        if used := names & set(_texts(request)):
            message = f"schedule '{schedule}' uses {excerpt(min(used))}"
            yield _fault("schedule", message, f"change or delete it: DELETE /v1/schedules/{schedule}")


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _pinned_ids(value: object) -> Iterator[int]:
    """Yield the id of every version that a stored payload pins, as a job on a version or as the start of a training."""
    if isinstance(value, dict) and (value.keys() >= {"name", "number", "id"} or "version_id" in value):
        yield value["id"] if "id" in value else value["version_id"]
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _pinned_ids(one)


def _versions(session: Session, model: Model) -> Sequence[Version]:
    return session.scalars(select(Version).where(Version.model_id == model.id)).all()


def _purge(session: Session, versions: Sequence[Version], actor: str) -> None:
    ids = [version.id for version in versions if version.deleted_at is None]
    for table in (ServedForecast, AdaptedIntervals):
        session.execute(delete(table).where(table.version_id.in_(ids)))
    gone = {"bundle": b"", "deleted_at": now(session), "deleted_by": actor}
    session.execute(update(Version).where(Version.id.in_(ids)).values(**gone))
    session.flush()


def _fault(field: str, message: str, hint: str) -> Fault:
    return Fault(code="in_use", field=field, message=message, hint=hint)


def _refuse_if(users: Sequence[Fault]) -> None:
    if users:
        raise InUse(users)
