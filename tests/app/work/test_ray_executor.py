"""The executor for a Ray cluster, against a fake head that runs real processes."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from app.problems import ServiceError
from app.settings import Settings
from app.store.tables import Job
from app.work.attempt_credentials import AttemptCredentials
from app.work.executors import Finished, Running, Unknown
from app.work.executors import ray as ray_executor
from app.work.executors.ray import RayExecutor, on_cluster
from app.work.http_client import HttpClient
from tests.app.work.fake_ray_head import TOKEN, FakeHead, fake_head
from tests.app.work.small_jobs import eventually

API = "http://api:8000/"
SECRET = "s" * 43


@pytest.fixture
def head() -> Iterator[FakeHead]:
    with fake_head() as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll the head ten times a second."""
    monkeypatch.setattr(ray_executor, "POLL_S", 0.1)


@contextmanager
def executor_of(head: FakeHead, slots: int = 3, stale_s: float = 1.0, token: str = TOKEN) -> Iterator[RayExecutor]:
    executor = RayExecutor(HttpClient(head.url, token, 5.0), token, API, slots, stale_s)
    try:
        yield executor
    finally:
        executor.close()


def job(identity: str = "j1", token: int = 1, resource: str = "cpu") -> Job:
    return Job(id=identity, token=token, kind="train", model="demand", attempt=1, resource=resource)


