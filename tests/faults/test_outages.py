"""Outages of the database while a job runs: a crash, a read-only standby, a lock, a full disk (F9, F10)."""

import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil
import pytest

from app.store.db import Database
from tests.faults.worker_pool import WorkerPool, worker_pool
from tests.postgres import postgres_server, read_only

LEASE_S = 2.0


@pytest.fixture(name="local")
def local_fixture(sqlite: Database) -> Iterator[WorkerPool]:
    with worker_pool(sqlite) as pool:
        yield pool


def test_a_database_that_crashes_for_longer_than_a_lease_costs_no_attempt() -> None:
    server = postgres_server()
    with worker_pool(Database(server.new_database())) as pool:
        workers = [pool.start_worker(lease_s=LEASE_S) for _ in range(2)]
        queued = [pool.queue("steps", {"steps": 60}) for _ in range(2)]
        for job in queued:
            pool.reached(job, 2)
        before = [pool.look(job).token for job in queued]
        server.stop(signal.SIGQUIT)  # as `pg_ctl stop -m immediate`
        try:
            time.sleep(2 * LEASE_S + 1)
        finally:
            server.start()
        assert [pool.ended(job).token for job in queued] == before
        pool.assert_one_version(*queued)
        assert [worker.poll() for worker in workers] == [None, None]


def test_a_failover_to_a_read_only_standby_for_longer_than_a_lease_costs_no_attempt() -> None:
    with worker_pool(Database(postgres_server().new_database())) as pool:
        workers = [pool.start_worker(lease_s=LEASE_S) for _ in range(2)]
        queued = [pool.queue("steps", {"steps": 60}) for _ in range(2)]
        for job in queued:
            pool.reached(job, 2)
        before = [pool.look(job).token for job in queued]
        with read_only(pool.database):
            time.sleep(2 * LEASE_S + 1)
        assert [pool.ended(job).token for job in queued] == before
        pool.assert_one_version(*queued)
        assert [worker.poll() for worker in workers] == [None, None]


def locked(pool: WorkerPool, seconds: float) -> None:
    """Hold the one lock that writers of an SQLite file need."""
    assert pool.database.url.database is not None
    with closing(sqlite3.connect(pool.database.url.database, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")


def outlives_a_lock(pool: WorkerPool, seconds: float) -> None:
    worker = pool.start_worker(lease_s=LEASE_S)
    running = pool.queue("steps", {"steps": 20})
    pool.reached(running, 2)
    locked(pool, seconds)
    waiting = pool.queue("steps", {"steps": 1})
    for job in (running, waiting):
        assert pool.ended(job).state == "succeeded"
    pool.assert_one_version(running, waiting)
    assert worker.poll() is None


def test_a_job_waits_while_another_program_locks_the_database(local: WorkerPool) -> None:
    outlives_a_lock(local, 2 * LEASE_S)


@pytest.mark.long
def test_a_job_waits_while_the_database_is_locked_for_longer_than_the_lock_timeout(local: WorkerPool) -> None:
    outlives_a_lock(local, 25.0)


def test_a_job_is_delayed_and_not_lost_while_the_servers_disk_is_full(postgres: Database) -> None:
    with worker_pool(postgres) as pool:
        worker = pool.start_worker(lease_s=LEASE_S)
        running = pool.queue("steps", {"steps": 20})
        pool.reached(running, 2)
        waiting = pool.queue("steps", {"steps": 1})
        with no_room(postgres):
            time.sleep(2 * LEASE_S)
        done = [pool.ended(job) for job in (running, waiting)]
        assert [job.attempt for job in done] == [1, 1]
        pool.assert_one_version(running, waiting)
        assert worker.poll() is None


@contextmanager
def no_room(database: Database) -> Iterator[None]:
    """Refuse every write to the tables of jobs with PostgreSQL's own error for a full disk (SQLSTATE 53100)."""
    tables = ("jobs", "checkpoints", "job_events")
    function = "BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END"
    with database.write() as session:
        connection = session.connection()
        connection.exec_driver_sql(f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $${function}$$")
        for table in tables:
            when = f"BEFORE INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION full_disk()"
            connection.exec_driver_sql(f"CREATE TRIGGER full_disk {when}")
    try:
        yield
    finally:
        with database.write() as session:
            session.connection().exec_driver_sql("DROP FUNCTION full_disk CASCADE")


def test_a_job_is_delayed_and_not_lost_while_no_byte_can_be_written(local: WorkerPool) -> None:
    worker = local.start_worker(lease_s=LEASE_S)
    running = local.queue("steps", {"steps": 20})
    trainer = local.reached(running, 2)
    waiting = local.queue("steps", {"steps": 1})
    for process in (worker, trainer):
        fill_the_disk(process, is_full=True)
    time.sleep(2 * LEASE_S)
    for process in (worker, trainer):
        fill_the_disk(process, is_full=False)
    for job in (running, waiting):
        assert local.ended(job).state == "succeeded"
    local.assert_one_version(running, waiting)
    assert worker.poll() is None


def fill_the_disk(process: psutil.Process, *, is_full: bool) -> None:
    """Make every write of a process to a file fail, as on a full disk."""
    most = 0 if is_full else resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
