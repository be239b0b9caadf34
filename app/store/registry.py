"""The registry: versions are immutable, aliases move, and every move is recorded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from app.problems import Conflict, CorruptBundle, NotFound
from app.store import datasets, webhooks
from app.store.db import insert_if_absent, now
from app.store.tables import Alias, AliasMove, Job, Model, Origin, Version
from models.errors import excerpt
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
    """An alias of a model is to point at the version ``number``; ``reason`` is kept for people to read."""

    model: str
    alias: str
    number: int
    reason: str
    moved_by: str


def add_version(session: Session, tenant_id: int, new: NewVersion) -> Version:
    """Register a version under the model's next number; the model is created if absent.

    Raise NotFound where the job or the revision is not this tenant's, Conflict where the job has a version already.
    """
    _check_origin(session, tenant_id, new)
    model = opened(session, tenant_id, new.model)
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
    session.flush()
    return version


def resolve(session: Session, tenant_id: int, model: str, version: int | None, alias: str | None) -> Version:
    """The version with this number, or else the one that ``alias`` (champion if None) points at.

    Raise NotFound, saying what there is.
    """
    row = get_model(session, tenant_id, model)
    if version is not None:
        return _numbered(session, row, version)
    wanted = CHAMPION if alias is None else alias
    query = select(Alias).where(Alias.model_id == row.id, Alias.name == wanted)
    found = session.scalars(query).one_or_none()
    if found is None:
        names = ", ".join(a.name for a in list_aliases(session, tenant_id, model)) or "none"
        raise NotFound(f"model {excerpt(model)} has no alias {excerpt(wanted)}; aliases: {names}")
    return found.version


def pointing(session: Session, names: Sequence[tuple[int, str, str]]) -> dict[tuple[int, str, str], int]:
    """The id of the version that each alias (tenant id, model, alias) points at; those that are gone are left out."""
    of_alias = (Model.tenant_id, Model.name, Alias.name)
    query = select(*of_alias, Alias.version_id).join(Model, Model.id == Alias.model_id)
    rows = session.execute(query.where(tuple_(*of_alias).in_(names)))
    return {(tenant_id, model, alias): version_id for tenant_id, model, alias, version_id in rows}


def version(session: Session, tenant_id: int, version_id: int) -> Version:
    """The version that a job points at. Raise NotFound."""
    found = session.scalars(
        select(Version).where(Version.tenant_id == tenant_id, Version.id == version_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"no version with the id {version_id}; GET /v1/models lists the models")
    return found


def version_numbers(session: Session, tenant_id: int, ids: Iterable[int | None]) -> dict[int, int]:
    """Return the numbers of the versions that a page of jobs points at, by id, in one query."""
    wanted = {one for one in ids if one is not None}
    query = select(Version.id, Version.number).where(Version.tenant_id == tenant_id, Version.id.in_(wanted))
    return dict(session.execute(query).all()) if wanted else {}


def bundle(session: Session, tenant_id: int, version_id: int) -> bytes:
    """The version's bundle, checked. Raise CorruptBundle where its bytes are not those registered, NotFound."""
    row = version(session, tenant_id, version_id)
    stored = session.scalars(select(Version.bundle).where(Version.id == row.id)).one()
    found = sha256(stored).hexdigest()
    if found != row.sha256:
        raise CorruptBundle(
            f"version {row.number} (id {row.id}) has the SHA-256 {found[:12]}…, but {row.sha256[:12]}… was registered; "
            "move its aliases to another version, or restore the database from a backup"
        )
    return stored


def move_alias(session: Session, tenant_id: int, move: Move) -> Alias:
    """Point an alias at a version and record the move; nothing happens where it points there already.

    Raise NotFound for the model or the version, Conflict where the model would get more than ``MAX_ALIASES``.
    """
    model = lock(session, tenant_id, move.model)
    version = _numbered(session, model, move.number)
    aliases = {alias.name: alias for alias in list_aliases(session, tenant_id, move.model)}
    alias = aliases.get(move.alias)
    if alias is not None and alias.version_id == version.id:
        return alias
    if alias is None and len(aliases) >= MAX_ALIASES:
        raise Conflict(f"model {excerpt(model.name)} has {MAX_ALIASES} aliases, which is the limit; move one of them")
    moved_at = now(session)
    _record(session, model, move, None if alias is None else alias.version.number, moved_at)
    alias = alias or Alias(tenant_id=tenant_id, model_id=model.id, name=move.alias)
    alias.version, alias.moved_at = version, moved_at
    session.add(alias)
    session.flush()
    return alias


