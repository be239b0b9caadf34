"""Attempts in child processes that stay warm: TensorFlow is imported once for each process, not once for each job."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from app.store.tables import Job
from app.work.executors import Finished, Handle, Running, Status, Unknown
from app.work.processes import close, environment
from app.work.runner import ExitStatus

# -P: the working folder is the user's, and may hold an app.py or a models folder of its own.
COMMAND = (sys.executable, "-P", "-m", "app.work.local_child")
IDLE_S = 300.0  # that a process waits for its next job
LEAVE_S = 5.0  # that a process has to end once nobody wants it
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(slots=True, eq=False)
class Child:
    """A child process; ``reports`` is the pipe on which it says how a job ended, if it will do another."""

    process: subprocess.Popen[bytes]
    reports: int
    handle: Handle | None = None
    since_s: float = 0.0  # when its job began, or it began to wait, monotonic
    kill_s: float | None = None  # when it has to be gone
    oom_kills: int = 0  # of the machine, when its job began


class LocalExecutor:
    """``settings.worker_slots`` jobs at a time; what its dispatcher does not live to see, they do not either."""

    outlives = False

    def __init__(self, settings: Settings, command: Sequence[str] = COMMAND) -> None:
        self._slots, self._command = settings.worker_slots, tuple(command)
        threads = settings.job_threads or max(1, (os.cpu_count() or 1) // settings.worker_slots)
        self._environment = {**environment(settings), **dict.fromkeys(THREADS, str(threads))}
        self._children: list[Child] = []  # that have a job or wait for one
        self._leaving: list[Child] = []

    def start(self, job: Job, secret: str) -> Handle:
        """See ``Executor``; a child that has the database needs no ``secret``."""
        handle = f"{job.id}-{job.token}"
        line = f"{job.tenant_id} {job.id} {job.token}\n".encode()
        for child in [child for child in self._children if child.handle is None]:
            if self._give(child, handle, line):
                return handle
            self._dismiss(child)
        child = self._spawn()
        if not self._give(child, handle, line):
            child.handle = handle  # it ended as soon as it was started; how, ``poll`` will see
        return handle

    def poll(self, handle: Handle) -> Status:
        """See ``Executor``."""
        child = self._of(handle)
        if child is None:
            return Unknown()
        code, said = child.process.poll(), _read(child)
        if said is not None:
            child.handle, child.since_s = None, time.monotonic()
            if code is not None or child.kill_s is not None:
                self._dismiss(child)
            return Finished(said)
        if code is None:
            _kill_if_due(child)
            return Running()
        # The kernel's killer says nothing but SIGKILL; nor does anybody else.
        is_oom = code == -9 and child.kill_s is None and oom_kills() > child.oom_kills
        self._dismiss(child)
        return Finished(ExitStatus.OUT_OF_MEMORY if is_oom else code)

    def stop(self, handle: Handle, grace_s: float) -> None:
        """See ``Executor``."""
        child = self._of(handle)
        if child is None:
            return
        if child.kill_s is None:
            child.process.terminate()
        until_s = time.monotonic() + grace_s
        child.kill_s = until_s if child.kill_s is None else min(child.kill_s, until_s)
        _kill_if_due(child)

    def adopt(self, job: Job) -> Handle | None:
        """None: no child outlives its dispatcher."""
        return None

    def free(self) -> int:
        """See ``Executor``."""
        now_s = time.monotonic()
        for child in [child for child in self._children if child.handle is None]:
            if child.process.poll() is not None or now_s - child.since_s > IDLE_S:
                self._dismiss(child)
        for child in self._leaving:
            _kill_if_due(child)
        self._leaving = [child for child in self._leaving if child.process.poll() is None]
        return self._slots - sum(child.handle is not None for child in self._children)

    def close(self) -> None:
        """End every child, also those that still have a job."""
        for child in list(self._children):
            self._dismiss(child)
        for child in self._leaving:
            try:
                child.process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._leaving.clear()

    def _of(self, handle: Handle) -> Child | None:
        return next((child for child in self._children if child.handle == handle), None)

    def _spawn(self) -> Child:
        reports, theirs = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [*self._command, str(theirs)], stdin=subprocess.PIPE, env=self._environment, pass_fds=[theirs]
            )
        except OSError:
            os.close(reports)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(reports, False)
        child = Child(process, reports)
        self._children.append(child)
        return child

    def _give(self, child: Child, handle: Handle, line: bytes) -> bool:
        """Hand a child its job; False where it is not there any more."""
        child.handle, child.since_s, child.oom_kills = handle, time.monotonic(), oom_kills()
        try:
            assert child.process.stdin is not None
            child.process.stdin.write(line)
            child.process.stdin.flush()
        except BrokenPipeError:
            child.handle = None
            return False
        return True

    def _dismiss(self, child: Child) -> None:
        """Let go of a child: the end of its standard input is its own."""
        self._children.remove(child)
        os.close(child.reports)
        with suppress(BrokenPipeError):  # it left before it had read all
            close(child.process)
        child.kill_s = time.monotonic() + LEAVE_S
        self._leaving.append(child)


def oom_kills() -> int:
    """How many processes the kernel has killed for their memory since it was booted; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _read(child: Child) -> int | None:
    """The exit code that a child has reported for its job; None where there is none yet."""
    try:
        said = os.read(child.reports, 64)
    except BlockingIOError:
        return None
    return int(said) if said else None


def _kill_if_due(child: Child) -> None:
    if child.kill_s is not None and time.monotonic() >= child.kill_s:
        child.process.kill()
