"""Executor of attempts in child processes, which stay warm: each imports TensorFlow once, not once for each job."""

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
IDLE_S = 300.0  # a process without a job ends after this time
LEAVE_S = 5.0  # a dismissed process is killed after this time
# NPROC: of XLA under JAX; torch reads OMP_NUM_THREADS.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")


@dataclass(slots=True, eq=False)
class Child:
    """A child process; it writes the exit status of each job but its last to the pipe ``reports``."""

    process: subprocess.Popen[bytes]
    reports: int
    handle: Handle | None = None
    since_s: float = 0.0  # when its job began, or its idle time, monotonic
    kill_s: float | None = None  # when it is to be killed, monotonic
    oom_kills: int = 0  # by the machine's kernel, when its job began


class LocalExecutor:
    """Runs up to ``settings.worker_slots`` attempts at a time; they end with this process."""

    outlives = False

    def __init__(self, settings: Settings, command: Sequence[str] = COMMAND) -> None:
        self._slots, self._command = settings.worker_slots, tuple(command)
        threads = settings.job_threads or max(1, (os.cpu_count() or 1) // settings.worker_slots)
        self._environment = {**environment(settings), **dict.fromkeys(THREADS, str(threads))}
        self._children: list[Child] = []  # with a job, or idle
        self._leaving: list[Child] = []

    def start(self, job: Job, secret: str) -> Handle:
        handle = f"{job.id}-{job.token}"
        line = f"{job.tenant_id} {job.id} {job.token} {job.kind} {job.traceparent or ''}\n".encode()
        for child in [child for child in self._children if child.handle is None]:
            if self._send(child, handle, line):
                return handle
            self._dismiss(child)
        child = self._spawn()
        if not self._send(child, handle, line):
            child.handle = handle  # it has ended already; ``poll`` will report that
        return handle

    def poll(self, handle: Handle) -> Status:
        child = self._find(handle)
        if child is None:
            return Unknown()
        code, reported = child.process.poll(), _read_report(child)
        if reported is not None:
            child.handle, child.since_s = None, time.monotonic()
            if code is not None or child.kill_s is not None:
                self._dismiss(child)
            return Finished(reported)
        if code is None:
            _kill_if_due(child)
            return Running()
        # The kernel sends SIGKILL when memory runs out, but so may others: only its own count tells them apart.
        is_oom = code == -9 and child.kill_s is None and oom_kills() > child.oom_kills
        self._dismiss(child)
        return Finished(ExitStatus.OUT_OF_MEMORY if is_oom else code)

    def stop(self, handle: Handle, grace_s: float) -> None:
        child = self._find(handle)
        if child is None:
            return
        if child.kill_s is None:
            child.process.terminate()
        kill_s = time.monotonic() + grace_s
        child.kill_s = kill_s if child.kill_s is None else min(child.kill_s, kill_s)
        _kill_if_due(child)

    def adopt(self, job: Job) -> Handle | None:
        """Return None: no child outlives its dispatcher."""
        return None

    def free(self) -> int:
        now_s = time.monotonic()
        for child in [child for child in self._children if child.handle is None]:
            if child.process.poll() is not None or now_s - child.since_s > IDLE_S:
                self._dismiss(child)
        for child in self._leaving:
            _kill_if_due(child)
        self._leaving = [child for child in self._leaving if child.process.poll() is None]
        return self._slots - sum(child.handle is not None for child in self._children)

    def close(self) -> None:
        """End every child, including those that still have a job."""
        for child in list(self._children):
            self._dismiss(child)
        for child in self._leaving:
            try:
                child.process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._leaving.clear()

    def _find(self, handle: Handle) -> Child | None:
        return next((child for child in self._children if child.handle == handle), None)

    def _spawn(self) -> Child:
        reports, child_end = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [*self._command, str(child_end)], stdin=subprocess.PIPE, env=self._environment, pass_fds=[child_end]
            )
        except OSError:
            os.close(reports)
            raise
        finally:
            os.close(child_end)
        os.set_blocking(reports, False)
        child = Child(process, reports)
        self._children.append(child)
        return child

    def _send(self, child: Child, handle: Handle, line: bytes) -> bool:
        """Send a job to a child; return False if the child has ended."""
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
        """End a child by closing its standard input."""
        self._children.remove(child)
        os.close(child.reports)
        with suppress(BrokenPipeError):  # it ended before it had read everything
            close(child.process)
        child.kill_s = time.monotonic() + LEAVE_S
        self._leaving.append(child)


def oom_kills() -> int:
    """Return how many processes the kernel has killed for their memory since boot; 0 where it does not count them."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _read_report(child: Child) -> int | None:
    """Return the exit status that a child has reported for its job; None if there is none yet."""
    try:
        line = os.read(child.reports, 64)
    except BlockingIOError:
        return None
    return int(line) if line else None


def _kill_if_due(child: Child) -> None:
    if child.kill_s is not None and time.monotonic() >= child.kill_s:
        child.process.kill()
