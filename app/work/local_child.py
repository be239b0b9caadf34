"""A child process that runs one job after another: ``python -m app.work.local_child PIPE``.

Each line on standard input names a job, as TENANT JOB TOKEN KIND, with the ``traceparent`` of the span that it belongs
to, if there is one; the process writes each job's exit status to PIPE. Its
dispatcher holds the other end of standard input, and the process ends when that closes.
"""

import ctypes
import gc
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from app.planning.job_kind import limits_of
from app.settings import Settings
from app.store import tasks
from app.store.db import Database
from app.telemetry import Traces, configure_logging
from app.work.job_context import DatabaseJobContext, JobFunction
from app.work.job_functions import load_job_functions
from app.work.processes import hold_stderr
from app.work.runner import ExitStatus, run_attempt

NICE = 10  # forecasts go first
PR_SET_PDEATHSIG = 1
# After any other status the memory, the network or the fencing token is not as it should be.
WARM_AFTER = (ExitStatus.DONE, ExitStatus.REFUSED, ExitStatus.CANCELLED)
STATM = Path("/proc/self/statm")


class JobLines:
    """The lines on standard input. A thread reads them, so that it can end the process even while a job runs."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock, self._is_busy, self._is_over = threading.Lock(), False, False
        threading.Thread(target=self._read, name="job-lines", daemon=True).start()

    def next(self) -> str | None:
        """Wait for the next line and return it; None once standard input is closed."""
        self._is_busy = False
        line = self._lines.get()
        with self._lock:
            self._is_busy = not self._is_over
            return line if self._is_busy else None

    def _read(self) -> None:
        # Not sys.stdin: a thread blocked in its buffer aborts the interpreter's shutdown.
        rest = b""
        while data := os.read(0, 4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._lines.put(line.decode())
        with self._lock:
            if self._is_busy:
                os._exit(os.EX_TEMPFAIL)
            self._is_over = True
        self._lines.put(None)


def main(arguments: list[str], load: Callable[[], Mapping[str, JobFunction]] = load_job_functions) -> int:
    """Run jobs with the functions that ``load`` returns, until standard input closes or a job makes the process unfit.

    Return the exit status of that job; ``DONE`` if standard input has closed.
    """
    pipe = int(arguments[0])
    os.set_inheritable(pipe, False)
    if sys.platform == "linux":  # the kernel also ends a process that is too busy to read its standard input
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(NICE)
    lines = JobLines()
    settings = Settings()
    configure_logging(settings.log_format)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
    with hold_stderr():
        functions = load()
    gc.freeze()  # without it, the collection after each job would search the libraries, which takes 0.3 s
    database = Database(settings.url, quotas=settings.quotas)
    traces = Traces(settings.traces_url, "job")

    def open_context(tenant_id: int, job_id: str, token: int) -> DatabaseJobContext:
        with database.read() as session:
            task = tasks.task(session, tenant_id, job_id, token)
        return DatabaseJobContext(database, task, limits=limits_of(settings))

    while (line := lines.next()) is not None:
        tenant_id, job_id, token, kind, *parent = line.split()
        with traces.span(f"job {kind}", "consumer", parent[0] if parent else None) as attributes:
            status = run_attempt(job_id, lambda: open_context(int(tenant_id), job_id, int(token)), functions)  # noqa: B023
            attributes |= {"forecastle.job": job_id, "forecastle.token": int(token), "forecastle.exit": status.name}
        gc.collect()
        if status not in WARM_AFTER or resident_bytes() > settings.warm_bytes:
            traces.close()
            return status
        os.write(pipe, b"%d\n" % status)
    traces.close()
    return ExitStatus.DONE


def resident_bytes() -> int:
    """Return the memory of this process; its maximum so far where the system does not tell the present value."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()  # proc(5): the 2nd field, in pages
    except OSError:
        maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return maximum if sys.platform == "darwin" else maximum * 1024  # getrusage(2): bytes there, KiB elsewhere


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
