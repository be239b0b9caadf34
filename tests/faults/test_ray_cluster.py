"""Jobs on a real Ray cluster of two machines with a network of their own, and the deaths of its parts."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.planning.training_payload import AutoSearch
from app.settings import Settings
from app.store.db import Database
from app.store.tables import Job
from app.work.dispatcher import Dispatcher
from app.work.executors import Finished
from app.work.executors import ray as ray_executor
from app.work.executors.ray import RayExecutor, name_of, on_cluster
from models.network.spec import Training
from tests.app.work.api_server import SECRET, Api, api_of, claim_with_secret
from tests.app.work.counting_ray_entry import COMMAND
from tests.app.work.small_jobs import SPEC, eventually, keep, look, queue, versions, weeks
from tests.faults.ray_cluster import Cluster, cluster, missing

WHY_NOT = missing()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
LEASE_S = 15.0
SEARCH_S = 1_800.0  # more than enough: a minute or two of arithmetic


@pytest.fixture(scope="module", name="ray")
def ray_fixture() -> Iterator[Cluster]:
    with cluster() as started:
        yield started


@pytest.fixture(name="api")
def api_fixture(sqlite: Database, ray: Cluster) -> Iterator[Api]:
    with api_of(sqlite, ray.here) as api:
        yield api


@pytest.fixture(name="light")
def light_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a job function that needs no TensorFlow."""
    monkeypatch.setattr(ray_executor, "ENTRYPOINT", COMMAND)


def executor_of(ray: Cluster, api: Api) -> RayExecutor:
    settings = Settings(executor="ray", api_url=api.url, worker_slots=4, lease_s=LEASE_S)
    return on_cluster(settings, {"RAY_ADDRESS": ray.head_url, "RAY_AUTH_TOKEN": ray.token})


@contextmanager
def worker_of(database: Database, ray: Cluster, api: Api) -> Iterator[None]:
    """Run the dispatcher of a worker in a thread."""
    stop = threading.Event()
    settings = Settings(lease_s=LEASE_S, poll_s=0.2)
    dispatcher = Dispatcher(database, settings, executor_of(ray, api))
    thread = threading.Thread(target=dispatcher.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def counting(database: Database, job: Job, least: int = 3) -> Job:
    return eventually(lambda: (found := look(database, job)).progress.get("done", 0) >= least and found)


def assert_one_version(database: Database, job: Job) -> Job:
    done = eventually(lambda: (found := look(database, job)).finished_at and found)
    assert (done.state, done.error) == ("succeeded", None)
    [version] = versions(database, job)
    assert version.id == done.version_id
    return done


def words_in_logs(ray: Cluster, *words: str) -> list[str]:
    said = [file.read_bytes() for file in ray.logs()]
    assert said
    return [word for word in words if any(word.encode() in data for data in said)]


def test_a_network_is_trained_on_a_cluster(sqlite: Database, ray: Cluster, api: Api) -> None:
    job = queue(sqlite, keep(sqlite, weeks()))
    with worker_of(sqlite, ray, api):
        done = assert_one_version(sqlite, job)
    assert (done.attempt, done.progress["phase"]) == (1, "done")


@pytest.mark.usefixtures("light")
def test_an_attempt_runs_once_and_its_secret_is_in_no_log(sqlite: Database, ray: Cluster, api: Api) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    job = claim_with_secret(sqlite)
    first, second = executor_of(ray, api), executor_of(ray, api)
    try:
        for executor in (first, second):  # as two dispatchers would that both think it theirs
            assert executor.start(job, SECRET) == name_of(job)
        for executor in (first, second):
            assert isinstance(end := eventually(lambda e=executor: ended(e.poll(name_of(job)))), Finished)
            assert end.code == 0
    finally:
        first.close()
        second.close()
    assert_one_version(sqlite, job)
    assert words_in_logs(ray, name_of(job), SECRET, ray.token) == [name_of(job)]


def ended(status: object) -> Finished | None:
    return status if isinstance(status, Finished) else None


@pytest.mark.usefixtures("light")
def test_a_killed_entrypoint_is_followed_by_one_that_continues(sqlite: Database, ray: Cluster, api: Api) -> None:
    job = queue(sqlite, keep(sqlite, weeks()))
    with worker_of(sqlite, ray, api):
        counting(sqlite, job)
        [pid] = ray.running("tests.app.work.counting_ray_entry")
        ray.end(pid)
        done = assert_one_version(sqlite, job)
    assert (done.attempt, done.token) == (2, 2)
    assert done.result["begun"] >= 3


@pytest.mark.usefixtures("light")
def test_the_next_worker_adopts_running_attempts(sqlite: Database, ray: Cluster, api: Api) -> None:
    job = queue(sqlite, keep(sqlite, weeks()))
    with worker_of(sqlite, ray, api):
        counting(sqlite, job)
    assert ray.running("tests.app.work.counting_ray_entry")
    with worker_of(sqlite, ray, api):
        assert assert_one_version(sqlite, job).token == 1


@pytest.mark.long
def test_a_search_of_twenty_trials_runs_on_other_machines_too(sqlite: Database, ray: Cluster, api: Api) -> None:
    training = Training(max_epochs=8, steps_per_epoch=5, batch_size=16)
    fixed = {"season": SPEC.season, "horizon": SPEC.horizon, "freq": SPEC.freq}
    job = queue(sqlite, keep(sqlite, weeks()), training=training, auto=AutoSearch(SEARCH_S, fixed))
    at: dict[str, set[str]] = {"app.work.ray_entry": set(), "PoolActor": set()}

    def is_over() -> bool:
        for word, machines in at.items():
            machines.update(machine for machine in ("head", "node") if ray.running(word, machine))
        return look(sqlite, job).finished_at is not None

    with worker_of(sqlite, ray, api):
        eventually(is_over, SEARCH_S)
    done = assert_one_version(sqlite, job)
    trials = versions(sqlite, done)[0].scores["auto"]["trials"]
    assert len(trials) >= 20
    assert [trial["failed"] for trial in trials] == [None] * len(trials)
    assert at["PoolActor"] - at["app.work.ray_entry"]


@pytest.mark.long
@pytest.mark.usefixtures("light")
def test_a_job_survives_the_death_of_its_cluster(sqlite: Database, ray: Cluster, api: Api) -> None:
    job = queue(sqlite, keep(sqlite, weeks()))
    with worker_of(sqlite, ray, api):
        counting(sqlite, job)
        ray.kill("head")
        ray.kill("node")
        eventually(lambda: look(sqlite, job).state == "queued")
        time.sleep(1)
        assert look(sqlite, job).state == "queued"  # no worker submits it to a head that does not answer
        ray.restart()
        done = assert_one_version(sqlite, job)
    assert done.token >= 2  # a head that is busy starting may lose a lease, too
    assert done.result["begun"] >= 3