def before_last_move(session: Session, tenant_id: int, model: str, alias: str) -> int:
    """The number of the version that the alias pointed at before its last move.

    Raise NotFound for the model or the alias, Conflict where it has pointed at nothing else.
    """
    moves = alias_moves(session, tenant_id, model, alias, None, 1)
    if not moves:
        raise NotFound(f"model {excerpt(model)} has no alias {excerpt(alias)}; it has never pointed at anything")
    if moves[0].from_version is None:
        message = f"alias {excerpt(alias)} has pointed at version {moves[0].to_version} only"
        raise Conflict(f"{message}; there is nothing to roll back to")
    return moves[0].from_version


def get_model(session: Session, tenant_id: int, name: str) -> Model:
    """The model ``name``. Raise NotFound."""
    found = session.scalars(select(Model).where(Model.tenant_id == tenant_id, Model.name == name)).one_or_none()
    if found is None:
        raise NotFound(f"no model {excerpt(name)}; GET /v1/models lists them")
    return found


def model_by_id(session: Session, tenant_id: int, model_id: int) -> Model:
    """The model that a version belongs to. Raise NotFound."""
    found = session.scalars(select(Model).where(Model.tenant_id == tenant_id, Model.id == model_id)).one_or_none()
    if found is None:
        raise NotFound(f"no model with the id {model_id}; GET /v1/models lists them")
    return found


def list_models(session: Session, tenant_id: int, after_id: int, size: int) -> list[Model]:
    """Up to ``size`` models, oldest first, that come after the id ``after_id`` (0: from the first)."""
    query = select(Model).where(Model.tenant_id == tenant_id, Model.id > after_id)
    return list(session.scalars(query.order_by(Model.id).limit(size)))


def list_versions(session: Session, tenant_id: int, model: str, after_id: int | None, size: int) -> list[Version]:
    """Up to ``size`` versions, newest first, that come after the id ``after_id`` (None: from the newest).

    Raise NotFound for the model.
    """
    query = select(Version).where(Version.model_id == get_model(session, tenant_id, model).id)
    if after_id is not None:
        query = query.where(Version.id < after_id)
    return list(session.scalars(query.order_by(Version.id.desc()).limit(size)))


def list_aliases(session: Session, tenant_id: int, model: str) -> Sequence[Alias]:
    """All aliases by name, at most ``MAX_ALIASES``, each with its ``.version``. Raise NotFound for the model."""
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
    mine = query.where(Alias.tenant_id == tenant_id, Model.name == model, Alias.name == CHAMPION)
    found = session.scalars(mine).one_or_none()
    return None if found is None else found.version


def alias_moves(
    session: Session, tenant_id: int, model: str, alias: str, after_id: int | None, size: int
) -> list[AliasMove]:
    """Up to ``size`` moves, newest first, that come after the id ``after_id`` (None: from the newest).

    Raise NotFound for the model.
    """
    model_id = get_model(session, tenant_id, model).id
    query = select(AliasMove).where(AliasMove.model_id == model_id, AliasMove.alias == alias)
    if after_id is not None:
        query = query.where(AliasMove.id < after_id)
    return list(session.scalars(query.order_by(AliasMove.id.desc()).limit(size)))


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


def opened(session: Session, tenant_id: int, name: str) -> Model:
    """The model, made if there is none of that name, and locked as by ``lock``."""
    insert_if_absent(session, Model, tenant_id=tenant_id, name=name, created_at=now(session))
    return lock(session, tenant_id, name)


def lock(session: Session, tenant_id: int, name: str) -> Model:
    """The model, locked until the transaction ends: versions are numbered, aliases moved and decisions made one by one.

    Raise NotFound.
    """
    model = get_model(session, tenant_id, name)
    session.execute(select(Model.id).where(Model.id == model.id).with_for_update())
    return model


def _record(session: Session, model: Model, move: Move, from_version: int | None, moved_at: datetime) -> None:
    said = {
        "alias": move.alias,
        "from_version": from_version,
        "to_version": move.number,
        "reason": move.reason,
        "moved_by": move.moved_by,
    }
    session.add(AliasMove(tenant_id=model.tenant_id, model_id=model.id, moved_at=moved_at, **said))
    webhooks.announce(session, model.tenant_id, "alias.moved", {"model": model.name, **said})


def _numbered(session: Session, model: Model, number: int) -> Version:
    query = select(Version).where(Version.model_id == model.id)
    found = session.scalars(query.where(Version.number == number)).one_or_none()
    if found is None:
        last = session.scalars(select(func.max(Version.number)).where(Version.model_id == model.id)).one()
        raise NotFound(f"model {excerpt(model.name)} has no version {number}; its versions are 1 to {last}")
    return found
