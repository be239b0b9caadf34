"""Attempts that die, hang, refuse or run out of time under one worker that goes on: F1, F4, F11 to F14, F20."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from app.store import jobs
from app.store.db import now
from app.store.tables import Job
from tests.app.work.tiny import cancel, eventually, gone
from tests.faults.crew import GRACE_S, Crew, log_of

GENEROUS_S = 15.0  # for what takes two seconds on a machine that has nothing else to do


def test_a_killed_trainer_is_followed_by_one_that_goes_on_from_its_checkpoint(staff: Crew) -> None:
    job = staff.queue("steps", {"steps": 12})
    trainer = staff.reached(job, 4)
    trainer.kill()
    done = staff.ended(job)
    assert staff.outcomes(job) == ["infrastructure", "succeeded"]
    assert done.result is not None
    assert 4 <= done.result["resumed_from"] < 12
    staff.assert_one_version(job)
    first, second = staff.attempts(job)
    assert first.ended_at is not None
    assert (second.started_at - first.ended_at).total_seconds() < GENEROUS_S  # a backoff of one to two seconds
    assert first.message is not None
    assert "by signal 9" in first.message


@pytest.mark.parametrize("when", ["uncommitted", "unanswered"])
def test_a_trainer_killed_around_its_commit_leaves_exactly_one_version(staff: Crew, when: str) -> None:
    job = staff.queue(when)
    done = staff.ended(job)
    staff.assert_one_version(job)
    assert staff.outcomes(job) == {"uncommitted": ["infrastructure", "succeeded"], "unanswered": ["succeeded"]}[when]
    assert staff.artifacts(job) == ([2] if when == "uncommitted" else [])  # of the attempt that did it
    assert done.token == len(staff.attempts(job))


def test_a_job_that_kills_its_process_each_time_fails_and_blocks_nobody(staff: Crew, log: Path) -> None:
    poisoned = staff.queue("poison", {"log": str(log)}, max_attempts=2)
    others = [staff.queue("steps", {"steps": 2, "step_s": 0.01}) for _ in range(3)]
    for job in others:
        assert staff.ended(job).state == "succeeded"
    failed = staff.ended(poisoned)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert failed.error is not None
    assert (failed.error["code"], failed.error["class"]) == ("crashed", "infrastructure")
    assert len(log_of(log)) == 2


def test_bad_data_are_tried_once(staff: Crew) -> None:
    failed = staff.ended(staff.queue("bad"))
    assert (failed.state, failed.attempt) == ("failed", 1)
    assert failed.error is not None
    assert (failed.error["code"], failed.error["class"]) == ("invalid_input", "job")


def test_what_took_too_much_memory_is_tried_once_more(staff: Crew) -> None:
    job = staff.queue("greedy", max_attempts=9)
    failed = staff.ended(job)
    assert (failed.state, staff.outcomes(job)) == ("failed", ["oom", "oom"])
    assert failed.error is not None
    assert failed.error["code"] == "out_of_memory"


def test_a_job_of_a_kind_that_nobody_knows_fails_and_says_so(staff: Crew) -> None:
    failed = staff.ended(staff.queue("divination"))
    assert (failed.state, failed.attempt, failed.error and failed.error["code"]) == ("failed", 1, "unknown_kind")


def test_a_job_that_is_not_done_by_its_deadline_fails_and_is_not_tried_again(staff: Crew) -> None:
    job = staff.queue("steps", {"steps": 600}, deadline_s=600.0)
    trainer = staff.reached(job, 1)
    with staff.database.write() as session:
        session.get_one(Job, job.id).deadline_at = now(session)
    failed = staff.ended(job)
    assert (failed.state, failed.attempt, failed.error and failed.error["code"]) == ("failed", 1, "timeout")
    assert staff.outcomes(job) == ["timeout"]
    assert_gone(trainer)


def test_a_queued_job_is_cancelled_and_never_begun(staff: Crew, log: Path) -> None:
    with staff.database.write() as session:
        jobs.limit(session, "gpu", 1)
    first = staff.queue("steps", {"steps": 600}, resource="gpu")
    staff.reached(first, 1)
    job = staff.queue("nothing", {"log": str(log)}, resource="gpu")
    assert cancel(staff.database, job).state == "cancelled"
    cancel(staff.database, first)
    assert staff.ended(first).state == "cancelled"
    after = staff.queue("nothing", resource="gpu")
    assert staff.ended(after).state == "succeeded"
    assert (log_of(log), staff.outcomes(job)) == ([], [])


def test_a_running_job_is_cancelled(staff: Crew) -> None:
    job = staff.queue("steps", {"steps": 600})
    staff.reached(job, 1)
    cancel(staff.database, job)
    assert staff.ended(job).state == "cancelled"
    assert staff.outcomes(job) == ["cancelled"]
    assert staff.versions(job) == []


def test_a_job_that_hears_no_signal_is_cancelled_after_the_grace(staff: Crew) -> None:
    job = staff.queue("stubborn")
    trainer = psutil.Process(eventually(lambda: staff.look(job).progress.get("pid")))
    asked_s = time.monotonic()
    cancel(staff.database, job)
    assert staff.ended(job).state == "cancelled"
    assert time.monotonic() - asked_s < GRACE_S + GENEROUS_S
    assert_gone(trainer)


def test_a_job_is_cancelled_between_two_attempts(staff: Crew, log: Path) -> None:
    job = staff.queue("poison", {"log": str(log)}, max_attempts=9)
    eventually(lambda: staff.look(job).run_at)  # it waits for its second attempt
    cancel(staff.database, job)
    assert staff.ended(job).state == "cancelled"
    begun = len(log_of(log))
    time.sleep(3.0)  # longer than the wait would have been
    assert len(log_of(log)) == begun


def test_a_frozen_trainer_that_wakes_up_too_late_is_stopped(staff: Crew) -> None:
    job = staff.queue("steps", {"steps": 12})
    trainer = staff.reached(job, 2)
    trainer.send_signal(signal.SIGSTOP)
    with staff.database.write() as session:  # as another worker does once the lease has run out
        jobs.take_back(session, job.id, 1)
    assert staff.ended(job).token == 2
    assert_gone(trainer)
    staff.assert_one_version(job)


def assert_gone(process: psutil.Process) -> None:
    assert eventually(lambda: gone(process), GENEROUS_S)


def test_more_important_jobs_go_first_when_a_slot_is_free_again(staff: Crew) -> None:
    with staff.database.write() as session:
        jobs.limit(session, "gpu", 1)
    order = {"steps": 3, "step_s": 0.1}
    first = staff.queue("steps", order, resource="gpu")
    staff.reached(first, 1)
    waiting = [staff.queue("steps", order, resource="gpu", priority=priority) for priority in (0, -1, 5)]
    done: list[Job] = [staff.ended(job) for job in (first, *waiting)]
    begun = sorted(done, key=lambda job: staff.attempts(job)[0].started_at)
    assert [job.priority for job in begun] == [0, 5, 0, -1]
