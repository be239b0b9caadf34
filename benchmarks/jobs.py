"""Benchmark ``make bench-jobs``: latency of queueing and claiming jobs, and the cost of an idle worker."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store import datasets, jobs, keys, panels
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.migrate import migrate
from app.store.tables import Job, JobAttempt, JobEvent, Revision
from benchmarks.results import ROOT, Row, publish
from benchmarks.server import Server, command, installed, serving
from models.data.panel import Panel
from tests.models.samples import panel_of
from tests.postgres import postgres_server

QUEUED = 10_000
ROUNDS = 100
IDLE_S = 20.0
SMALL = 100  # models
SLOTS = os.cpu_count() or 1
LITTLE = {"horizon": 24, "units": 8}
LESSONS = {"max_epochs": 10, "steps_per_epoch": 50}
ASKED = 1_000  # forecasts for a percentile
WARM_UP = 100  # before them


def main() -> int:
    """Measure on SQLite and PostgreSQL; nothing else should run on the machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [*table_rows("SQLite", sqlite(folder / "table.db")), *table_rows("PostgreSQL", postgresql())]
        rows += worker_rows(sqlite(folder / "worker.db"))
        rows += training_rows(folder / "served")
    return publish("jobs", rows, {"queued": QUEUED, "models": SMALL, "load": os.getloadavg()[0]})


def sqlite(file: Path) -> Database:
    url = f"sqlite:///{file}"
    migrate(url)
    return Database(url)


def postgresql() -> Database:
    return Database(postgres_server().new_database())


def table_rows(name: str, database: Database) -> list[Row]:
    """Measure the jobs table alone: queue one job, and claim one of ten thousand."""
    revision = keep(database)
    enqueue_ms = median_ms(lambda: queue(database, revision))
    with database.write() as session:
        for number in range(QUEUED):
            jobs.enqueue(session, order(revision, priority=number % 21 - 10))
    claim_ms, idle_ms = median_ms(lambda: claim(database)), median_ms(lambda: look(database))
    database.dispose()
    return [
        Row(name=f"{name}: enqueue, p50", value=enqueue_ms, unit="ms", better="lower", bar=10.0),
        Row(name=f"{name}: claim of 10,000 queued, p50", value=claim_ms, unit="ms", better="lower", bar=20.0),
        Row(name=f"{name}: look at 10,000 queued, p50", value=idle_ms, unit="ms", better="lower"),
    ]


def worker_rows(database: Database) -> list[Row]:
    """Measure an idle worker: its cost, and its delay in claiming a job."""
    revision = keep(database)
    with worker(database) as process:
        dispatcher = psutil.Process(process.pid)
        wait_for(queue(database, revision, kind="nothing"), database)  # its child is warm from here on
        before, began_s = cpu_s(dispatcher), time.monotonic()
        time.sleep(IDLE_S)
        idle = 100 * (cpu_s(dispatcher) - before) / (time.monotonic() - began_s)
        rss_mb = dispatcher.memory_info().rss / 2**20
        waits = [latency_s(database, revision) for _ in range(20)]
    database.dispose()
    return [
        Row(name="idle worker: of one processor", value=idle, unit="%", better="lower", bar=2.0),
        Row(name="dispatcher: memory", value=rss_mb, unit="MB", better="lower", bar=100.0),
        Row(
            name="queued to claimed by an idle worker, p50",
            value=statistics.median(waits),
            unit="s",
            better="lower",
            bar=1.0,
        ),
    ]


def training_rows(folder: Path) -> list[Row]:
    """Measure forecasts during a training, and a hundred small trainings on all processors."""
    folder.mkdir()
    command(folder, "migrate")
    command(
        folder,
        "train",
        "sample:electricity-hourly",
        "--model",
        "electricity",
        "--horizon",
        "24",
        "--training",
        "max_epochs=1",
    )
    with serving(folder) as server:
        alone_ms = p99_ms(server)
        job = post(server, spec={"horizon": 24}, training={"max_epochs": 50})
        wait_until(server, job, "running")
        while server.client.get(f"/v1/jobs/{job}").json()["progress"].get("phase") != "fit":
            time.sleep(0.1)
        beside_ms = p99_ms(server)
        server.client.post(f"/v1/jobs/{job}/cancel")
        wait_until(server, job, "cancelled")
    with serving(folder, worker_slots=str(SLOTS)) as server:
        wall_s, made = many_models(server)
    with Database(f"sqlite:///{folder / 'forecastle.db'}").read() as session:
        taken_s, taught_s = attempts_s(session, made), fits_s(session, made)
    return [
        Row(
            name="forecast p99 while a model is taught / without",
            value=beside_ms / alone_ms,
            unit="x",
            better="lower",
            bar=2.0,
        ),
        Row(
            name=f"{SMALL} small models: wall / (sum of fits / processors)",
            value=wall_s * SLOTS / taught_s,
            unit="x",
            better="lower",
            bar=1.3,
        ),
        Row(
            name=f"{SMALL} small models: wall / (sum of attempts / processors)",
            value=wall_s * SLOTS / taken_s,
            unit="x",
            better="lower",
        ),
        Row(name=f"{SMALL} small models: wall", value=wall_s, unit="s", better="lower"),
    ]


