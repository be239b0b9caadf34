"""Dispatchers that are killed or frozen, and several of them at once (F2, F5, F6, F7, F8)."""

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from app.store import jobs
from app.store.tables import Job
from tests.app.work.small_jobs import eventually, gone
from tests.faults.worker_pool import WorkerPool, log_of

LIMITS = {"cpu": 2, "gpu": 1}


def test_a_killed_dispatcher_ends_its_trainer_and_a_neighbour_continues_before_the_lease_expires(
    pool: WorkerPool,
) -> None:
    job = pool.queue("steps", {"steps": 40})
    first = pool.start_worker(lease_s=600.0)
    trainer = pool.reached(job, 3)
    pool.start_worker(lease_s=600.0)
    first.kill()
    assert eventually(lambda: gone(trainer), 15.0)
    assert eventually(lambda: pool.look(job).token == 2, 60.0)
    done = pool.ended(job)
    assert pool.outcomes(job) == ["lost", "succeeded"]
    assert done.result is not None
    assert done.result["resumed_from"] >= 3
    pool.assert_one_version(job)


def test_a_frozen_worker_with_its_trainer_wakes_after_another_did_the_job(pool: WorkerPool) -> None:
    job = pool.queue("steps", {"steps": 30, "early": True})
    frozen = pool.start_worker(lease_s=2.0)
    trainer = pool.reached(job, 3)
    assert pool.artifacts(job) == [1]
    for process in (frozen, trainer):
        process.send_signal(signal.SIGSTOP)
    pool.start_worker(lease_s=2.0)
    done = pool.ended(job)
    assert done.token >= 2
    for process in (frozen, trainer):
        process.send_signal(signal.SIGCONT)
    assert eventually(lambda: gone(trainer), 60.0)
    assert [version.job_id for version in pool.versions(job)] == [job.id]
    assert pool.artifacts(job) == [done.token] * 2  # artifacts of the other attempts are deleted
    assert pool.look(job).token == done.token
    assert frozen.poll() is None


@pytest.mark.parametrize("when", ["uncommitted", "unanswered"])
def test_everything_killed_around_a_commit_leaves_exactly_one_version(pool: WorkerPool, when: str) -> None:
    job = pool.queue(when, {"all": True})
    first = pool.start_worker(lease_s=600.0)
    assert first.wait(60) == -signal.SIGKILL
    pool.start_worker(lease_s=600.0)
    pool.ended(job)
    pool.assert_one_version(job)
    assert pool.outcomes(job) == {"uncommitted": ["lost", "succeeded"], "unanswered": ["succeeded"]}[when]
    assert pool.artifacts(job) == ([2] if when == "uncommitted" else [])


def each_once(pool: WorkerPool, log: Path, count: int) -> None:
    queued = [pool.queue("nothing", {"log": str(log)}).id for _ in range(count)]
    for _ in range(2):
        pool.start_worker(slots=2)
    assert eventually(lambda: tally(pool)["succeeded"] == count)
    assert Counter(log_of(log)) == Counter(queued)


def tally(pool: WorkerPool) -> dict[str, int]:
    with pool.database.read() as session:
        return {str(state): count for state, count in jobs.count_by_state(session).items()}


def test_two_workers_run_a_hundred_jobs_once_each(pool: WorkerPool, log: Path) -> None:
    each_once(pool, log, 100)


@pytest.mark.long
def test_two_workers_run_five_hundred_jobs_once_each(pool: WorkerPool, log: Path) -> None:
    each_once(pool, log, 500)


@dataclass(frozen=True, slots=True)
class Rampage:
    """The jobs and the log of a run in which workers and trainers were killed."""

    kills: int
    jobs: int
    versions: int
    duplicates: int
    lost: int
    most_slots: dict[str, int]


def rampage(pool: WorkerPool, count: int, steps: int, most_kills: int) -> Rampage:
    """Kill workers, trainers or both until ``count`` jobs of so many steps are done.

    The next to be killed is, once there was some progress: a busy machine starts processes more slowly than one kills.
    """
    rng = random.Random(7)
    with pool.database.write() as session:
        for name, slots in LIMITS.items():
            jobs.set_slots(session, name, slots)
    order = {"steps": steps, "step_s": 0.2}
    queued = [pool.queue("steps", order, resource=rng.choice(["cpu", "gpu"]), max_attempts=1000) for _ in range(count)]
    workers = [pool.start_worker(slots=2, lease_s=5.0) for _ in range(2)]
    kills, done, most = 0, 0, dict.fromkeys(LIMITS, 0)
    while any(job.finished_at is None for job in queued):
        queued = [pool.look(job) for job in queued]
        with pool.database.read() as session:
            most = {name: max(most[name], used) for name, (used, _) in jobs.slots(session).items()}
        if (steps_done := sum(job.progress.get("done", steps) for job in queued if job.progress)) >= done + 2:
            done = steps_done
            if kills < most_kills:
                number = rng.randrange(2)
                kills += kill(rng.choice(["worker", "trainer", "both"]), workers[number])
                if workers[number].poll() is not None:
                    workers[number] = pool.start_worker(slots=2, lease_s=5.0)
        time.sleep(0.05)
    return summed(pool, queued, kills, most)


def kill(what: str, worker: psutil.Popen) -> int:
    """Return the number of killed processes."""
    trainers = worker.children() if what != "worker" else []
    victims = [*trainers[:1], *([worker] if what != "trainer" else [])]
    for victim in victims:
        if victim.is_running():
            victim.kill()
    if what != "trainer":
        worker.wait()
    return len(victims)


def summed(pool: WorkerPool, queued: list[Job], kills: int, most: dict[str, int]) -> Rampage:
    made = Counter(version.job_id for version in pool.versions(*queued))
    duplicates = sum(count - 1 for count in made.values())
    lost = sum(pool.look(job).state != "succeeded" or made[job.id] == 0 for job in queued)
    return Rampage(kills, len(queued), made.total(), duplicates, lost, most)


def assert_nothing_was_lost(pool: WorkerPool, found: Rampage) -> None:
    print(f"\n{pool.database.url.get_backend_name()}: {found}")
    assert (found.versions, found.duplicates, found.lost) == (found.jobs, 0, 0)
    assert all(found.most_slots[name] <= limit for name, limit in LIMITS.items())
    assert eventually(lambda: slots_used(pool) == 0)


def slots_used(pool: WorkerPool) -> int:
    with pool.database.read() as session:
        return sum(used for used, _ in jobs.slots(session).values())


def test_nothing_is_lost_or_done_twice_while_workers_and_trainers_are_killed(pool: WorkerPool) -> None:
    found = rampage(pool, count=4, steps=5, most_kills=4)
    assert_nothing_was_lost(pool, found)


@pytest.mark.long
def test_nothing_is_lost_or_done_twice_in_minutes_of_chaos(pool: WorkerPool) -> None:
    found = rampage(pool, count=50, steps=20, most_kills=200)
    assert found.kills >= 10
    assert_nothing_was_lost(pool, found)
