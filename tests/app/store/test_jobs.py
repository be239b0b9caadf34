from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import jobs, registry
from app.store.db import Database, now
from app.store.jobs import Fenced, JobFilter
from app.store.tables import Job, Revision
from tests.app.store.conftest import new_job, new_version

LEASE_S = 60.0
RUN_OUT_S = -1.0  # a lease that is over as soon as it is given

WRITES: dict[str, Callable[[Session, str, int], object]] = {
    "report": lambda session, job_id, token: jobs.report(session, job_id, token, {"epoch": 1}),
    "release": jobs.release,
    "fail": lambda session, job_id, token: jobs.fail(session, job_id, token, "oom", "killed", retry=True),
    "finish": lambda session, job_id, token: jobs.finish(session, job_id, token, None),
    "mark_cancelled": jobs.mark_cancelled,
}


def queue(database: Database, revision: Revision, max_attempts: int = 3) -> Job:
    with database.write() as session:
        return jobs.enqueue(session, new_job(revision, max_attempts=max_attempts))


def claim(database: Database, worker: str = "w1", lease_s: float = LEASE_S) -> Job:
    """The next job, also one that waits for its next attempt."""
    with database.write() as session:
        jobs.reap(session)
        session.execute(update(Job).values(run_at=None))
        job = jobs.claim(session, worker, lease_s)
    assert job is not None
    return job


def look(database: Database, job: Job) -> Job:
    with database.read() as session:
        return jobs.get(session, job.tenant_id, job.id)


def test_a_job_goes_from_the_queue_to_its_version(database: Database, acme: int, sales: Revision) -> None:
    queued = queue(database, sales)
    assert (queued.state, queued.attempt, queued.token, queued.progress) == ("queued", 0, 0, {})
    job = claim(database)
    assert (job.id, job.state, job.attempt, job.token, job.worker) == (queued.id, "running", 1, 1, "w1")
    assert job.started_at is not None
    assert job.lease_until == job.started_at + timedelta(seconds=60)
    with database.write() as session:
        assert jobs.heartbeat(session, job.id, 1, 2 * LEASE_S)
        assert jobs.report(session, job.id, 1, {"epoch": 3}) is False
    with database.write() as session:
        version = registry.add_version(session, acme, new_version(job))
        jobs.finish(session, job.id, 1, version.id)
    done = look(database, job)
    assert (done.state, done.version_id, done.progress, done.error) == ("succeeded", version.id, {"epoch": 3}, None)
    assert done.finished_at is not None
    assert done.finished_at >= job.started_at


def test_the_oldest_job_is_claimed_first_and_an_empty_queue_gives_none(database: Database, sales: Revision) -> None:
    newer, older = queue(database, sales), queue(database, sales)
    with database.write() as session:
        session.execute(update(Job).where(Job.id == older.id).values(place=newer.created_at - timedelta(seconds=1)))
    assert [claim(database).id, claim(database).id] == [older.id, newer.id]
    with database.write() as session:
        assert jobs.claim(session, "w1", LEASE_S) is None


def test_a_heartbeat_extends_the_lease(database: Database, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database, lease_s=RUN_OUT_S)
    with database.write() as session:
        assert jobs.heartbeat(session, job.id, job.token, LEASE_S)
        assert jobs.claim(session, "w2", LEASE_S) is None


@pytest.mark.parametrize("write", WRITES)
def test_who_lost_the_lease_to_another_worker_writes_no_more(database: Database, sales: Revision, write: str) -> None:
    queue(database, sales)
    frozen = claim(database, "frozen", RUN_OUT_S)
    second = claim(database, "second")
    assert (second.id, second.attempt, second.token, second.worker) == (frozen.id, 2, 2, "second")
    with pytest.raises(Fenced, match="is no longer held under token 1"), database.write() as session:
        WRITES[write](session, frozen.id, frozen.token)
    with database.write() as session:
        assert jobs.heartbeat(session, frozen.id, frozen.token, LEASE_S) is False
        jobs.finish(session, second.id, second.token, None)
    assert look(database, second).state == "succeeded"


@pytest.mark.parametrize("write", WRITES)
def test_after_the_end_nobody_writes(database: Database, sales: Revision, write: str) -> None:
    queue(database, sales)
    job = claim(database)
    with database.write() as session:
        jobs.finish(session, job.id, job.token, None)
    with pytest.raises(Fenced), database.write() as session:
        WRITES[write](session, job.id, job.token)
    with database.write() as session:
        assert jobs.heartbeat(session, job.id, job.token, LEASE_S) is False


def test_a_version_of_a_fenced_worker_is_never_seen(database: Database, acme: int, sales: Revision) -> None:
    queue(database, sales)
    frozen = claim(database, "frozen", RUN_OUT_S)
    claim(database, "second")

    def register_and_finish() -> None:
        with database.write() as session:
            version = registry.add_version(session, acme, new_version(frozen))
            jobs.finish(session, frozen.id, frozen.token, version.id)

    with pytest.raises(Fenced):
        register_and_finish()
    with database.read() as session:
        assert registry.list_models(session, acme, 0, 10) == []


def test_a_released_job_is_queued_again_and_the_attempt_does_not_count(database: Database, sales: Revision) -> None:
    queue(database, sales, max_attempts=1)
    job = claim(database)
    with database.write() as session:
        jobs.release(session, job.id, job.token)
    assert (look(database, job).state, look(database, job).attempt) == ("queued", 0)
    again = claim(database, "w2")
    assert (again.attempt, again.token) == (1, 2)


