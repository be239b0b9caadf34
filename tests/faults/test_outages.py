"""Databases that go away while a job runs: crashed, locked, or without room on the disk (F9, F10)."""

import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil
import pytest

from app.store.db import Database
from tests.faults.crew import Crew, crew_on
from tests.postgres import postgres_server

LEASE_S = 2.0


@pytest.fixture(name="local")
def local_fixture(sqlite: Database) -> Iterator[Crew]:
    with crew_on(sqlite) as crew:
        yield crew


def test_a_database_that_crashes_for_longer_than_a_lease_costs_no_attempt() -> None:
    server = postgres_server()
    with crew_on(Database(server.new_database())) as crew:
        workers = [crew.hire(lease_s=LEASE_S) for _ in range(2)]
        queued = [crew.queue("steps", {"steps": 60}) for _ in range(2)]
        for job in queued:
            crew.reached(job, 2)
        before = [crew.look(job).token for job in queued]
        server.stop(signal.SIGQUIT)  # as `pg_ctl stop -m immediate`
        try:
            time.sleep(2 * LEASE_S + 1)
        finally:
            server.start()
        assert [crew.ended(job).token for job in queued] == before
        crew.assert_one_version(*queued)
        assert [worker.poll() for worker in workers] == [None, None]


def locked(crew: Crew, seconds: float) -> None:
    """Hold the one lock that writers of an SQLite file need."""
    assert crew.database.url.database is not None
    with closing(sqlite3.connect(crew.database.url.database, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")


def outlives_a_lock(crew: Crew, seconds: float) -> None:
    worker = crew.hire(lease_s=LEASE_S)
    running = crew.queue("steps", {"steps": 20})
    crew.reached(running, 2)
    locked(crew, seconds)
    waiting = crew.queue("steps", {"steps": 1})
    for job in (running, waiting):
        assert crew.ended(job).state == "succeeded"
    crew.assert_one_version(running, waiting)
    assert worker.poll() is None


def test_a_job_waits_while_another_program_locks_the_database(local: Crew) -> None:
    outlives_a_lock(local, 2 * LEASE_S)


@pytest.mark.long
def test_a_job_waits_while_the_database_is_locked_for_longer_than_anybody_waits_for_a_lock(local: Crew) -> None:
    outlives_a_lock(local, 25.0)


def test_a_job_is_delayed_and_not_lost_while_the_servers_disk_is_full(postgres: Database) -> None:
    with crew_on(postgres) as crew:
        worker = crew.hire(lease_s=LEASE_S)
        running = crew.queue("steps", {"steps": 20})
        crew.reached(running, 2)
        waiting = crew.queue("steps", {"steps": 1})
        with no_room(postgres):
            time.sleep(2 * LEASE_S)
        done = [crew.ended(job) for job in (running, waiting)]
        assert [job.attempt for job in done] == [1, 1]
        crew.assert_one_version(running, waiting)
        assert worker.poll() is None


@contextmanager
def no_room(database: Database) -> Iterator[None]:
    """Whatever is written of jobs is refused with PostgreSQL's own error for a disk without room (SQLSTATE 53100)."""
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


def test_a_job_is_delayed_and_not_lost_while_no_byte_can_be_written(local: Crew) -> None:
    worker = local.hire(lease_s=LEASE_S)
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
    """Whatever a process writes to a file fails, as it does on a disk without room."""
    most = 0 if is_full else resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
