"""The dispatcher with real child processes that sleep, crash, or do not end."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from app.problems import Conflict
from app.settings import Settings
from app.store import jobs
from app.store.db import Database, now
from app.store.tables import Job, Revision
from app.work.dispatcher import Dispatcher
from app.work.executors.local import LocalExecutor
from tests.app.work.small_jobs import cancel, claim, eventually, keep, look, queue, versions, weeks
from tests.postgres import postgres_server

SLEEP = "exec sleep 600"
KILLED = "kill -9 $$"
BROKEN = "exit 3"
STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"


class Children(LocalExecutor):
    """Starts each child with the next script, the last one for all further ones, and keeps the processes."""

    def __init__(self, settings: Settings, *scripts: str) -> None:
        super().__init__(settings)
        self.scripts, self.started = list(scripts), list[subprocess.Popen[bytes]]()

    def start(self, job: Job, secret: str) -> str:
        script = self.scripts[min(len(self.started), len(self.scripts) - 1)]
        self._command = ("sh", "-c", script, "sh")
        handle = super().start(job, secret)
        self.started.append(self._children[-1].process)
        return handle

    def over(self) -> bool:
        """Whether every child has ended."""
        return all(child.poll() is not None for child in self.started)


Hire = Callable[..., tuple[Dispatcher, Children]]


@pytest.fixture(name="hire")
def hire_fixture(database: Database) -> Iterator[Hire]:
    """Make a dispatcher whose children run the given scripts."""
    everybody: list[Children] = []

    def hire(
        *scripts: str, lease_s: float = 600.0, grace_s: float = 10.0, slots: int = 1
    ) -> tuple[Dispatcher, Children]:
        settings = Settings(lease_s=lease_s, poll_s=0.02, worker_slots=slots)
        everybody.append(Children(settings, *scripts))
        return Dispatcher(database, settings, everybody[-1], grace_s), everybody[-1]

    yield hire
    for children in everybody:
        for child in children.started:
            child.kill()
        children.close()


@contextmanager
def at_work(dispatcher: Dispatcher) -> Iterator[threading.Event]:
    """Run the dispatcher in a thread until the event is set, at the latest at the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=dispatcher.run, args=(stop,))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_an_idle_dispatcher_reads_and_waits(hire: Hire) -> None:
    dispatcher, children = hire(SLEEP)
    dispatcher.step()
    assert not dispatcher.busy
    assert children.started == []


def test_a_dispatcher_runs_one_job_at_a_time_oldest_first(hire: Hire, database: Database, sales: Revision) -> None:
    first, second = queue(database, sales), queue(database, sales)
    dispatcher, children = hire(SLEEP)
    dispatcher.step()
    dispatcher.step()
    assert dispatcher.busy
    assert [look(database, first).state, look(database, second).state] == ["running", "queued"]
    assert len(children.started) == 1


def test_a_killed_child_is_followed_by_another(hire: Hire, database: Database, sales: Revision) -> None:
    job = queue(database, sales)
    dispatcher, children = hire(KILLED, SLEEP)
    dispatcher.step()
    eventually(children.over)
    dispatcher.step()
    assert look(database, job).state == "queued"
    eventually(lambda: dispatcher.step() or len(children.started) == 2)  # after a second or two
    again = look(database, job)
    assert (again.state, again.attempt, again.token) == ("running", 2, 2)
    assert again.error is not None
    assert again.error["code"] == "crashed"
    assert "by signal 9" in again.error["message"]
    assert len(children.started) == 2


def test_a_job_that_crashes_at_every_attempt_fails(hire: Hire, database: Database, sales: Revision) -> None:
    job = queue(database, sales, max_attempts=2)
    dispatcher, children = hire(BROKEN)
    with at_work(dispatcher):
        failed = eventually(lambda: (found := look(database, job)).finished_at and found)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert failed.error is not None
    assert failed.error["code"] == "crashed"
    assert "exit status 3; see the worker's log" in failed.error["message"]
    assert len(children.started) == 2


def test_a_job_whose_workers_all_vanish_fails_too(hire: Hire, database: Database, sales: Revision) -> None:
    job = queue(database, sales, max_attempts=1)
    claim(database, "w1", lease_s=-1.0)
    dispatcher, children = hire(SLEEP)
    dispatcher.step()
    lost = look(database, job)
    assert (lost.state, lost.error and lost.error["code"]) == ("failed", "worker_lost")
    assert children.started == []


def test_a_running_job_keeps_its_lease(hire: Hire, database: Database, sales: Revision) -> None:
    job = queue(database, sales)
    dispatcher, children = hire(SLEEP, lease_s=3.0)
    with at_work(dispatcher):
        first = eventually(lambda: look(database, job).lease_until)
        eventually(lambda: look(database, job).lease_until > first)
        assert not children.over()


def test_a_worker_that_lost_its_lease_kills_its_child_and_writes_nothing(
    hire: Hire, database: Database, sales: Revision
) -> None:
    job = queue(database, sales)
    dispatcher, children = hire(SLEEP, lease_s=0.2)
    dispatcher.step()
    time.sleep(0.3)  # as if frozen
    theirs = claim(database, "w2")
    eventually(lambda: dispatcher.step() or children.over())
    dispatcher.step()
    assert not dispatcher.busy
    taken = look(database, job)
    assert (taken.state, taken.worker, taken.attempt, taken.token) == ("running", "w2", 2, theirs.token)
    assert taken.error is None