def runs(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Set the program of every attempt."""
    monkeypatch.setattr(ray_executor, "ENTRYPOINT", f"python -c '{program}'")


def state_of(executor: RayExecutor, run: str, kind: type) -> Finished | Running | Unknown:
    """Return the status of the run once it is of this kind."""
    return eventually(lambda: isinstance(state := executor.poll(run), kind) and state, 20)


@pytest.mark.parametrize(
    ("program", "code"),
    [("pass", 0), ("raise(SystemExit(64))", 64), ("import os;os.kill(os.getpid(),9)", 137)],
)
def test_a_run_ends_with_the_status_of_its_process(
    head: FakeHead, monkeypatch: pytest.MonkeyPatch, program: str, code: int
) -> None:
    runs(monkeypatch, program)
    with executor_of(head) as executor:
        run = executor.start(job(), SECRET)
        assert executor.poll(run) == Running()
        assert state_of(executor, run, Finished) == Finished(code)


def test_a_submission_names_its_resources_and_encrypts_the_secret(
    head: FakeHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    with executor_of(head) as executor:
        executor.start(job("j7", 4, "gpu"), SECRET)
        [order] = eventually(lambda: head.submitted)
    assert (order["submission_id"], order["entrypoint_num_cpus"], order["entrypoint_num_gpus"]) == ("j7-4", 1, 1)
    assert SECRET not in json.dumps(order)
    told = order["runtime_env"]["env_vars"] | {"RAY_AUTH_TOKEN": TOKEN}
    assert AttemptCredentials.from_environment(told) == AttemptCredentials(
        "http://api:8000/internal/v1/attempts/j7/4", SECRET
    )
    for changed in (
        {"RAY_AUTH_TOKEN": "another"},
        {"FORECASTLE_ATTEMPT_URL": "http://elsewhere"},
        {"FORECASTLE_ATTEMPT_MASKED": "no hex"},
        {"FORECASTLE_ATTEMPT_MASKED": "00"},
    ):
        with pytest.raises(ValueError, match="FORECASTLE_ATTEMPT_MASKED cannot be decrypted; give this machine"):
            AttemptCredentials.from_environment(told | changed)
    with pytest.raises(ValueError, match="RAY_AUTH_TOKEN not set"):
        AttemptCredentials.from_environment(order["runtime_env"]["env_vars"])


def test_an_attempt_whose_answer_was_lost_is_submitted_once_and_runs_once(
    head: FakeHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, "pass")
    head.lost_answers = 1
    with executor_of(head, stale_s=20) as executor:
        assert state_of(executor, executor.start(job(), SECRET), Finished) == Finished(0)
        assert state_of(executor, executor.start(job(), SECRET), Finished) == Finished(0)  # the same name: the same run
    assert [order["submission_id"] for order in head.submitted] == ["j1-1"]


def test_a_stopped_run_ends_and_is_never_submitted_afterwards(head: FakeHead, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, "import time;time.sleep(600)")
    with executor_of(head) as executor:
        run = executor.start(job(), SECRET)
        eventually(lambda: head.runs)
        executor.stop(run, 10)
        assert state_of(executor, run, Finished) == Finished(-15)
        head.stop()
        eventually(lambda: executor.free() == 0)
        late = executor.start(job("j2"), SECRET)
        executor.stop(late, 10)
        head.start()
        assert state_of(executor, late, Finished) == Finished(-15)
    assert list(head.runs) == ["j1-1"]


def test_without_a_head_every_status_is_unknown_and_no_slot_is_free(
    head: FakeHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, "import time;time.sleep(600)")
    with executor_of(head) as executor:
        eventually(lambda: executor.free() == 3)
        run = executor.start(job(), SECRET)
        eventually(lambda: head.runs)
        assert executor.free() == 2
        head.stop()
        assert state_of(executor, run, Unknown) == Unknown()
        assert executor.free() == 0
        head.start()  # it was only out of reach
        assert state_of(executor, run, Running) == Running()
        head.die()
        head.start()  # after its restart it has no records
        assert state_of(executor, run, Unknown) == Unknown()
        eventually(lambda: executor.free() == 3)
    assert len(head.submitted) == 1


def test_a_head_that_hangs_delays_no_caller(head: FakeHead, monkeypatch: pytest.MonkeyPatch) -> None:
    with executor_of(head) as executor:
        eventually(lambda: executor.free() == 3)
        monkeypatch.setattr(head, "get", lambda path: time.sleep(2) or (404, b""))
        run = executor.start(job(), SECRET)
        began_s = time.monotonic()
        for ask in (lambda: executor.poll(run), executor.free, lambda: executor.stop(run, 10)):
            ask()
        assert time.monotonic() - began_s < 1
        assert state_of(executor, run, Unknown) == Unknown()
        eventually(lambda: executor._is_out)
        began_s = time.monotonic()
        assert [executor.adopt(job("lost", token)) for token in range(5)] == [None] * 5
        assert time.monotonic() - began_s < 1


def test_the_next_executor_adopts_running_attempts_and_no_unknown_ones(
    head: FakeHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, "import time;time.sleep(600)")
    with executor_of(head) as first:
        first.start(job(), SECRET)
        eventually(lambda: head.runs)
    assert head.runs["j1-1"].poll() is None  # closing stops nothing
    with executor_of(head) as second:
        run = second.adopt(job())
        assert run is not None
        assert second.adopt(job(token=2)) is None
        assert second.poll(run) == Running()
        head.runs["j1-1"].kill()
        assert state_of(second, run, Finished) == Finished(137)
        head.stop()
        assert second.adopt(job()) is None
    assert len(head.submitted) == 1


def test_a_refused_submission_ends_and_a_wrong_token_is_logged_once(
    head: FakeHead, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    head.refuse = 400
    with ExitStack() as stack:
        executor = stack.enter_context(executor_of(head))
        assert state_of(executor, executor.start(job(), SECRET), Finished) == Finished(75)
        stranger = stack.enter_context(executor_of(head, token="of-another"))
        time.sleep(1)
        assert stranger.free() == 0
        assert stranger.adopt(job()) is None
    said = [str(vars(record)) for record in caplog.records]
    assert sum("refuses the token" in line for line in said) == 1
    assert not any(word in line for word in (TOKEN, SECRET) for line in said)


def test_a_missing_variable_is_named() -> None:
    settings = Settings(executor="ray", api_url="http://api:8000")
    whole = {"RAY_ADDRESS": "http://127.0.0.1:9", "RAY_AUTH_TOKEN": "t\n"}
    executor = on_cluster(settings, whole)
    assert executor.free() == 0
    executor.close()
    for name in whole:
        with pytest.raises(ServiceError, match=name):
            on_cluster(settings, {**whole, name: " "})
    with pytest.raises(ServiceError, match="FORECASTLE_API_URL"):
        on_cluster(Settings(executor="ray"), whole)
    with pytest.raises(ServiceError, match="got the address 'head:8265'"):
        on_cluster(settings, {**whole, "RAY_ADDRESS": "head:8265"})


@pytest.mark.parametrize("url", ["head:8265", "ftp://head", "http://", "http://head?x=1"])
def test_a_malformed_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="got the address"):
        HttpClient(url, TOKEN, 1.0)