def test_a_failed_attempt_is_repeated_until_the_attempts_are_used_up(database: Database, sales: Revision) -> None:
    queue(database, sales, max_attempts=2)
    states = []
    for _ in range(2):
        job = claim(database)
        with database.write() as session:
            jobs.fail(session, job.id, job.token, "diverged", "the loss is NaN", retry=True)
        states.append(look(database, job).state)
    assert states == ["queued", "failed"]
    assert look(database, job).error == {"code": "diverged", "message": "the loss is NaN", "class": "infrastructure"}


def test_an_error_that_no_retry_can_mend_fails_at_once(database: Database, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database)
    with database.write() as session:
        jobs.fail(session, job.id, job.token, "invalid_input", "too few rows", retry=False)
    failed = look(database, job)
    assert (failed.state, failed.attempt, failed.lease_until) == ("failed", 1, None)


def test_a_queued_job_is_cancelled_at_once_and_never_runs(database: Database, acme: int, sales: Revision) -> None:
    job = queue(database, sales)
    with database.write() as session:
        assert jobs.request_cancel(session, acme, job.id, "cli").state == "cancelled"
    with database.write() as session:
        assert jobs.claim(session, "w1", LEASE_S) is None


def test_a_running_job_is_asked_and_its_worker_stops_it(database: Database, acme: int, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database)
    with database.write() as session:
        assert jobs.request_cancel(session, acme, job.id, "cli").state == "running"
    with database.write() as session:
        assert jobs.report(session, job.id, job.token, {"epoch": 2}) is True
        jobs.mark_cancelled(session, job.id, job.token)
    assert (look(database, job).state, look(database, job).progress) == ("cancelled", {"epoch": 2})


@pytest.mark.parametrize("write", ["release", "fail"])
def test_a_job_to_be_cancelled_is_not_queued_again(database: Database, acme: int, sales: Revision, write: str) -> None:
    queue(database, sales)
    job = claim(database)
    with database.write() as session:
        jobs.request_cancel(session, acme, job.id, "cli")
        WRITES[write](session, job.id, job.token)
    assert look(database, job).state == "cancelled"


def test_done_beats_cancel(database: Database, acme: int, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database)
    with database.write() as session:
        jobs.request_cancel(session, acme, job.id, "cli")
    with database.write() as session:
        jobs.finish(session, job.id, job.token, None)
    assert look(database, job).state == "succeeded"


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_a_job_that_has_ended_cannot_be_cancelled(database: Database, acme: int, sales: Revision, end: str) -> None:
    job = queue(database, sales)
    with database.write() as session:
        session.execute(update(Job).values(state=end))
    with pytest.raises(Conflict, match=rf"is over \({end}\); there is nothing left"), database.write() as session:
        jobs.request_cancel(session, acme, job.id, "cli")


def test_a_lost_job_without_attempts_left_or_to_be_cancelled_is_not_claimed(
    database: Database, acme: int, sales: Revision
) -> None:
    queue(database, sales, max_attempts=1)
    claim(database, "lost", RUN_OUT_S)
    cancelled = queue(database, sales)
    claim(database, "lost", RUN_OUT_S)
    with database.write() as session:
        jobs.request_cancel(session, acme, cancelled.id, "cli")
    with database.write() as session:
        assert jobs.claim(session, "w2", LEASE_S) is None


def test_reaping_ends_what_nobody_may_claim_again(database: Database, acme: int, sales: Revision) -> None:
    alive = queue(database, sales, max_attempts=1)
    claim(database, "alive")
    last, cancelled, second_try = (queue(database, sales, max_attempts=number) for number in (1, 2, 2))
    for _ in range(3):
        claim(database, "lost")
    with database.write() as session:
        jobs.request_cancel(session, acme, cancelled.id, "cli")
        long_ago = now(session) - timedelta(hours=1)
        session.execute(update(Job).where(Job.worker == "lost").values(lease_until=long_ago))
    with database.write() as session:
        assert jobs.reap(session) == 3
        assert jobs.reap(session) == 0
    states = [look(database, job).state for job in (alive, last, cancelled, second_try)]
    assert states == ["running", "failed", "cancelled", "queued"]
    assert look(database, last).error == {
        "code": "worker_lost",
        "message": "the worker lost was lost at attempt 1 of 1; see its log",
        "class": "infrastructure",
    }
    assert claim(database, "w2").id == second_try.id


def test_jobs_are_listed_newest_first_by_pages_and_by_state(database: Database, acme: int, sales: Revision) -> None:
    made = [queue(database, sales) for _ in range(5)]
    with database.write() as session:
        start = now(session)
        for second, job in enumerate(made):
            # The last two at the same moment: the id decides.
            values = {"created_at": start + timedelta(seconds=min(second, 3))}
            session.execute(update(Job).where(Job.id == job.id).values(values))
    with database.read() as session:
        pages, after = [], None
        while page := jobs.list_page(session, acme, after, 2):
            pages.append([job.id for job in page])
            after = page[-1].id
    newest = sorted((made[3].id, made[4].id), reverse=True)
    assert pages == [newest, [made[2].id, made[1].id], [made[0].id]]
    job = claim(database)
    with database.read() as session:
        assert [found.id for found in jobs.list_page(session, acme, None, 9, JobFilter(state="running"))] == [job.id]
        assert jobs.count_by_state(session) == {"queued": 4, "running": 1, "succeeded": 0, "failed": 0, "cancelled": 0}


def test_an_unknown_job_is_not_found(database: Database, acme: int) -> None:
    with database.read() as session, pytest.raises(NotFound, match="no job 'x'; GET /v1/jobs lists them"):
        jobs.get(session, acme, "x")


def test_a_transaction_that_is_rolled_back_leaves_no_job(database: Database, acme: int, sales: Revision) -> None:
    def fail() -> None:
        with database.write() as session:
            jobs.enqueue(session, new_job(sales))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as session:
        assert jobs.list_page(session, acme, None, 9) == []
