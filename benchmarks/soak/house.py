"""Models of the soak test: handmade, of every family with a serving path of its own, three valid versions each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.settings import Settings
from app.store import datasets, jobs, keys, panels, registry
from app.store.db import Database
from app.store.migrate import migrate
from benchmarks.serving.contestants import House
from benchmarks.serving.served import random_weights
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.evaluation.intervals import LEVELS, Calibration
from models.evaluation.report import Score
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, Member, RunnableMember, make_runnable
from models.network.spec import Spec
from models.training.report import VersionReport

TENANT, BY, DATASET = "default", "soak", "sales"
GOOD = (1, 2, 3)  # the numbers of the versions that work,
NO_NUMBERS, DAMAGED = 4, 5  # and of those of BROKEN that give none, and that cannot be loaded
BROKEN = "direct"
CARRIED, PRICED = "carried", "priced"
CARRY = 2  # windows

# Name -> the fields of each member.
FAMILIES: Mapping[str, tuple[dict[str, Any], ...]] = {
    BROKEN: ({},),
    "iterative": ({"strategy": "iterative", "cell": "peephole"},),
    "seq2seq": ({"strategy": "seq2seq", "cell": "lstm", "encoder": "bidirectional", "depth": 2},),
    "attention": ({"strategy": "decoder", "attention": True},),
    "quantiles": ({"strategy": "parallel", "loss": "quantile", "cell": "rnn"},),
    PRICED: ({"future_covariates": ("price",)},),
    CARRIED: ({"strategy": "iterative", "state": "carried", "cell": "lstm"},),
    "several": ({}, {"cell": "lstm", "scaling": "standard"}),
    "naive": ({"strategy": "seasonal_naive"},),
}


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """Valid version with the parts that the library needs to forecast with it."""

    networks: tuple[RunnableMember, ...]
    calibration: Calibration


Models = Mapping[str, Mapping[int, Served]]  # name -> number -> version


def made(name: str, number: int) -> Forecaster:
    """Return version ``number`` of the model: random weights, and a radius of level / 100 spreads at every step."""
    members = []
    for i, fields in enumerate(FAMILIES[name]):
        spec = Spec(**{"freq": "h", "season": 4, "context": 12, "horizon": 4, "units": 8, **fields})
        members.append(Member(spec, random_weights(spec, seed=10 * number + i)))
    radii = np.tile(LEVELS / 100, (members[0].spec.horizon, 1)).astype(np.float32)
    return Forecaster(tuple(members), Calibration(radii, 999))


def without_numbers(name: str) -> Forecaster:
    """Return a version with weights so large that its forecasts are not finite."""
    like = made(name, NO_NUMBERS)
    spec = replace(like.spec, cell="rnn")
    weights = random_weights(spec)
    weights["encoder_0/bias"][:] = 50  # each unit says 1,
    weights["head/kernel"][:] = 3e38  # and the sum of what they mean is beyond all numbers
    return Forecaster((Member(spec, weights),), like.calibration)


def build(folder: Path, sales: Panel) -> tuple[House, Models]:
    """Create a database with the data set and all models; the champion of each is its first version."""
    folder.mkdir(parents=True)
    url = Settings(data_dir=folder).url
    migrate(url)
    database = Database(url)
    with database.write() as session:
        key = keys.create_key(session, TENANT, BY, "operator")  # who may see the sums of all tenants
        tenant_id = keys.tenant_id(session, TENANT)
        datasets.create(session, tenant_id, DATASET, str(sales.freq), panels.new_revision(sales), BY)
    for name in FAMILIES:
        for number in GOOD:
            _register(database, tenant_id, name, made(name, number))
    _register(database, tenant_id, BROKEN, without_numbers(BROKEN))
    _register(database, tenant_id, BROKEN, made(BROKEN, DAMAGED), data=b"no bundle at all")
    database.dispose()
    return House(folder, key), {name: {number: _served(name, number) for number in GOOD} for name in FAMILIES}


def _served(name: str, number: int) -> Served:
    forecaster = made(name, number)
    return Served(make_runnable(forecaster.members, OnnxEngine), forecaster.calibration)


def _register(database: Database, tenant_id: int, name: str, forecaster: Forecaster, data: bytes | None = None) -> None:
    with database.write() as session:
        revision = datasets.revision(session, tenant_id, DATASET)
        new = registry.NewVersion(
            model=name,
            bundle=bundle.to_bytes(forecaster) if data is None else data,
            spec=forecaster.spec,
            report=_report(forecaster.spec),
            skill=0.25,
            revision_id=revision.id,
            data_sha256=revision.sha256,
            job_id=_job(session, tenant_id, name, revision.id, forecaster.spec),
            created_by=BY,
        )
        number = registry.add_version(session, tenant_id, new).number
        if number == 1:
            move = registry.Move(model=name, alias=registry.CHAMPION, number=number, reason="", moved_by=BY)
            registry.move_alias(session, tenant_id, move)


def _job(session: Session, tenant_id: int, model: str, revision_id: int, spec: Spec) -> str:
    """Create a job that no worker runs: each version needs one."""
    new = jobs.NewJob(
        tenant_id=tenant_id,
        kind="train",
        model=model,
        revision_id=revision_id,
        request={"spec": spec.to_json(), "training": {}},
        max_attempts=1,
        created_by=BY,
    )
    job_id = jobs.enqueue(session, new).id
    jobs.request_cancel(session, tenant_id, job_id, "benchmark")
    return job_id


def _report(spec: Spec) -> VersionReport:
    """Return the report of a backtest that never ran: answers quote it."""
    model: Score = {"mase": 0.75, "smape": 10.0, "rmse": 2.0, "mse": 4.0}
    naive: Score = {**model, "mase": 1.0}
    return VersionReport(
        horizon=spec.horizon,
        season=spec.season,
        origins=2,
        windows=4,
        series_left_out=0,
        scores={"model": model, "seasonal_naive": naive, "naive": naive},
        skill=0.25,
        coverage={"80": 0.75, "95": None},
        carry=CARRY,
        warm_started_from=None,
    )
