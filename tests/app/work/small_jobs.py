"""Jobs small enough for a test: a data set of 90 days, specs of four cells, versions with random weights."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from subprocess import Popen
from typing import Any, TypeVar

import numpy as np
import psutil

from app.planning.training_payload import TrainPayload
from app.store import datasets, jobs, keys, panels, registry, tasks
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.registry import Move, NewVersion
from app.store.tables import Job, Revision, Version
from app.work.job_context import DatabaseJobContext, JobContext, JobFunction
from app.work.runner import ExitStatus, run_attempt
from models.data.panel import Panel
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, Member
from models.network.spec import Spec, Training
from models.training.member_plan import MemberPlan
from tests.fakes import report, weights
from tests.models.samples import flat_calibration, panel_of

T = TypeVar("T")

SPEC = Spec(freq="D", season=7, context=12, horizon=4, units=4)
TRAINING = Training(max_epochs=2, steps_per_epoch=5, batch_size=16)
DEADLINE_S = 240  # for events that take seconds on an idle machine


def weeks(points: int = 90, series: int = 3, freq: str = "D") -> Panel:
    """Return series with a weekly season and noise."""
    rng = np.random.default_rng(0)
    week = 10 + 5 * np.sin(np.arange(points) * 2 * np.pi / 7)
    return panel_of(*(week + rng.normal(size=points) for _ in range(series)), freq=freq)


def keep(database: Database, panel: Panel, name: str = "sales") -> Revision:
    """Store ``panel`` as a data set of the tenant ``default``."""
    with database.write() as session:
        tenant = keys.tenant_id(session, "default")
        return datasets.create(session, tenant, name, str(panel.freq), panels.new_revision(panel), "cli")


def queue(
    database: Database,
    revision: Revision,
    *,
    spec: Spec = SPEC,
    training: Training = TRAINING,
    max_attempts: int = 3,
    **order: Any,
) -> Job:
    """Enqueue a training job of the model ``demand``, as the API does; ``order``: more of its fields."""
    wanted = TrainPayload(**{"members": (MemberPlan(spec, training),), "refit": False, **order})
    new = NewJob(
        tenant_id=revision.tenant_id,
        kind="train",
        model="demand",
        revision_id=revision.id,
        request=wanted.to_json(),
        max_attempts=max_attempts,
        created_by="a1b2c3d4",
    )
    with database.write() as session:
        return jobs.enqueue(session, new)


def claim(database: Database, worker: str = "w1", lease_s: float = 600.0) -> Job:
    with database.write() as session:
        jobs.reap(session)
        job = jobs.claim(session, worker, lease_s)
    assert job is not None
    return job


def context_of(database: Database, job: Job) -> DatabaseJobContext:
    """Return the context of a claimed job."""
    with database.read() as session:
        return DatabaseJobContext(database, tasks.task(session, job.tenant_id, job.id, job.token))


def work_on(database: Database, job: Job, work: JobFunction) -> ExitStatus:
    """Run ``work`` as the function of a claimed job, in this process."""
    return run_function(context_of(database, job), work)


def run_function(context: JobContext, function: JobFunction) -> ExitStatus:
    """Run one attempt with ``function`` for the kind of its job."""
    return run_attempt(context.job.id, lambda: context, {context.job.kind: function})


def look(database: Database, job: Job) -> Job:
    """Return the job as it is now."""
    with database.read() as session:
        return jobs.get(session, job.tenant_id, job.id)


def cancel(database: Database, job: Job) -> Job:
    with database.write() as session:
        return jobs.request_cancel(session, job.tenant_id, job.id, "cli")


def versions(database: Database, job: Job) -> list[Version]:
    """Return the versions of ``demand``, newest first."""
    with database.read() as session:
        if not any(model.name == job.model for model in registry.list_models(session, job.tenant_id, 0, 100)):
            return []
        return registry.list_versions(session, job.tenant_id, job.model, None, 100)


def untrained(spec: Spec = SPEC, seed: int = 1) -> Forecaster:
    """Return a forecaster with random weights."""
    return Forecaster((Member(spec, weights(spec, seed)),), flat_calibration(spec.horizon))


def crown(database: Database, revision: Revision, forecaster: Forecaster | None = None, **changes: Any) -> Version:
    """Register an untrained champion of ``demand``."""
    queue(database, revision)
    job = claim(database)
    made = forecaster or untrained()
    fields: dict[str, Any] = {
        "model": job.model,
        "bundle": bundle.to_bytes(made),
        "spec": made.spec,
        "report": report(0.25, made.spec.horizon, refit=False, promotion="by hand"),
        "skill": 0.25,
        "revision_id": revision.id,
        "data_sha256": revision.sha256,
        "job_id": job.id,
        "created_by": "cli",
    }
    with database.write() as session:
        version = registry.add_version(session, job.tenant_id, NewVersion(**(fields | changes)))
        move = Move(model=job.model, alias="champion", number=version.number, reason="by hand", moved_by="cli")
        registry.move_alias(session, job.tenant_id, move)
        jobs.finish(session, job.id, job.token, version.id)
    return version


def eventually(look: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Call ``look`` until its result is true, and return that; fail after a deadline."""
    end_s = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < end_s, "it did not come to pass"
        time.sleep(0.05)
    return found


def environment(**settings: Any) -> dict[str, str]:
    """Return this process's environment with these settings and no others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FORECASTLE_")}
    return {**own, **{f"FORECASTLE_{name.upper()}": str(value) for name, value in settings.items()}}


@contextmanager
def worker_of(database: Database, lease_s: float = 2.0) -> Iterator[psutil.Popen]:
    """Start a real ``forecastle worker`` process; kill it at the end of the block if it still runs."""
    env = environment(database_url=database.url.render_as_string(hide_password=False), lease_s=lease_s, poll_s=0.1)
    process = psutil.Popen([sys.executable, "-m", "app", "worker"], env=env)
    try:
        yield process
    finally:
        put_away(process)


def put_away(process: Popen[Any] | psutil.Popen) -> None:
    """Kill a process that a test has started, stopped ones included."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def trainer_of(process: psutil.Popen) -> psutil.Process:
    """Return the training child of a worker, once there is one."""
    return eventually(lambda: children_of(process, "app.work.local_child"))[0]


def children_of(process: psutil.Process, word: str) -> list[psutil.Process]:
    """Return the living children with ``word`` in their command line."""
    found = []
    for child in process.children():
        # One that has just ended has no command line any more.
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if word in child.cmdline():
                found.append(child)
    return found


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