def test_a_clock_that_is_set_forward_takes_no_job_from_a_living_worker(
    hire: Hire, database: Database, sales: Revision, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue(database, sales)
    holder, _ = hire(SLEEP, lease_s=6.0)
    other, idle = hire(SLEEP, lease_s=6.0)
    with at_work(holder):
        first = eventually(lambda: look(database, job).lease_until)
        expired = eventually(lambda: (renewed := look(database, job).lease_until) > first and renewed)
        other.step()
        hour = timedelta(hours=1)
        monkeypatch.setattr("app.store.jobs.claims.now", lambda session: now(session) + hour)
        eventually(lambda: other.step() or look(database, job).lease_until != expired)
        assert look(database, job).lease_until > expired + hour / 2
    back = look(database, job)
    assert (back.state, back.token, back.attempt) == ("queued", 1, 0)  # put back by its own worker, and not before
    assert idle.started == []


def test_a_stopped_worker_puts_its_job_back_into_the_queue(hire: Hire, database: Database, sales: Revision) -> None:
    job = queue(database, sales)
    dispatcher, children = hire(SLEEP)
    with at_work(dispatcher) as stop:
        eventually(lambda: children.started)
        stop.set()
    back = look(database, job)
    assert (back.state, back.attempt, back.worker, back.error) == ("queued", 0, None, None)
    assert children.over()


def test_a_child_that_does_not_end_is_killed_before_its_job_is_put_back(
    hire: Hire, database: Database, sales: Revision
) -> None:
    job = queue(database, sales)
    dispatcher, children = hire(STUBBORN, grace_s=0.3)
    with at_work(dispatcher) as stop:
        eventually(lambda: children.started)
        time.sleep(0.2)  # until it has set its trap
        stop.set()
    assert [child.returncode for child in children.started] == [-9]
    assert look(database, job).state == "queued"


def test_a_job_that_ended_while_its_worker_stopped_stays_ended(hire: Hire, database: Database, sales: Revision) -> None:
    queue(database, sales)
    dispatcher, children = hire(SLEEP)
    with at_work(dispatcher) as stop:
        eventually(lambda: children.started)
        with database.write() as session:
            job = jobs.list_page(session, sales.tenant_id, None, 1)[0]
            jobs.finish(session, job.id, job.token, None)
        stop.set()
    assert look(database, job).state == "succeeded"


def test_a_cancelled_job_whose_child_continues_is_cancelled_after_the_grace(
    hire: Hire, database: Database, sales: Revision
) -> None:
    job = queue(database, sales)
    dispatcher, children = hire(STUBBORN, grace_s=0.3)
    with at_work(dispatcher):
        eventually(lambda: children.started)
        assert cancel(database, job).state == "running"
        done = eventually(lambda: (found := look(database, job)).finished_at and found)
    assert (done.state, done.attempt, done.version_id) == ("cancelled", 1, None)
    assert [child.returncode for child in children.started] == [-9]
    assert versions(database, job) == []
    with pytest.raises(Conflict, match=r"is over \(cancelled\); there is nothing left to cancel"):
        cancel(database, job)


def test_a_cancelled_job_whose_child_crashes_is_not_tried_again(
    hire: Hire, database: Database, sales: Revision
) -> None:
    job = queue(database, sales)
    dispatcher, children = hire(SLEEP)
    dispatcher.step()
    cancel(database, job)
    children.started[0].kill()
    eventually(children.over)
    dispatcher.step()
    assert look(database, job).state == "cancelled"
    assert len(children.started) == 1


def test_a_queued_job_is_cancelled_without_a_worker(hire: Hire, database: Database, sales: Revision) -> None:
    job = queue(database, sales)
    assert cancel(database, job).state == "cancelled"
    dispatcher, children = hire(SLEEP)
    dispatcher.step()
    assert children.started == []


def test_an_outage_of_the_database_leaves_the_job_running() -> None:
    server = postgres_server()
    database = Database(server.new_database())
    job = queue(database, keep(database, weeks()))
    settings = Settings(lease_s=1.0, poll_s=0.02)
    children = Children(settings, SLEEP)
    dispatcher = Dispatcher(database, settings, children)
    try:
        with at_work(dispatcher):
            eventually(lambda: children.started)
            server.stop()
            time.sleep(1.5)  # longer than the lease
            server.start()
            before = look(database, job).lease_until
            eventually(lambda: look(database, job).lease_until != before)
            assert not children.over()
            assert (look(database, job).attempt, len(children.started)) == (1, 1)
    finally:
        children.close()
        database.dispose()


def test_after_an_outage_other_workers_have_one_lease_to_renew_theirs() -> None:
    server = postgres_server()
    database = Database(server.new_database())
    job = queue(database, keep(database, weeks()))
    lease_s = 2.0
    settings = Settings(lease_s=lease_s, poll_s=0.02)
    children = Children(settings, SLEEP)
    claim(database, "w1", lease_s)
    try:
        with at_work(Dispatcher(database, settings, children)):
            server.stop()
            time.sleep(lease_s + 0.5)
            server.start()
            with database.write() as session:
                assert jobs.heartbeat(session, job.id, 1, 600.0)  # w1, alive and a little late
            time.sleep(lease_s)
            assert look(database, job).worker == "w1"
        assert children.started == []
    finally:
        database.dispose()
