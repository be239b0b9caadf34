"""Jobs on a cluster whose parts are killed, cut off and restarted: each ends with one version (F19).

The workers, the service and what runs the jobs are real processes; the head is one that answers as Ray's does, so that
it can be made to fail within a second. ``test_ray_cluster`` does the same to Ray itself.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from app.store import jobs
from app.store.db import Database
from app.store.tables import Job, JobAttempt
from tests.app.work.api_server import Api, api_of
from tests.app.work.counting_ray_entry import COMMAND, STEPS
from tests.app.work.fake_ray_head import FakeHead, fake_head
from tests.app.work.small_jobs import (
    cancel,
    environment,
    eventually,
    keep,
    look,
    put_away,
    queue,
    versions,
    weeks,
)

LEASE_S = 3.0


@pytest.fixture(name="database")
def database_fixture(sqlite: Database) -> Database:
    """PostgreSQL only: the processes that these tests kill do not depend on the kind of database."""
    return sqlite


@pytest.fixture(name="api")
def api_fixture(database: Database) -> Iterator[Api]:
    with api_of(database) as api:
        yield api


@pytest.fixture(name="head")
def head_fixture() -> Iterator[FakeHead]:
    with fake_head(COMMAND) as head:
        yield head


@pytest.fixture(name="job")
def job_fixture(database: Database) -> Job:
    return queue(database, keep(database, weeks()), max_attempts=5)


@contextmanager
def worker_of(database: Database, head: FakeHead, api: Api) -> Iterator[psutil.Popen]:
    """Start a real ``forecastle worker`` that runs its jobs on the cluster."""
    url = database.url.render_as_string(hide_password=False)
    own = environment(database_url=url, lease_s=LEASE_S, poll_s=0.1, executor="ray", api_url=api.url, worker_slots=2)
    own |= {"RAY_ADDRESS": head.url, "RAY_AUTH_TOKEN": head.token}
    process = psutil.Popen([sys.executable, "-m", "app", "worker"], env=own)
    try:
        yield process
    finally:
        put_away(process)


def counting(database: Database, job: Job, least: int = 5) -> Job:
    """Return the job once it has counted so far."""
    return eventually(lambda: (found := look(database, job)).progress.get("done", 0) >= least and found)


def ended(database: Database, job: Job) -> Job:
    return eventually(lambda: (found := look(database, job)).finished_at and found)


def attempts(database: Database, job: Job) -> list[JobAttempt]:
    with database.read() as session:
        return jobs.list_attempts(session, job.tenant_id, job.id, 0, 100)


def assert_one_version(database: Database, job: Job) -> Job:
    done = ended(database, job)
    assert (done.state, done.error) == ("succeeded", None)
    [version] = versions(database, job)
    assert (version.id, version.job_id) == (done.version_id, job.id)
    return done


def names(head: FakeHead) -> list[str]:
    return [order["submission_id"] for order in head.submitted]


def test_a_job_whose_process_is_killed_continues_from_its_checkpoint(
    database: Database, head: FakeHead, api: Api, job: Job
) -> None:
    with worker_of(database, head, api):
        counting(database, job)
        head.runs[f"{job.id}-1"].kill()
        done = assert_one_version(database, job)
    assert names(head) == [f"{job.id}-1", f"{job.id}-2"]
    assert 5 <= done.result["begun"] < STEPS
    # The executor cannot know the sender of the signal; mostly it is the kernel, out of memory.
    assert [attempt.outcome for attempt in attempts(database, job)] == ["oom", "succeeded"]


def test_the_successor_of_a_killed_worker_adopts_its_attempts(
    database: Database, head: FakeHead, api: Api, job: Job
) -> None:
    with worker_of(database, head, api) as first:
        counting(database, job)
        first.kill()
    with worker_of(database, head, api):
        done = assert_one_version(database, job)
    assert (done.attempt, done.result["begun"]) == (1, 0)
    assert names(head) == [f"{job.id}-1"]


def test_a_stopped_worker_leaves_its_jobs_to_the_next(database: Database, head: FakeHead, api: Api, job: Job) -> None:
    with worker_of(database, head, api) as first:
        counting(database, job)
        first.terminate()
        assert first.wait(60) == 0
    assert head.runs[f"{job.id}-1"].poll() is None
    with worker_of(database, head, api):
        assert assert_one_version(database, job).attempt == 1


@pytest.mark.long
def test_a_frozen_worker_does_no_harm_when_it_wakes(database: Database, head: FakeHead, api: Api, job: Job) -> None:
    with worker_of(database, head, api) as frozen:
        counting(database, job)
        frozen.send_signal(signal.SIGSTOP)
        with worker_of(database, head, api):
            assert_one_version(database, job)
            frozen.send_signal(signal.SIGCONT)
            frozen.terminate()
            assert frozen.wait(60) == 0
    assert names(head) == [f"{job.id}-1"]
    assert len(versions(database, job)) == 1


def test_jobs_wait_for_a_head_that_died_with_its_attempts(
    database: Database, head: FakeHead, api: Api, job: Job
) -> None:
    with worker_of(database, head, api):
        counting(database, job)
        head.die()
        # Its status is unknown: when its lease has expired, the job is back in the queue, and stays there.
        eventually(lambda: look(database, job).state == "queued")
        head.start()
        done = assert_one_version(database, job)
    assert names(head) == [f"{job.id}-1", f"{job.id}-2"]
    assert done.result["begun"] >= 5


def test_an_attempt_that_ran_on_behind_an_unreachable_head_is_fenced(
    database: Database, head: FakeHead, api: Api, job: Job
) -> None:
    with worker_of(database, head, api):
        counting(database, job, 1)
        first = head.runs[f"{job.id}-1"]
        first.send_signal(signal.SIGSTOP)  # so that it is not done before its lease has run out
        head.stop()
        eventually(lambda: look(database, job).state == "queued")
        head.start()
        eventually(lambda: look(database, job).token == 2)
        first.send_signal(signal.SIGCONT)
        assert_one_version(database, job)
    assert first.wait(60) == 66
    assert look(database, job).token == 2


def test_a_job_is_cancelled_where_it_runs(database: Database, head: FakeHead, api: Api, job: Job) -> None:
    with worker_of(database, head, api):
        counting(database, job)
        cancel(database, job)
        assert ended(database, job).state == "cancelled"
        assert head.runs[f"{job.id}-1"].wait(60) == 65
    assert versions(database, job) == []


@pytest.mark.long
def test_a_job_survives_an_outage_of_the_service(database: Database, head: FakeHead, api: Api, job: Job) -> None:
    with worker_of(database, head, api):
        counting(database, job)
        api.stop()
        eventually(lambda: head.runs[f"{job.id}-1"].poll() is None)
        api.start()
        assert assert_one_version(database, job).attempt == 1


def test_without_its_address_a_worker_names_the_missing_variable(database: Database) -> None:
    own = environment(database_url=database.url.render_as_string(hide_password=False), executor="ray")
    own = {name: value for name, value in own.items() if not name.startswith("RAY_")}
    process = psutil.Popen([sys.executable, "-m", "app", "worker"], env=own, stderr=-1)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1
    assert "RAY_ADDRESS" in said
    assert "FORECASTLE_API_URL" in said
    assert "Traceback" not in said
