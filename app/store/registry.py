"""Registry of models: versions are immutable, aliases move, and every move is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from app.problems import Conflict, CorruptBundle, NotFound
from app.store import audit_log, datasets, webhooks
from app.store.db import insert_if_absent, now
from app.store.stored_quotas import check_quota
from app.store.tables import Alias, AliasMove, Job, Model, Origin, Version
from models.errors import excerpt
from models.json_types import JsonObject
from models.network.spec import Spec
from models.training.report import VersionReport

CHAMPION = "champion"
MAX_ALIASES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """Trained forecaster to register under the name ``model``; ``data_sha256`` is of the data that it learned from.

    Of ``origin`` "job", ``revision_id``, ``data_sha256`` and ``job_id`` are required; of "import" each may be None.
    """

    model: str
    bundle: bytes
    spec: Spec
    report: VersionReport
    skill: float | None
    revision_id: int | None
    data_sha256: str | None
    job_id: str | None
    created_by: str
    origin: Origin = "job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Move of an alias to the version ``number`` (None: it is deleted), with a ``reason`` in words."""

    model: str
    alias: str
    number: int | None
    reason: str
    moved_by: str


def add_version(session: Session, tenant_id: int, new: NewVersion) -> Version:
    """Register a version under the model's next number; create the model if absent.

    Raises:
        NotFound: the tenant has no such job or revision.
        Conflict: the job has a version already.
        QuotaExceeded: the tenant would have more models, versions or bytes than it may have.
    """
    _check_origin(session, tenant_id, new)
    model = get_or_create_model(session, tenant_id, new.model)
    last = session.scalars(select(func.max(Version.number)).where(Version.model_id == model.id)).one()
    version = Version(
        tenant_id=tenant_id,
        model_id=model.id,
        number=(last or 0) + 1,
        sha256=sha256(new.bundle).hexdigest(),
        size_bytes=len(new.bundle),
        created_at=now(session),
        bundle=new.bundle,
        spec=new.spec.to_json(),
        scores=new.report.to_json(),
        skill=new.skill,
        revision_id=new.revision_id,
        data_sha256=new.data_sha256,
        job_id=new.job_id,
        created_by=new.created_by,
        origin=new.origin,
    )
    session.add(version)
    if model.archived_at is not None:
        model.archived_at = model.archived_by = None
        session.flush()
        check_quota(session, tenant_id, "max_models")
    session.flush()
    check_quota(session, tenant_id, "max_versions")
    check_quota(session, tenant_id, "max_stored_bytes")
    detail: JsonObject = {"origin": new.origin, "job": new.job_id, "sha256": version.sha256}
    subject = f"{new.model}@{version.number}"
    audit_log.record(session, tenant_id, new.created_by, "version.registered", subject, detail)
    return version


def resolve(session: Session, tenant_id: int, model: str, version: int | None, alias: str | None) -> Version:
    """Return the version with this number, or else the version of ``alias`` (champion if None).

    Raise NotFound, which lists the aliases or versions that exist.
    """
    row = get_model(session, tenant_id, model)
    if version is not None:
        return _numbered(session, row, version)
    name = CHAMPION if alias is None else alias
    query = select(Alias).where(Alias.model_id == row.id, Alias.name == name)
    found = session.scalars(query).one_or_none()
    if found is None:
        names = ", ".join(a.name for a in list_aliases(session, tenant_id, model)) or "none"
        raise NotFound(f"model {excerpt(model)} has no alias {excerpt(name)}; aliases: {names}")
    return found.version


def aliased_versions(session: Session, names: Sequence[tuple[int, str, str]]) -> dict[tuple[int, str, str], int]:
    """Return the version id of each alias (tenant id, model, alias); aliases that do not exist are left out."""
    of_alias = (Model.tenant_id, Model.name, Alias.name)
    query = select(*of_alias, Alias.version_id).join(Model, Model.id == Alias.model_id)
    rows = session.execute(query.where(tuple_(*of_alias).in_(names)))
    return {(tenant_id, model, alias): version_id for tenant_id, model, alias, version_id in rows}