def many_models(server: Server) -> tuple[float, list[str]]:
    """Return the wall time of many small trainings, and their jobs."""
    began_s = time.monotonic()
    made = [post(server, name=f"small-{n}", spec=LITTLE, training=LESSONS) for n in range(SMALL)]
    for job in made:
        wait_until(server, job, "succeeded")
    return time.monotonic() - began_s, made


def attempts_s(session: Session, made: Sequence[str]) -> float:
    """Return the total seconds of all attempts from claim to end."""
    query = select(JobAttempt).where(JobAttempt.job_id.in_(made))
    return sum((row.ended_at - row.started_at).total_seconds() for row in session.scalars(query) if row.ended_at)


def fits_s(session: Session, made: Sequence[str]) -> float:
    """Return the total seconds of the fits alone: from the first to the last progress report of each."""
    query = select(JobEvent).where(JobEvent.job_id.in_(made), JobEvent.kind == "progress").order_by(JobEvent.id)
    told: dict[str, list[datetime]] = {job: [] for job in made}
    for row in session.scalars(query):
        if row.data["phase"] == "fit":
            told[row.job_id].append(row.at)
    return sum((moments[-1] - moments[0]).total_seconds() for moments in told.values())


def post(server: Server, name: str = "beside", **of: Any) -> str:
    body = {"model": name, "dataset": "electricity-hourly", "refit": False, "baselines": [], "promote": "never", **of}
    answer = server.client.post("/v1/jobs", json=body)
    answer.raise_for_status()
    job: str = answer.json()["id"]
    return job


def wait_until(server: Server, job: str, state: str) -> None:
    while (found := server.client.get(f"/v1/jobs/{job}", params={"wait": 30}).json())["state"] != state:
        if found["state"] in ("failed", "cancelled", "succeeded"):
            raise RuntimeError(f"the job came to {found['state']}: {found['error']}")


def p99_ms(server: Server) -> float:
    body = {"model": "electricity", "dataset": {"name": "electricity-hourly"}, "horizon": 24, "levels": [80]}
    taken = []
    for _ in range(WARM_UP + ASKED):
        began_s = time.perf_counter()
        server.client.post(
            "/v1/forecasts", content=json.dumps(body), headers={"content-type": "application/json"}
        ).raise_for_status()
        taken.append(1000 * (time.perf_counter() - began_s))
    return float(np.percentile(taken[WARM_UP:], 99))


def keep(database: Database) -> Revision:
    panel: Panel = panel_of(np.arange(50.0), freq="D")
    with database.write() as session:
        tenant = keys.tenant_id(session, "default")
        name = f"data-{time.monotonic_ns()}"
        return datasets.create(session, tenant, name, str(panel.freq), panels.new_revision(panel), "bench")


def order(revision: Revision, **changes: Any) -> NewJob:
    fields: dict[str, Any] = {"kind": "train", "model": "m", "request": {}, "max_attempts": 3, "created_by": "bench"}
    return NewJob(tenant_id=revision.tenant_id, revision_id=revision.id, **(fields | changes))


def queue(database: Database, revision: Revision, **changes: Any) -> Job:
    with database.write() as session:
        return jobs.enqueue(session, order(revision, **changes))


def claim(database: Database) -> None:
    with database.write() as session:
        job = jobs.claim(session, "bench", 600.0)
        assert job is not None


def look(database: Database) -> None:
    with database.read() as session:
        assert jobs.pending_work(session).to_claim


def median_ms(act: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        act()
        taken.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(taken)


@contextmanager
def worker(database: Database) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with default settings and the job functions of the fault tests."""
    env = {**installed(os.environ), "FORECASTLE_DATABASE_URL": str(database.url)}
    with subprocess.Popen([sys.executable, "-m", "tests.faults.worker_process", "10"], env=env, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_for(job: Job, database: Database) -> Job:
    while True:
        with database.read() as session:
            found = jobs.get(session, job.tenant_id, job.id)
        if found.finished_at is not None:
            return found
        time.sleep(0.05)


def latency_s(database: Database, revision: Revision) -> float:
    job = wait_for(queue(database, revision, kind="nothing"), database)
    with database.read() as session:
        return jobs.list_attempts(session, job.tenant_id, job.id, 0, 1)[0].waited_s


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
