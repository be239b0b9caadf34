"""A database of ours with one trained model and any number of others."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from app.cli.commands.environment import TENANT, local_principal
from app.settings import KEY_FILE, Settings
from app.store import jobs, keys, registry
from app.store.db import Database
from app.store.tables import Version
from benchmarks.server import command
from benchmarks.serving.contestants import House
from benchmarks.serving.served import CARRIED, SPEC, USUAL, forecaster
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster
from models.training.recipes import CARRY
from models.training.report import VersionReport

SAMPLE, TRAINED = "electricity-hourly", "electricity"


def build(folder: Path) -> House:
    """Create a database with one model trained by the default settings, and the models of ``served``."""
    command(folder, "migrate")
    command(folder, "train", f"sample:{SAMPLE}", "--model", TRAINED, "--training", "max_epochs=1")
    with _database(folder).write() as session:
        key = keys.create_key(session, TENANT, "benchmark", "write")
    (folder / KEY_FILE).write_text(key)
    register(folder, ["gru"], forecaster(SPEC))
    register(folder, ["carried"], forecaster(CARRIED))
    register(folder, ["usual"], forecaster(USUAL))
    return House(folder, key)


def register(folder: Path, names: Iterable[str], made: Forecaster) -> None:
    """Register a version for each of ``names``, a copy of the trained model but for the bundle, as ``champion``."""
    database, data = _database(folder), bundle.to_bytes(made)
    tenant_id = local_principal(database).tenant_id
    with database.write() as session:
        like = registry.resolve(session, tenant_id, TRAINED, None, None)
        report = VersionReport.from_json(like.scores)
        for name in names:
            new = registry.NewVersion(
                model=name,
                bundle=data,
                spec=made.spec,
                report=replace(report, horizon=made.spec.horizon, carry=CARRY if made.spec.carries else 1),
                skill=like.skill,
                revision_id=like.revision_id,
                data_sha256=like.data_sha256,
                job_id=_job(session, tenant_id, like, name),
                created_by="benchmark",
            )
            number = registry.add_version(session, tenant_id, new).number
            move = registry.Move(model=name, alias=registry.CHAMPION, number=number, reason="", moved_by="benchmark")
            registry.move_alias(session, tenant_id, move)


def _job(session: Session, tenant_id: int, like: Version, name: str) -> str:
    """Enqueue and cancel a job, as each version has one."""
    new = jobs.NewJob(
        tenant_id=tenant_id,
        kind="train",
        model=name,
        revision_id=like.revision_id,
        request={},
        max_attempts=1,
        created_by="benchmark",
    )
    job_id = jobs.enqueue(session, new).id
    jobs.request_cancel(session, tenant_id, job_id, "benchmark")
    return job_id


def _database(folder: Path) -> Database:
    return Database(Settings(data_dir=folder).url)
