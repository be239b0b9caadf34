"""Attempts that die, hang, refuse or run out of time, under one worker that survives them (F1, F4, F11 to F14, F20)."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from app.store import jobs
from app.store.db import now
from app.store.tables import Job
from tests.app.work.small_jobs import cancel, eventually, gone
from tests.faults.worker_pool import GRACE_S, WorkerPool, log_of

GENEROUS_S = 15.0  # for events that take two seconds on an idle machine


def test_a_killed_trainer_is_followed_by_one_that_continues_from_its_checkpoint(shared_pool: WorkerPool) -> None:
    job = shared_pool.queue("steps", {"steps": 12})
    trainer = shared_pool.reached(job, 4)
    trainer.kill()
    done = shared_pool.ended(job)
    assert shared_pool.outcomes(job) == ["infrastructure", "succeeded"]
    assert done.result is not None
    assert 4 <= done.result["resumed_from"] < 12
    shared_pool.assert_one_version(job)
    first, second = shared_pool.attempts(job)
    assert first.ended_at is not None
    assert (second.started_at - first.ended_at).total_seconds() < GENEROUS_S  # a backoff of one to two seconds
    assert first.message is not None
    assert "by signal 9" in first.message


@pytest.mark.parametrize("when", ["uncommitted", "unanswered"])
def test_a_trainer_killed_around_its_commit_leaves_exactly_one_version(shared_pool: WorkerPool, when: str) -> None:
    job = shared_pool.queue(when)
    done = shared_pool.ended(job)
    shared_pool.assert_one_version(job)
    assert (
        shared_pool.outcomes(job) == {"uncommitted": ["infrastructure", "succeeded"], "unanswered": ["succeeded"]}[when]
    )
    assert shared_pool.artifacts(job) == ([2] if when == "uncommitted" else [])  # of the attempt that did it
    assert done.token == len(shared_pool.attempts(job))


def test_a_job_that_kills_its_process_each_time_fails_and_blocks_no_other(shared_pool: WorkerPool, log: Path) -> None:
    poisoned = shared_pool.queue("poison", {"log": str(log)}, max_attempts=2)
    others = [shared_pool.queue("steps", {"steps": 2, "step_s": 0.01}) for _ in range(3)]
    for job in others:
        assert shared_pool.ended(job).state == "succeeded"
    failed = shared_pool.ended(poisoned)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert failed.error is not None
    assert (failed.error["code"], failed.error["class"]) == ("crashed", "infrastructure")
    assert len(log_of(log)) == 2


def test_bad_data_are_tried_once(shared_pool: WorkerPool) -> None:
    failed = shared_pool.ended(shared_pool.queue("bad"))
    assert (failed.state, failed.attempt) == ("failed", 1)
    assert failed.error is not None
    assert (failed.error["code"], failed.error["class"]) == ("invalid_input", "job")


def test_a_job_that_ran_out_of_memory_is_tried_once_more(shared_pool: WorkerPool) -> None:
    job = shared_pool.queue("greedy", max_attempts=9)
    failed = shared_pool.ended(job)
    assert (failed.state, shared_pool.outcomes(job)) == ("failed", ["oom", "oom"])
    assert failed.error is not None
    assert failed.error["code"] == "out_of_memory"


def test_a_job_of_an_unknown_kind_fails_with_a_reason(shared_pool: WorkerPool) -> None:
    failed = shared_pool.ended(shared_pool.queue("divination"))
    assert (failed.state, failed.attempt, failed.error and failed.error["code"]) == ("failed", 1, "unknown_kind")


def test_a_job_that_is_not_done_by_its_deadline_fails_and_is_not_tried_again(shared_pool: WorkerPool) -> None:
    job = shared_pool.queue("steps", {"steps": 600}, deadline_s=600.0)
    trainer = shared_pool.reached(job, 1)
    with shared_pool.database.write() as session:
        session.get_one(Job, job.id).deadline_at = now(session)
    failed = shared_pool.ended(job)
    assert (failed.state, failed.attempt, failed.error and failed.error["code"]) == ("failed", 1, "timeout")
    assert shared_pool.outcomes(job) == ["timeout"]
    assert_gone(trainer)


def test_a_queued_job_is_cancelled_and_never_started(shared_pool: WorkerPool, log: Path) -> None:
    with shared_pool.database.write() as session:
        jobs.set_slots(session, "gpu", 1)
    first = shared_pool.queue("steps", {"steps": 600}, resource="gpu")
    shared_pool.reached(first, 1)
    job = shared_pool.queue("nothing", {"log": str(log)}, resource="gpu")
    assert cancel(shared_pool.database, job).state == "cancelled"
    cancel(shared_pool.database, first)
    assert shared_pool.ended(first).state == "cancelled"
    after = shared_pool.queue("nothing", resource="gpu")
    assert shared_pool.ended(after).state == "succeeded"
    assert (log_of(log), shared_pool.outcomes(job)) == ([], [])


def test_a_running_job_is_cancelled(shared_pool: WorkerPool) -> None:
    job = shared_pool.queue("steps", {"steps": 600})
    shared_pool.reached(job, 1)
    cancel(shared_pool.database, job)
    assert shared_pool.ended(job).state == "cancelled"
    assert shared_pool.outcomes(job) == ["cancelled"]
    assert shared_pool.versions(job) == []


def test_a_job_that_ignores_signals_is_cancelled_after_the_grace(shared_pool: WorkerPool) -> None:
    job = shared_pool.queue("stubborn")
    trainer = psutil.Process(eventually(lambda: int(shared_pool.look(job).progress.get("phase", 0))))
    asked_s = time.monotonic()
    cancel(shared_pool.database, job)
    assert shared_pool.ended(job).state == "cancelled"
    assert time.monotonic() - asked_s < GRACE_S + GENEROUS_S
    assert_gone(trainer)


def test_a_job_is_cancelled_between_two_attempts(shared_pool: WorkerPool, log: Path) -> None:
    job = shared_pool.queue("poison", {"log": str(log)}, max_attempts=9)
    eventually(lambda: shared_pool.look(job).run_at)  # it waits for its second attempt
    cancel(shared_pool.database, job)
    assert shared_pool.ended(job).state == "cancelled"
    begun = len(log_of(log))
    time.sleep(3.0)  # longer than the wait would have been
    assert len(log_of(log)) == begun


def test_a_frozen_trainer_that_wakes_too_late_is_stopped(shared_pool: WorkerPool) -> None:
    job = shared_pool.queue("steps", {"steps": 12})
    trainer = shared_pool.reached(job, 2)
    trainer.send_signal(signal.SIGSTOP)
    with shared_pool.database.write() as session:  # as another worker does once the lease has run out
        jobs.take_back(session, job.id, 1)
    assert shared_pool.ended(job).token == 2
    assert_gone(trainer)
    shared_pool.assert_one_version(job)


def assert_gone(process: psutil.Process) -> None:
    assert eventually(lambda: gone(process), GENEROUS_S)


def test_more_important_jobs_go_first_when_a_slot_is_free_again(shared_pool: WorkerPool) -> None:
    with shared_pool.database.write() as session:
        jobs.set_slots(session, "gpu", 1)
    order = {"steps": 3, "step_s": 0.1}
    first = shared_pool.queue("steps", order, resource="gpu")
    shared_pool.reached(first, 1)
    waiting = [shared_pool.queue("steps", order, resource="gpu", priority=priority) for priority in (0, -1, 5)]
    done: list[Job] = [shared_pool.ended(job) for job in (first, *waiting)]
    begun = sorted(done, key=lambda job: shared_pool.attempts(job)[0].started_at)
    assert [job.priority for job in begun] == [0, 5, 0, -1]
