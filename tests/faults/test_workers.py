"""Real workers that are killed, frozen, stopped, or left without a database: the job ends with one version."""

import signal
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil

from app.store import alias_history, registry
from app.store.db import Database
from app.store.tables import Job
from models.network.spec import Training
from tests.app.work.small_jobs import (
    environment,
    eventually,
    gone,
    keep,
    look,
    put_away,
    queue,
    trainer_of,
    versions,
    weeks,
    worker_of,
)
from tests.postgres import postgres_server

# Seconds of training after the first report, so that there is something to interrupt.
LONGER = Training(max_epochs=2, steps_per_epoch=500, batch_size=16)
MAX_ATTEMPTS = 20  # a busy machine may lose a lease of two seconds more than once
TRAINER_GONE_S = 2.0


def in_the_middle(database: Database, job: Job) -> Job:
    """Return the job once it is being fitted."""
    return eventually(lambda: (found := look(database, job)).progress.get("phase") == "fit" and found)


def ended(database: Database, job: Job) -> Job:
    return eventually(lambda: (found := look(database, job)).finished_at and found)


def assert_one_version(database: Database, job: Job) -> None:
    """Assert that the job has succeeded with exactly one version, which is champion."""
    done = ended(database, job)
    assert (done.state, done.error) == ("succeeded", None)
    [version] = versions(database, job)
    assert (version.number, version.id, version.job_id) == (1, done.version_id, job.id)
    with database.read() as session:
        champion = registry.champion(session, job.tenant_id, job.model)
        assert champion is not None
        assert champion.id == version.id
        assert len(alias_history.alias_moves(session, job.tenant_id, job.model, "champion", None, 10)) == 1


def test_a_killed_worker_ends_its_trainer_and_another_runs_the_job(sqlite: Database, postgres: Database) -> None:
    # Side by side on both kinds of database: each of the four trainers takes seconds to start.
    queued = {
        database: queue(database, keep(database, weeks()), training=LONGER, max_attempts=MAX_ATTEMPTS)
        for database in (sqlite, postgres)
    }
    with ExitStack() as stack:
        for database, first in [(database, stack.enter_context(worker_of(database))) for database in queued]:
            trainer = trainer_of(first)
            in_the_middle(database, queued[database])
            first.kill()
            killed_s = time.monotonic()
            eventually(partial(gone, trainer))
            assert time.monotonic() - killed_s < TRAINER_GONE_S
            assert look(database, queued[database]).state == "running"
        for database in queued:
            stack.enter_context(worker_of(database))
        for database, job in queued.items():
            assert ended(database, job).attempt >= 2
            assert_one_version(database, job)


def test_a_frozen_worker_wakes_after_another_did_its_job(postgres: Database) -> None:
    job = queue(postgres, keep(postgres, weeks()), training=LONGER, max_attempts=MAX_ATTEMPTS)
    with ExitStack() as stack:
        frozen = stack.enter_context(worker_of(postgres))
        trainer = trainer_of(frozen)
        in_the_middle(postgres, job)
        for process in (trainer, frozen):
            process.send_signal(signal.SIGSTOP)
        stack.enter_context(worker_of(postgres))
        done = ended(postgres, job)
        assert done.token >= 2
        for process in (trainer, frozen):
            process.send_signal(signal.SIGCONT)
        eventually(lambda: gone(trainer))
        assert_one_version(postgres, job)
        assert look(postgres, job).token == done.token
        frozen.terminate()
        assert frozen.wait(60) == 0


def test_a_killed_trainer_is_followed_by_another_of_the_same_worker(sqlite: Database) -> None:
    job = queue(sqlite, keep(sqlite, weeks()), training=LONGER, max_attempts=MAX_ATTEMPTS)
    with worker_of(sqlite) as worker:
        trainer = trainer_of(worker)
        trainer.kill()
        eventually(lambda: look(sqlite, job).attempt >= 2)
        assert worker.poll() is None
        again = trainer_of(worker)
        assert again.pid != trainer.pid
        worker.terminate()
        assert worker.wait(60) == 0
        assert gone(again)
    back = look(sqlite, job)
    assert (back.state, back.attempt, back.worker) == ("queued", 1, None)
    assert versions(sqlite, job) == []


def test_a_job_survives_the_crash_of_its_database() -> None:
    server = postgres_server()
    database = Database(server.new_database())
    job = queue(database, keep(database, weeks()), training=LONGER, max_attempts=MAX_ATTEMPTS)
    try:
        with worker_of(database) as worker:
            in_the_middle(database, job)
            server.stop(signal.SIGQUIT)
            try:
                time.sleep(3)  # longer than the lease
                assert worker.poll() is None
            finally:
                server.start()
            assert_one_version(database, job)
            assert worker.poll() is None
            assert eventually(lambda: len(worker.children()) <= 1)  # one is kept warm for the next job
    finally:
        database.dispose()


def serve(database: Database) -> psutil.Popen:
    """Start ``forecastle serve``, with the processes that it starts itself."""
    env = environment(database_url=str(database.url), data_dir=Path(database.url.database or "").parent, poll_s=0.1)
    return psutil.Popen([sys.executable, "-m", "app", "serve", "--port", "0"], env=env)


def test_the_serve_command_continues_its_job_after_a_kill(sqlite: Database) -> None:
    job = queue(sqlite, keep(sqlite, weeks()), training=LONGER, max_attempts=MAX_ATTEMPTS)
    first = serve(sqlite)
    family: list[psutil.Process] = []
    try:
        eventually(lambda: look(sqlite, job).state == "running")
        family = first.children(recursive=True)
        assert len(family) >= 2  # a worker, its trainer
    finally:
        put_away(first)
    for process in family:
        assert eventually(partial(gone, process), 60.0)
    again = serve(sqlite)
    try:
        assert_one_version(sqlite, job)
        assert look(sqlite, job).attempt >= 2
        again.terminate()
        assert again.wait(60) == 0
    finally:
        put_away(again)
