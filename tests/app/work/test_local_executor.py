"""Warm child processes: one for many jobs, and none that outlives its parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from app.settings import Settings
from app.store.db import Database
from app.store.tables import Job
from app.work.dispatcher import Dispatcher
from app.work.executors import Finished, Running, Unknown
from app.work.executors import local as executors
from app.work.executors.local import LocalExecutor
from app.work.processes import _start_ticks, current_identity, is_dead
from tests.app.work.small_jobs import eventually, put_away

# Reads a job from standard input, and acts by the job's id.
ECHO = """
import os, sys, time
pipe = int(sys.argv[1])
for line in sys.stdin:
    tenant, job, *_ = line.split()
    if job == "crash":
        sys.exit(3)
    if job == "killed":
        os.kill(os.getpid(), 9)
    if job in ("66", "75"):
        sys.exit(int(job))
    if job == "hang":
        time.sleep(600)
    os.write(pipe, job.encode() + b"\\n")
"""


def job(name: str = "0", token: int = 1) -> Job:
    return Job(tenant_id=1, id=name, token=token)


@pytest.fixture(name="executor")
def executor_fixture() -> Iterator[LocalExecutor]:
    made = LocalExecutor(Settings(worker_slots=2), (sys.executable, "-c", ECHO))
    yield made
    made.close()


def run(executor: LocalExecutor, name: str) -> Any:
    """Start a job and wait for its end."""
    handle = executor.start(job(name), "secret")
    return eventually(lambda: (found := executor.poll(handle)) != Running() and found)


def pids(executor: LocalExecutor) -> list[int]:
    return [child.process.pid for child in executor._children]


def test_a_child_runs_one_job_after_another(executor: LocalExecutor) -> None:
    assert run(executor, "0") == Finished(0)
    [first] = pids(executor)
    assert [run(executor, name) for name in ("64", "65", "0")] == [Finished(64), Finished(65), Finished(0)]
    assert pids(executor) == [first]


@pytest.mark.parametrize(("name", "code"), [("66", 66), ("75", 75), ("crash", 3), ("killed", -9)])
def test_after_any_other_exit_status_the_next_job_gets_a_new_process(
    executor: LocalExecutor, name: str, code: int
) -> None:
    assert run(executor, name) == Finished(code)
    assert pids(executor) == []
    assert run(executor, "0") == Finished(0)


def test_an_idle_child_is_dismissed(executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    run(executor, "0")
    child = executor._children[0].process
    monkeypatch.setattr(executors, "IDLE_S", 0.0)
    assert executor.free() == 2
    eventually(lambda: child.poll() is not None)


def test_a_worker_dismisses_an_idle_child_without_another_job(
    executor: LocalExecutor, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = Dispatcher(sqlite, Settings(poll_s=0.001), executor)
    run(executor, "0")
    child = executor._children[0].process
    dispatcher.step()
    assert child.poll() is None
    monkeypatch.setattr(executors, "IDLE_S", 0.0)
    eventually(lambda: dispatcher.step() or child.poll() is not None, 30.0)


def test_there_are_at_most_as_many_concurrent_jobs_as_slots(executor: LocalExecutor) -> None:
    assert executor.free() == 2
    first, second = executor.start(job("hang", 1), ""), executor.start(job("hang", 2), "")
    assert (executor.free(), len({first, second})) == (0, 2)
    executor.stop(first, 60.0)
    assert eventually(lambda: (found := executor.poll(first)) != Running() and found) == Finished(-signal.SIGTERM)
    assert executor.free() == 1
    assert (executor.poll(first), executor.poll(second)) == (Unknown(), Running())


def test_a_kill_for_memory_is_distinguished_from_any_other_kill(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = iter([7, 8])
    monkeypatch.setattr(executors, "oom_kills", lambda: next(kills, 8))
    assert run(executor, "killed") == Finished(137)
    assert run(executor, "killed") == Finished(-9)


def test_the_kernels_count_of_memory_kills_is_read() -> None:
    assert executors.oom_kills() >= 0


def test_close_ends_busy_and_idle_children(executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "LEAVE_S", 0.2)
    run(executor, "0")
    executor.start(job("hang"), "")
    children = [child.process for child in executor._children]
    executor.close()
    assert all(child.returncode is not None for child in children)


def test_a_command_that_cannot_be_started_is_an_os_error() -> None:
    executor = LocalExecutor(Settings(), ("/nowhere/at/all",))
    with pytest.raises(OSError, match="nowhere"):
        executor.start(job(), "")
    assert executor.free() == 1


def test_children_get_their_share_of_threads() -> None:
    say = "import os, sys; os.write(int(sys.argv[1]), os.environ['NPROC'].encode()); sys.stdin.read()"
    executor = LocalExecutor(Settings(job_threads=3), (sys.executable, "-c", say))
    assert run(executor, "0") == Finished(3)
    executor.close()


def test_an_idle_child_ends_with_its_standard_input_and_a_busy_one_at_once() -> None:
    reads, writes = os.pipe()
    command = [sys.executable, "-m", "app.work.local_child", str(writes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[writes]) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(60) == 0
    os.close(reads)
    os.close(writes)


def test_a_process_is_recognised_by_machine_id_and_start_time() -> None:
    me = current_identity("a")
    assert not is_dead(me)
    assert not is_dead({**me, "machine": "another", "pid": 2**22 + 1})  # unknown
    assert is_dead({**me, "born": me["born"] - 1})  # the id was used again
    with subprocess.Popen(["sleep", "600"]) as process:
        other = {**me, "pid": process.pid, "born": _start_ticks(process.pid)}
        process.send_signal(signal.SIGSTOP)
        assert not is_dead(other)  # frozen is not dead
        process.kill()
        eventually(lambda: is_dead(other))  # as a zombie, and after that
        put_away(process)
    assert is_dead(other)
