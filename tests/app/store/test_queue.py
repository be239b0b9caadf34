"""Whose turn it is: places and priorities, moments and deadlines, slots, and what is asked for twice."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from app.problems import QueueFull
from app.store import datasets, jobs
from app.store.db import Database, now
from app.store.job_limits import JobLimits
from app.store.jobs import JobChoice
from app.store.jobs.completion import backoff_s
from app.store.tables import Job, Revision
from tests.app.store.conftest import at_once, new_job, new_revision

LEASE_S = 60.0


def queue(database: Database, revision: Revision, **changes: Any) -> Job:
    with database.write() as session:
        return jobs.enqueue(session, new_job(revision, **changes))


def claim(database: Database, **how: Any) -> Job | None:
    with database.write() as session:
        return jobs.claim(session, "w1", LEASE_S, **how)


def look(database: Database, job: Job) -> Job:
    with database.read() as session:
        return jobs.get(session, job.tenant_id, job.id)


def set_back(database: Database, seconds: float) -> None:
    """As if ``seconds`` had gone by since every job was made."""
    with database.write() as session:
        for job in jobs.list_page(session, 1, None, 99):
            for name in ("created_at", "place", "run_at", "deadline_at", "lease_until"):
                if getattr(job, name) is not None:
                    setattr(job, name, getattr(job, name) - timedelta(seconds=seconds))


def test_more_important_jobs_go_first_and_each_step_is_worth_ten_minutes(database: Database, sales: Revision) -> None:
    old = queue(database, sales)
    set_back(database, 25 * 60)
    two_steps, three_steps = queue(database, sales, priority=2), queue(database, sales, priority=3)
    last = queue(database, sales, priority=-1)
    # 25 minutes weigh more than 2 steps and less than 3.
    order = [claim(database) for _ in range(4)]
    assert [job and job.id for job in order] == [three_steps.id, old.id, two_steps.id, last.id]


def claimed(database: Database, times: int) -> list[int]:
    """Return the tenant of each of the next jobs."""
    return [job.tenant_id for job in (claim(database) for _ in range(times)) if job is not None]


def test_tenants_take_turns_whatever_the_length_and_priority_of_their_queues(
    database: Database, acme: int, sales: Revision, rival: int
) -> None:
    for _ in range(5):
        queue(database, sales, priority=10)
    with database.write() as session:
        theirs = datasets.create(session, rival, "theirs", "D", new_revision(), "cli")
    last, first = queue(database, theirs, priority=-10), queue(database, theirs)
    assert claimed(database, 7) == [acme, rival, acme, rival, acme, acme, acme]
    assert (look(database, first).started_at or 0) < (look(database, last).started_at or 0)


def test_the_tenant_with_fewer_running_jobs_has_the_next_turn(
    database: Database, acme: int, sales: Revision, rival: int
) -> None:
    queue(database, sales)
    long = claim(database)
    with database.write() as session:
        theirs = datasets.create(session, rival, "theirs", "D", new_revision(), "cli")
    for revision in (sales, theirs, sales, theirs, sales):
        queue(database, revision)
    for _ in range(2):  # one job of acme runs all the time
        short = claim(database)
        assert short is not None
        assert short.tenant_id == rival
        with database.write() as session:
            jobs.finish(session, short.id, short.token, None)
    assert claimed(database, 4) == [acme] * 3
    assert look(database, long or short).state == "running"


def test_turns_of_a_single_slot_go_to_the_tenant_that_waited_longest(
    database: Database, acme: int, sales: Revision, rival: int
) -> None:
    with database.write() as session:
        theirs = datasets.create(session, rival, "theirs", "D", new_revision(), "cli")
    for revision in (sales, sales, sales, theirs, theirs):
        queue(database, revision)
    turns = []
    for _ in range(5):
        job = claim(database)
        assert job is not None
        turns.append(job.tenant_id)
        with database.write() as session:
            jobs.finish(session, job.id, job.token, None)
        set_back_starts(database, 1)  # the clock of SQLite has milliseconds
    assert turns == [acme, rival, acme, rival, acme]


def set_back_starts(database: Database, seconds: float) -> None:
    with database.write() as session:
        for job in session.scalars(select(Job).where(Job.started_at.is_not(None))):
            job.started_at = (job.started_at or job.created_at) - timedelta(seconds=seconds)


def test_a_tenant_has_a_limit_of_queued_jobs_and_running_ones_do_not_count(
    database: Database, acme: int, sales: Revision, rival: int
) -> None:
    limits = JobLimits(max_queued=3)
    queue(database, sales)
    claim(database)
    with database.write() as session:
        jobs.enqueue_family(session, new_job(sales), [new_job(sales)] * 2)
        jobs.check_room(session, acme, 1, limits)
        with pytest.raises(QueueFull, match="you have 2 jobs in the queue; 2 more would exceed the limit of 3"):
            jobs.check_room(session, acme, 2, limits)
        jobs.check_room(session, rival, 3, limits)


def test_a_job_is_not_run_before_its_moment(database: Database, sales: Revision) -> None:
    with database.read() as session:
        soon = now(session) + timedelta(seconds=30)
    early = queue(database, sales, run_at=soon)
    late = queue(database, sales)
    assert [found and found.id for found in (claim(database), claim(database))] == [late.id, None]
    set_back(database, 31)
    found = claim(database)
    assert found is not None
    assert found.id == early.id
    with database.read() as session:
        waited = jobs.list_attempts(session, found.tenant_id, found.id, 0, 9)[0].waited_s
    assert 1 <= waited < 10  # since its moment, not since it was made


def test_a_job_that_waits_past_its_deadline_fails_and_its_parent_hears_of_it(
    database: Database, sales: Revision
) -> None:
    with database.write() as session:
        family = jobs.enqueue_family(session, new_job(sales), [new_job(sales, deadline_s=5.0)])
    fine = queue(database, sales, deadline_s=500.0)
    set_back(database, 6)
    assert (claim(database) or fine).id == fine.id
    with database.write() as session:
        assert jobs.pending_work(session).to_reap
        assert jobs.reap(session) == 1
        assert not jobs.pending_work(session).to_reap
    assert look(database, family).state == "failed"
    with database.read() as session:
        [child] = jobs.list_page(session, sales.tenant_id, None, 9, jobs.JobFilter(parent_id=family.id))
    assert (child.state, child.attempt, child.error and child.error["code"]) == ("failed", 0, "timeout")


def test_a_worker_takes_what_it_has_the_means_for(database: Database, sales: Revision) -> None:
    gpu, cpu = queue(database, sales, resource="gpu"), queue(database, sales)
    with database.read() as session:
        assert jobs.pending_work(session, JobChoice(["cpu"])).to_claim
    assert (claim(database, choice=JobChoice(["cpu"])) or gpu).id == cpu.id
    assert claim(database, choice=JobChoice(["cpu"])) is None
    with database.read() as session:
        assert not jobs.pending_work(session, JobChoice(["cpu"])).to_claim
    assert (claim(database, choice=JobChoice(["cpu", "gpu"])) or cpu).id == gpu.id


def test_a_worker_for_one_job_claims_no_other(database: Database, sales: Revision) -> None:
    first, second = queue(database, sales), queue(database, sales)
    only_second = JobChoice(job_id=second.id)
    assert (claim(database, choice=only_second) or first).id == second.id
    with database.read() as session:
        assert not jobs.pending_work(session, only_second).to_claim
    assert claim(database, choice=only_second) is None
    assert look(database, first).state == "queued"


def test_no_more_jobs_run_than_there_are_slots(database: Database, sales: Revision) -> None:
    with database.write() as session:
        jobs.set_slots(session, "gpu", 1)
    first, second = queue(database, sales, resource="gpu"), queue(database, sales, resource="gpu")
    free = queue(database, sales)
    running = claim(database)
    assert running is not None
    assert (running.id, (claim(database) or first).id, claim(database)) == (first.id, free.id, None)
    with database.read() as session:
        assert jobs.slots(session) == {"gpu": (1, 1)}
    with database.write() as session:
        jobs.finish(session, running.id, running.token, None)
    assert (claim(database) or first).id == second.id
    with database.write() as session:
        jobs.set_slots(session, "gpu", None)
        assert jobs.slots(session) == {}


def test_a_dead_holders_slot_is_free_again_after_its_lease(database: Database, sales: Revision) -> None:
    with database.write() as session:
        jobs.set_slots(session, "gpu", 1)
    dead, waiting = queue(database, sales, resource="gpu", max_attempts=1), queue(database, sales, resource="gpu")
    claim(database)
    assert claim(database) is None
    set_back(database, LEASE_S + 1)
    with database.write() as session:
        jobs.reap(session)
    assert look(database, dead).state == "failed"
    assert (claim(database) or dead).id == waiting.id


def test_eight_workers_at_once_never_take_more_slots_than_there_are(database: Database, sales: Revision) -> None:
    with database.write() as session:
        jobs.set_slots(session, "gpu", 3)
        for _ in range(12):
            jobs.enqueue(session, new_job(sales, resource="gpu"))

    def take() -> int:
        return sum(claim(database) is not None for _ in range(3))

    taken = at_once([take] * 8)
    assert [found for found in taken if isinstance(found, Exception)] == []
    # Who finds the lock taken looks again later: fewer than three may have come to something, never more.
    assert sum(found for found in taken if isinstance(found, int)) + take() == 3
    with database.read() as session:
        assert jobs.slots(session) == {"gpu": (3, 3)}


def test_workers_that_start_at_the_same_moment_may_all_say_how_many_slots_there_are(database: Database) -> None:
    def say() -> None:
        with database.write() as session:
            jobs.set_slots(session, "gpu", 2)

    assert at_once([say] * 8) == [None] * 8
    with database.read() as session:
        assert jobs.slots(session) == {"gpu": (0, 2)}
    with database.write() as session:
        jobs.set_slots(session, "gpu", 3)
        jobs.set_slots(session, "gpu", None)
        assert jobs.slots(session) == {}


def test_what_is_asked_for_twice_is_one_job(database: Database, sales: Revision) -> None:
    first = queue(database, sales, dedup="schedule:1@2026-01-01T00:00:00Z")
    again = queue(database, sales, dedup="schedule:1@2026-01-01T00:00:00Z", model="other")
    assert (again.id, again.model) == (first.id, "demand")
    assert queue(database, sales, dedup="schedule:1@2026-01-02T00:00:00Z").id != first.id
    assert queue(database, sales).id != queue(database, sales).id


def test_of_eight_that_ask_at_once_for_the_same_one_job_is_made(database: Database, sales: Revision) -> None:
    asked = at_once([lambda: queue(database, sales, dedup="the same").id] * 8)
    assert len(set(asked)) == 1
    with database.read() as session:
        assert jobs.count_by_state(session)["queued"] == 1


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_attempts_are_apart_by_twice_as_much_each_time_up_to_five_minutes(attempt: int, luck: float) -> None:
    wait_s = backoff_s(attempt, luck)
    assert min(300.0, 2.0 ** min(attempt, 20) / 2) <= wait_s <= min(300.0, 2.0 ** min(attempt, 20))


def test_a_crashed_job_waits_at_its_old_place_and_goes_before_younger_ones(database: Database, sales: Revision) -> None:
    old, young = queue(database, sales), queue(database, sales)
    job = claim(database)
    assert job is not None
    with database.write() as session:
        jobs.fail(session, job.id, job.token, "crashed", "by signal 9", retry=True)
    back = look(database, old)
    assert (back.state, back.place) == ("queued", old.place)
    assert back.run_at is not None
    with database.read() as session:
        assert 0.4 < (back.run_at - now(session)).total_seconds() <= 2
    with database.write() as session:
        session.execute(update(Job).values(run_at=None))
    assert [found and found.id for found in (claim(database), claim(database))] == [old.id, young.id]


@pytest.mark.parametrize(
    ("code", "retry", "states", "kind"),
    [
        ("invalid_input", False, ["failed"], "job"),
        ("timeout", True, ["failed"], "timeout"),
        ("out_of_memory", True, ["queued", "failed"], "oom"),
        ("crashed", True, ["queued", "queued", "queued", "failed"], "infrastructure"),
    ],
)
def test_what_is_tried_again_depends_on_whose_fault_it_was(
    database: Database, sales: Revision, code: str, retry: bool, states: list[str], kind: str
) -> None:
    job, found = queue(database, sales, max_attempts=4), []
    while look(database, job).state == "queued":
        with database.write() as session:
            session.execute(update(Job).values(run_at=None))
            held = jobs.claim(session, "w1", LEASE_S)
            assert held is not None
            jobs.fail(session, held.id, held.token, code, "so it was", retry=retry)
        found.append(look(database, job).state)
    assert found == states
    failed = look(database, job)
    assert failed.error == {"code": code, "message": "so it was", "class": kind}
    with database.read() as session:
        history = jobs.list_attempts(session, job.tenant_id, job.id, 0, 9)
    assert [(attempt.number, attempt.token, attempt.outcome) for attempt in history] == [
        (number, number, kind) for number in range(1, len(states) + 1)
    ]


def test_a_job_whose_worker_died_is_taken_back_before_its_lease_is_over(database: Database, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database, holder={"name": "x", "machine": "m", "pid": 7, "born": 1})
    assert job is not None
    with database.read() as session:
        assert jobs.list_held(session) == [
            jobs.HeldJob(job.id, job.token, {"name": "x", "machine": "m", "pid": 7, "born": 1})
        ]
    with database.write() as session:
        jobs.take_back(session, job.id, job.token)
    back = look(database, job)
    assert (back.state, back.holder, back.run_at) == ("queued", None, None)
    with pytest.raises(jobs.Fenced), database.write() as session:
        jobs.take_back(session, job.id, job.token)


def test_an_attempt_that_outlived_its_worker_goes_on_under_its_token(database: Database, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database, holder={"name": "dead"})
    assert job is not None
    set_back(database, LEASE_S + 1)
    with database.write() as session:
        assert [found.id for found in jobs.list_lost(session)] == [job.id]
        jobs.adopt(session, job, "w2", LEASE_S, {"name": "next"})
        assert jobs.list_lost(session) == []
    now_held = look(database, job)
    assert (now_held.token, now_held.attempt, now_held.worker, now_held.holder) == (1, 1, "w2", {"name": "next"})


def test_who_was_fenced_is_told_from_who_never_came_back(database: Database, acme: int, sales: Revision) -> None:
    job = queue(database, sales)
    claim(database)
    set_back(database, LEASE_S + 1)
    with database.write() as session:
        jobs.reap(session)
        tally = jobs.queue_statistics(session)
        assert tally.attempts == {"lost": 1}
        jobs.mark_fenced(session, job.id, 1)
        assert jobs.queue_statistics(session).attempts == {"fenced": 1}
        assert jobs.ended_by(session, job.id, 1) is None


def test_a_worker_that_lost_only_the_answer_knows_its_own_end(database: Database, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database)
    assert job is not None
    with database.write() as session:
        assert jobs.ended_by(session, job.id, 1) is None
        jobs.finish(session, job.id, 1, None)
    with database.read() as session:
        assert (jobs.ended_by(session, job.id, 1), jobs.ended_by(session, job.id, 0)) == ("succeeded", None)


def test_the_tally_counts_jobs_by_state_and_kind_and_the_oldest_wait(database: Database, sales: Revision) -> None:
    for kind in ("train", "train", "tune"):
        queue(database, sales, kind=kind)
    set_back(database, 90)
    claim(database)
    queue(database, sales)
    with database.read() as session:
        tally = jobs.queue_statistics(session)
    assert tally.jobs == {("queued", "train"): 2, ("queued", "tune"): 1, ("running", "train"): 1}
    assert 90 <= tally.oldest_s < 100
    assert tally.attempts == {"running": 1}
    assert 90 <= tally.waited_s < 100
