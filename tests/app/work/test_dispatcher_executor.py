"""The dispatcher on an executor in memory: several concurrent jobs, and each way in which they end."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.settings import Settings
from app.store import jobs
from app.store.db import Database, now
from app.store.tables import Job, Revision
from app.work.dispatcher import Dispatcher
from app.work.executors import Finished, Running, Status, Unknown
from app.work.processes import current_identity
from tests.app.work.small_jobs import cancel, eventually, keep, look, queue, weeks

LEASE_S = 600.0


class Memory:
    """An executor without processes: a test sets the status of each attempt."""

    def __init__(self, slots: int = 1, *, outlives: bool = False) -> None:
        self.slots, self.outlives = slots, outlives
        self.states: dict[str, Status] = {}
        self.stopped: dict[str, float] = {}
        self.refusal: OSError | None = None
        self.secrets: dict[str, str] = {}
        self.is_closed = False

    def start(self, job: Job, secret: str) -> str:
        if self.refusal is not None:
            raise self.refusal
        handle = f"{job.id}-{job.token}"
        self.states[handle], self.secrets[handle] = Running(), secret
        return handle

    def poll(self, handle: str) -> Status:
        return self.states[handle]

    def stop(self, handle: str, grace_s: float) -> None:
        self.stopped[handle] = grace_s
        self.states[handle] = Finished(-15)

    def adopt(self, job: Job) -> str | None:
        handle = f"{job.id}-{job.token}"
        return handle if self.states.get(handle) == Running() else None

    def free(self) -> int:
        return self.slots - sum(not isinstance(state, Finished) for state in self.states.values())

    def close(self) -> None:
        self.is_closed = True


Hire = Callable[..., tuple[Dispatcher, Memory]]


@pytest.fixture(name="hire")
def hire_fixture(sqlite: Database) -> Hire:
    """Make dispatchers; on SQLite only, for tests/app/store runs their queries on each kind of database."""

    def hire(executor: Memory | None = None, lease_s: float = LEASE_S, **settings: Any) -> tuple[Dispatcher, Memory]:
        executor = executor or Memory()
        own = Settings(lease_s=lease_s, poll_s=0.001, **settings)
        return Dispatcher(sqlite, own, executor, grace_s=0.2), executor

    return hire


@pytest.fixture(name="sales")
def sales_fixture(sqlite: Database) -> Revision:
    return keep(sqlite, weeks(30))


def step(dispatcher: Dispatcher, times: int = 1) -> None:
    for _ in range(times):
        time.sleep(0.002)  # longer than between two looks
        dispatcher.step()


def outcomes(database: Database, job: Job) -> list[str | None]:
    with database.read() as session:
        return [attempt.outcome for attempt in jobs.list_attempts(session, job.tenant_id, job.id, 0, 99)]


def test_a_dispatcher_runs_as_many_jobs_as_its_executor_has_slots(
    hire: Hire, sqlite: Database, sales: Revision
) -> None:
    queued = [queue(sqlite, sales) for _ in range(3)]
    dispatcher, executor = hire(Memory(slots=2))
    step(dispatcher)
    assert [look(sqlite, job).state for job in queued] == ["running", "running", "queued"]
    first = look(sqlite, queued[0])
    with sqlite.write() as session:
        jobs.finish(session, first.id, first.token, None)
    executor.states[f"{first.id}-1"] = Finished(0)
    step(dispatcher)
    assert [look(sqlite, job).state for job in queued] == ["succeeded", "running", "running"]
    assert len(set(executor.secrets.values())) == 3  # each attempt has a secret of its own
    assert look(sqlite, queued[1]).runner_sha256 != look(sqlite, queued[2]).runner_sha256


@pytest.mark.parametrize(
    ("code", "reason", "state"),
    [
        (3, "crashed", "queued"),
        (-9, "crashed", "queued"),
        (0, "crashed", "queued"),  # it says that it is done, and nothing is
        (75, "temporary", "queued"),
        (137, "out_of_memory", "queued"),
    ],
)
def test_an_attempt_that_ends_without_recording_it_is_tried_again(
    hire: Hire, sqlite: Database, sales: Revision, code: int, reason: str, state: str
) -> None:
    job = queue(sqlite, sales)
    dispatcher, executor = hire()
    step(dispatcher)
    executor.states[f"{job.id}-1"] = Finished(code)
    step(dispatcher)
    ended = look(sqlite, job)
    assert (ended.state, ended.error and ended.error["code"]) == (state, reason)
    assert ended.run_at is not None


def test_a_job_that_cannot_be_started_waits_and_blocks_no_other(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales, max_attempts=2)
    dispatcher, executor = hire()
    executor.refusal = OSError("no more processes")
    step(dispatcher)
    waits = look(sqlite, job)
    assert (waits.state, waits.error) == (
        "queued",
        {"code": "not_started", "message": "no more processes", "class": "infrastructure"},
    )
    executor.refusal = None
    second = queue(sqlite, sales)
    step(dispatcher)
    assert look(sqlite, second).state == "running"


def test_a_deadline_stops_a_running_attempt(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    dispatcher, executor = hire()
    step(dispatcher)
    with sqlite.write() as session:
        session.get_one(Job, job.id).deadline_at = now(session)
    step(dispatcher, 3)
    assert executor.stopped == {f"{job.id}-1": 0.1}
    late = look(sqlite, job)
    assert (late.state, late.error and late.error["code"]) == ("failed", "timeout")


def test_an_attempt_that_runs_longer_than_a_job_may_is_stopped(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    dispatcher, executor = hire(max_job_s=3_600.0)
    step(dispatcher, 2)
    assert executor.stopped == {}
    with sqlite.write() as session:
        session.get_one(Job, job.id).started_at = now(session) - timedelta(seconds=3_601)
    step(dispatcher, 3)
    assert executor.stopped == {f"{job.id}-1": 0.1}
    error = look(sqlite, job).error
    assert error is not None
    assert (error["code"], "FORECASTLE_MAX_JOB_S" in error["message"]) == ("timeout", True)


def test_a_cancelled_job_has_half_of_the_grace_to_stop_by_itself(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    dispatcher, executor = hire()
    step(dispatcher)
    cancel(sqlite, job)
    step(dispatcher)
    assert executor.stopped == {}
    time.sleep(0.11)
    step(dispatcher, 2)
    assert executor.stopped == {f"{job.id}-1": 0.1}
    assert look(sqlite, job).state == "cancelled"


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_child_that_ignores_the_end_of_its_job_is_stopped(
    hire: Hire, sqlite: Database, sales: Revision, cancelled: bool
) -> None:
    job = queue(sqlite, sales, max_attempts=1)
    dispatcher, executor = hire()
    step(dispatcher)
    if cancelled:
        cancel(sqlite, job)
    with sqlite.write() as session:  # as another worker does once the lease has run out
        jobs.take_back(session, job.id, 1)
    over = look(sqlite, job)
    assert (over.state, over.token) == ("cancelled" if cancelled else "failed", 1)
    step(dispatcher)
    assert executor.stopped == {}  # one that has recorded its end itself is over in a moment
    time.sleep(0.21)
    step(dispatcher, 2)
    assert executor.stopped == {f"{job.id}-1": 0.1}
    assert not dispatcher.busy
    assert look(sqlite, job).state == over.state


def test_a_job_that_could_not_be_started_and_was_taken_over_is_left_alone(
    hire: Hire, sqlite: Database, sales: Revision
) -> None:
    job = queue(sqlite, sales)

    class Slow(Memory):
        def start(self, job: Job, secret: str) -> str:
            with sqlite.write() as session:
                jobs.take_back(session, job.id, job.token)
            raise OSError("no more processes, and it took a lease to find out")

    dispatcher, _ = hire(Slow())
    step(dispatcher)
    assert (look(sqlite, job).state, look(sqlite, job).error) == ("queued", None)


def test_a_dead_neighbours_job_is_taken_back_at_once(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    dead = {**current_identity("neighbour"), "pid": 2**22 + 1}  # more than Linux gives out
    with sqlite.write() as session:
        assert jobs.claim(session, "neighbour", LEASE_S, holder=dead) is not None
    dispatcher, _ = hire()
    step(dispatcher, 2)
    back = look(sqlite, job)
    assert (back.state, back.token, outcomes(sqlite, job)) == ("running", 2, ["lost", None])


def test_a_living_neighbours_job_is_left_alone(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    for alive in (
        current_identity("neighbour"),
        {**current_identity("far"), "machine": "another", "pid": 2**22 + 1},
        None,
    ):
        with sqlite.write() as session:
            held = jobs.claim(session, "neighbour", LEASE_S, holder=alive)
            assert held is not None
        dispatcher, executor = hire()
        step(dispatcher, 2)
        assert executor.states == {}
        with sqlite.write() as session:
            jobs.release(session, job.id, held.token)


def test_a_claim_whose_answer_was_lost_is_taken_back(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    dispatcher, executor = hire()
    with sqlite.write() as session:  # as its own claim, of which it never heard
        assert jobs.claim(session, "me", LEASE_S, holder=dispatcher._holder) is not None
    step(dispatcher, 2)
    assert list(executor.states) == [f"{job.id}-2"]


def test_an_attempt_that_outlives_its_dispatcher_is_adopted_by_the_next(
    hire: Hire, sqlite: Database, sales: Revision
) -> None:
    job = queue(sqlite, sales)
    cluster = Memory(outlives=True)
    first, _ = hire(cluster)
    step(first)
    first.close()
    assert cluster.is_closed
    assert look(sqlite, job).state == "running"
    assert cluster.stopped == {}
    time.sleep(0.01)
    second, _ = hire(cluster)
    step(second)
    adopted = look(sqlite, job)
    assert (adopted.state, adopted.attempt, adopted.token) == ("running", 1, 1)
    assert second.busy
    with sqlite.write() as session:
        assert jobs.heartbeat(session, job.id, 1, LEASE_S)


def test_an_attempt_that_the_cluster_has_forgotten_is_started_again(
    hire: Hire, sqlite: Database, sales: Revision
) -> None:
    job = queue(sqlite, sales)
    cluster = Memory(slots=2, outlives=True)
    first, _ = hire(cluster)
    step(first)
    first.close()
    cluster.states[f"{job.id}-1"] = Unknown()  # the cluster has forgotten it
    time.sleep(0.01)
    second, _ = hire(cluster)
    step(second)
    assert (look(sqlite, job).state, look(sqlite, job).token) == ("running", 2)


def test_the_lease_decides_about_an_attempt_of_unknown_status(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    cluster = Memory(slots=2, outlives=True)
    dispatcher, _ = hire(cluster, lease_s=0.5)
    step(dispatcher)
    cluster.states[f"{job.id}-1"] = Unknown()
    step(dispatcher)
    assert dispatcher.busy  # it may only be that the head does not answer for a moment
    eventually(lambda: dispatcher.step() or look(sqlite, job).token == 2)
    assert outcomes(sqlite, job)[0] in ("lost", "fenced")


def test_a_worker_claims_only_jobs_of_its_resources(hire: Hire, sqlite: Database, sales: Revision) -> None:
    job = queue(sqlite, sales)
    with sqlite.write() as session:
        session.get_one(Job, job.id).resource = "gpu"
    without, _ = hire(worker_resources="cpu")
    step(without)
    assert look(sqlite, job).state == "queued"
    with_it, _ = hire(worker_resources="gpu")
    step(with_it)
    assert look(sqlite, job).state == "running"
