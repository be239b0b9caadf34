"""Many workers at once on one table."""

from collections import Counter
from functools import partial

from app.store import jobs
from app.store.db import Database
from app.store.tables import Job, Revision
from tests.app.store.conftest import at_once, new_job

LEASE_S = 60.0


def test_eight_workers_run_a_hundred_jobs_each_exactly_once(database: Database, sales: Revision) -> None:
    with database.write() as session:
        queued = [jobs.enqueue(session, new_job(sales)).id for _ in range(100)]

    def work(worker: str) -> list[str]:
        done: list[str] = []
        while True:
            with database.write() as session:
                job = jobs.claim(session, worker, LEASE_S)
            if job is None:
                return done
            with database.write() as session:
                jobs.finish(session, job.id, job.token, None)
            done.append(job.id)

    results = at_once([partial(work, f"w{number}") for number in range(8)])
    done = [job_id for result in results if isinstance(result, list) for job_id in result]
    assert [result for result in results if isinstance(result, Exception)] == []
    assert Counter(done) == Counter(queued)
    with database.read() as session:
        assert jobs.count_by_state(session)["succeeded"] == 100


def test_of_eight_workers_one_takes_over_a_lost_job(database: Database, sales: Revision) -> None:
    with database.write() as session:
        jobs.enqueue(session, new_job(sales))
        jobs.claim(session, "lost", -1.0)

    def take(worker: str) -> int | None:
        with database.write() as session:
            jobs.reap(session)
            job = jobs.claim(session, worker, LEASE_S)
            return None if job is None else job.token

    results = at_once([partial(take, f"w{number}") for number in range(8)])
    assert Counter(results) == {2: 1, None: 7}


def test_a_cancel_and_a_finish_at_once_leave_one_end(database: Database, acme: int, sales: Revision) -> None:
    for _ in range(10):
        with database.write() as session:
            jobs.enqueue(session, new_job(sales))
            job = jobs.claim(session, "w1", LEASE_S)
        assert job is not None

        def finish(job: Job = job) -> None:
            with database.write() as session:
                jobs.finish(session, job.id, job.token, None)

        def cancel(job: Job = job) -> None:
            with database.write() as session:
                jobs.request_cancel(session, acme, job.id, "cli")

        finished, _ = at_once([finish, cancel])
        assert finished is None
        with database.read() as session:
            assert jobs.get(session, acme, job.id).state == "succeeded"