def version(session: Session, tenant_id: int, version_id: int) -> Version:
    """Return the version of this id. Raise NotFound."""
    found = session.scalars(
        select(Version).where(Version.tenant_id == tenant_id, Version.id == version_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"no version with the id {version_id}; GET /v1/models lists the models")
    return found


def bundle(session: Session, tenant_id: int, version_id: int) -> bytes:
    """Return the version's bundle. Raise NotFound, CorruptBundle if its SHA-256 is not the registered one."""
    columns = select(Version.bundle, Version.sha256, Version.number)
    own = (Version.tenant_id == tenant_id, Version.id == version_id, Version.deleted_at.is_(None))
    row = session.execute(columns.where(*own)).one_or_none()
    if row is None:
        raise NotFound(f"no version with the id {version_id}; GET /v1/models lists the models")
    found = sha256(row.bundle).hexdigest()
    if found != row.sha256:
        raise CorruptBundle(
            f"version {row.number} (id {version_id}) has the SHA-256 {found[:12]}…, but {row.sha256[:12]}… was "
            "registered; move its aliases to another version, or restore the database from a backup"
        )
    return bytes(row.bundle)


def move_alias(session: Session, tenant_id: int, move: Move) -> Alias:
    """Point an alias at a version and record the move; do nothing if it points there already.

    Raise NotFound for the model or the version, Conflict if the model would get more than ``MAX_ALIASES``.
    """
    model = lock_model(session, tenant_id, move.model)
    assert move.number is not None
    version = _numbered(session, model, move.number)
    aliases = {alias.name: alias for alias in list_aliases(session, tenant_id, move.model)}
    alias = aliases.get(move.alias)
    if alias is not None and alias.version_id == version.id:
        return alias
    if alias is None and len(aliases) >= MAX_ALIASES:
        raise Conflict(f"model {excerpt(model.name)} has {MAX_ALIASES} aliases, which is the limit; move one of them")
    moved_at = now(session)
    record_move(session, model, move, None if alias is None else alias.version.number, moved_at)
    alias = alias or Alias(tenant_id=tenant_id, model_id=model.id, name=move.alias)
    alias.version, alias.moved_at = version, moved_at
    session.add(alias)
    session.flush()
    return alias


def get_model(session: Session, tenant_id: int, name: str) -> Model:
    """Return the model ``name``. Raise NotFound."""
    found = session.scalars(select(Model).where(Model.tenant_id == tenant_id, Model.name == name)).one_or_none()
    if found is None:
        raise NotFound(f"no model {excerpt(name)}; GET /v1/models lists them")
    return found


def model_by_id(session: Session, tenant_id: int, model_id: int) -> Model:
    """Return the model of this id. Raise NotFound."""
    found = session.scalars(select(Model).where(Model.tenant_id == tenant_id, Model.id == model_id)).one_or_none()
    if found is None:
        raise NotFound(f"no model with the id {model_id}; GET /v1/models lists them")
    return found


def list_models(session: Session, tenant_id: int, after_id: int, size: int, archived: bool = False) -> list[Model]:
    """Return up to ``size`` models with an id above ``after_id``, oldest first: those in use, or the archived ones."""
    query = select(Model).where(Model.tenant_id == tenant_id, Model.id > after_id)
    query = query.where(Model.archived_at.is_not(None) if archived else Model.archived_at.is_(None))
    return list(session.scalars(query.order_by(Model.id).limit(size)))


def list_versions(
    session: Session, tenant_id: int, model: str, after_id: int | None, size: int, archived: bool = False
) -> list[Version]:
    """Return up to ``size`` versions with an id below ``after_id`` (None: all), newest first; in use, or archived.

    Raise NotFound for the model.
    """
    query = select(Version).where(Version.model_id == get_model(session, tenant_id, model).id)
    query = query.where(Version.archived_at.is_not(None) if archived else Version.archived_at.is_(None))
    if after_id is not None:
        query = query.where(Version.id < after_id)
    return list(session.scalars(query.order_by(Version.id.desc()).limit(size)))


def list_aliases(session: Session, tenant_id: int, model: str) -> Sequence[Alias]:
    """Return all aliases by name, at most ``MAX_ALIASES``, each with its ``.version``. Raise NotFound for the model."""
    model_id = get_model(session, tenant_id, model).id
    return session.scalars(select(Alias).where(Alias.model_id == model_id).order_by(Alias.name)).all()


def aliases_of(session: Session, models: Sequence[Model]) -> dict[int, list[Alias]]:
    """Return the aliases of a page of models by the model's id, each list in the order of names, in one query."""
    found: dict[int, list[Alias]] = {model.id: [] for model in models}
    query = select(Alias).where(Alias.model_id.in_(found)).order_by(Alias.name)
    for alias in session.scalars(query) if found else ():
        found[alias.model_id].append(alias)
    return found


def champion(session: Session, tenant_id: int, model: str | None) -> Version | None:
    """Return the version that ``champion`` points at; None if there is no such model or it has no champion."""
    query = select(Alias).join(Model, Model.id == Alias.model_id)
    of_model = query.where(Alias.tenant_id == tenant_id, Model.name == model, Alias.name == CHAMPION)
    found = session.scalars(of_model).one_or_none()
    return None if found is None else found.version


def _check_origin(session: Session, tenant_id: int, new: NewVersion) -> None:
    if new.revision_id is not None:
        datasets.revision_by_id(session, tenant_id, new.revision_id)
    if new.job_id is None:
        return
    owner = session.scalars(select(Job.tenant_id).where(Job.id == new.job_id)).one_or_none()
    if owner != tenant_id:
        raise NotFound(f"no job {excerpt(new.job_id)}; GET /v1/jobs lists them")
    number = session.scalars(select(Version.number).where(Version.job_id == new.job_id)).one_or_none()
    if number is not None:
        raise Conflict(f"job {new.job_id} has registered version {number} already; a job registers one version only")


def get_or_create_model(session: Session, tenant_id: int, name: str) -> Model:
    """Return the model, created if absent, locked as by ``lock_model``. Raise QuotaExceeded."""
    if insert_if_absent(session, Model, tenant_id=tenant_id, name=name, created_at=now(session)) is not None:
        check_quota(session, tenant_id, "max_models")
    return lock_model(session, tenant_id, name)


def lock_model(session: Session, tenant_id: int, name: str) -> Model:
    """Return the model, locked until the transaction ends. Raise NotFound.

    The lock serialises the numbering of versions, moves of aliases and decisions.
    """
    model = get_model(session, tenant_id, name)
    session.execute(select(Model.id).where(Model.id == model.id).with_for_update())
    return model


def record_move(session: Session, model: Model, move: Move, from_version: int | None, moved_at: datetime) -> None:
    """Store a move, announce it to webhooks, and record it in the audit log."""
    facts: JsonObject = {
        "alias": move.alias,
        "from_version": from_version,
        "to_version": move.number,
        "reason": move.reason,
        "moved_by": move.moved_by,
    }
    session.add(AliasMove(tenant_id=model.tenant_id, model_id=model.id, moved_at=moved_at, **facts))
    webhooks.announce(session, model.tenant_id, "alias.moved", {"model": model.name, **facts})
    action: audit_log.Action = "alias.deleted" if move.number is None else "alias.moved"
    detail = {name: facts[name] for name in ("from_version", "to_version", "reason")}
    audit_log.record(session, model.tenant_id, move.moved_by, action, f"{model.name}@{move.alias}", detail)


def _numbered(session: Session, model: Model, number: int) -> Version:
    found = any_version(session, model, number)
    if found.archived_at is not None:
        message = f"version {number} of model {excerpt(model.name)}"
        if found.deleted_at is not None:
            raise NotFound(f"{message} was deleted on {found.deleted_at:%Y-%m-%d} by {found.deleted_by}")
        hint = f"POST /v1/models/{model.name}/versions/{number}/restore takes it back into use"
        raise NotFound(f"{message} was archived on {found.archived_at:%Y-%m-%d} by {found.archived_by}; {hint}")
    return found


def any_version(session: Session, model: Model, number: int) -> Version:
    """Return a version by its number, also an archived or deleted one. Raise NotFound."""
    query = select(Version).where(Version.model_id == model.id)
    found = session.scalars(query.where(Version.number == number)).one_or_none()
    if found is None:
        last = session.scalars(select(func.max(Version.number)).where(Version.model_id == model.id)).one()
        raise NotFound(f"model {excerpt(model.name)} has no version {number}; its versions are 1 to {last}")
    return found
