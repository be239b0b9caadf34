"""Checks that a database is whole: its own checks, stored bytes against their SHA-256, aliases and jobs."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, undefer

from app.problems import CorruptBundle
from app.store import artifacts, datasets, panels, registry
from app.store.db import Database, DatabaseDamaged
from app.store.schema import find_mismatch
from app.store.tables import Alias, Artifact, Dataset, Job, JobAttempt, JobCheckpoint, Model, Tenant, Version
from models.errors import ForecastError
from models.forecasting import bundle

MAX_FOUND = 100  # problems that the database itself lists


class Damage(NamedTuple):
    """Something that is not whole: the subject, and the problem in words."""

    subject: str
    problem: str


def find_damage(database: Database) -> Iterator[Damage]:
    """Yield everything in ``database`` that is not whole; it reads all stored bytes, one version or data set at a time.

    Raises:
        DatabaseUnreachable
    """
    if mismatch := find_mismatch(database):
        yield Damage("schema", mismatch.message)
        return
    for check in CHECKS:
        try:
            with database.read() as session:
                yield from check(session)
        except DatabaseDamaged as error:
            yield Damage("database", f"{error.reason}; restore a backup")
            return


def _own_checks(session: Session) -> Iterator[Damage]:
    """Yield the findings of SQLite; PostgreSQL checks foreign keys at each write, and pages at each read."""
    if session.get_bind().dialect.name != "sqlite":
        return
    for found in session.scalars(text(f"PRAGMA integrity_check({MAX_FOUND})")):
        if found != "ok":
            yield Damage("database", f"{found}; restore a backup")
    for table, row_id, parent, _ in session.execute(text("PRAGMA foreign_key_check")).fetchmany(MAX_FOUND):
        yield Damage(f"row {row_id} of {table}", f"it names a row of {parent} that does not exist")


def _versions(session: Session) -> Iterator[Damage]:
    query = select(Version.id, Version.tenant_id, Version.number, Model.name, Tenant.name)
    joined = query.join(Model, Model.id == Version.model_id).join(Tenant, Tenant.id == Version.tenant_id)
    for version_id, tenant_id, number, model, tenant in session.execute(joined.where(Version.deleted_at.is_(None))):
        try:
            bundle.from_bytes(registry.bundle(session, tenant_id, version_id))
        except (CorruptBundle, ForecastError) as error:
            yield Damage(f"version {number} of {model} of tenant {tenant}", str(error))


def _aliases(session: Session) -> Iterator[Damage]:
    query = select(Alias.name, Model.name, Version.number).join(Model, Model.id == Alias.model_id)
    wrong = (Version.deleted_at.is_not(None)) | (Version.model_id != Alias.model_id)
    for alias, model, number in session.execute(query.join(Version, Version.id == Alias.version_id).where(wrong)):
        yield Damage(f"alias {alias} of {model}", f"its version {number} is deleted or of another model; move it")


def _datasets(session: Session) -> Iterator[Damage]:
    for dataset in session.scalars(select(Dataset)).all():
        newest = datasets.revision(session, dataset.tenant_id, dataset.name)
        try:
            is_whole = panels.load(session, dataset.tenant_id, newest).fingerprint() == newest.sha256
        except ForecastError:
            is_whole = False
        if not is_whole:
            problem = f"its rows up to revision {newest.number} do not have their SHA-256; restore a backup"
            yield Damage(f"data set {dataset.name}", problem)


def _checkpoints(session: Session) -> Iterator[Damage]:
    query = select(JobCheckpoint).options(undefer(JobCheckpoint.data))
    for checkpoint in session.scalars(query, execution_options={"yield_per": 1}):
        if sha256(checkpoint.data).hexdigest() != checkpoint.sha256:
            yield Damage(f"checkpoint of job {checkpoint.job_id}", "it does not have its SHA-256; queue the job again")
        session.expunge(checkpoint)


def _artifacts(session: Session) -> Iterator[Damage]:
    complete = select(Artifact).where(Artifact.sha256.is_not(None))
    for artifact in session.scalars(complete):
        digest = sha256()
        for number in count(1):
            part = artifacts.read_part(session, artifact.id, number)
            if part is None:
                break
            digest.update(part)
        if digest.hexdigest() != artifact.sha256:
            yield Damage(f"file {artifact.name} of job {artifact.job_id}", "it does not have its SHA-256; run it again")


def _jobs(session: Session) -> Iterator[Damage]:
    unleased = select(Job.id).where(Job.state == "running", Job.children_total == 0, Job.lease_until.is_(None))
    for job_id in session.scalars(unleased):
        yield Damage(f"job {job_id}", "it runs without a lease, so that nobody takes it over; cancel it")
    open_attempts = select(JobAttempt.job_id, func.count()).join(Job, Job.id == JobAttempt.job_id)
    several = open_attempts.where(JobAttempt.ended_at.is_(None)).group_by(JobAttempt.job_id).having(func.count() > 1)
    for job_id, number in session.execute(several):
        yield Damage(f"job {job_id}", f"{number} of its attempts have not ended")


CHECKS: tuple[Callable[[Session], Iterator[Damage]], ...] = (
    _own_checks,
    _versions,
    _aliases,
    _datasets,
    _checkpoints,
    _artifacts,
    _jobs,
)
