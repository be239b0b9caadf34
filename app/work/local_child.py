"""A child process that does one job after another: ``python -m app.work.local_child PIPE``.

Each line on standard input names a job, as TENANT JOB TOKEN; on PIPE goes how it ended. It lives no longer than its
dispatcher: standard input comes from there, and its end is the end of this process.
"""

import ctypes
import gc
import os
import queue
import resource
import signal
import sys
import threading
from pathlib import Path

from app.settings import Settings
from app.store.db import Database
from app.telemetry import configure_logging
from app.work.kinds import works
from app.work.runner import ExitStatus, Works, attempt

NICE = 10  # forecasts go first
PR_SET_PDEATHSIG = 1
WARM_AFTER = (
    ExitStatus.DONE,
    ExitStatus.REFUSED,
    ExitStatus.CANCELLED,
)  # else memory, network or token are not what they should be
STATM = Path("/proc/self/statm")


class Orders:
    """The lines on standard input, read by a thread that ends the process with them, whatever it is doing."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock, self._is_busy, self._is_over = threading.Lock(), False, False
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def next(self) -> str | None:
        """Wait for the next line; None: there will be none."""
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


def main(arguments: list[str], works: Works = works) -> int:
    """Do what is asked for by ``works``; the status of the last job where this process is to do no more."""
    pipe = int(arguments[0])
    os.set_inheritable(pipe, False)
    _die_with_parent()
    os.nice(NICE)
    orders = Orders()
    configure_logging()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
    settings, known = Settings(), works()
    gc.freeze()  # libraries: to look through them after each job would take 0.3 s
    database = Database(settings.url)
    while (line := orders.next()) is not None:
        tenant_id, job_id, token = line.split()
        code = attempt(database, (int(tenant_id), job_id, int(token)), lambda: known)
        gc.collect()
        if code not in WARM_AFTER or resident_bytes() > settings.warm_bytes:
            return code
        os.write(pipe, b"%d\n" % code)
    return ExitStatus.DONE


def resident_bytes() -> int:
    """The memory of this process; the most that it ever was where the system does not say what it is now."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()  # proc(5): the 2nd field, in pages
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024  # getrusage(2): bytes there, KiB elsewhere


def _die_with_parent() -> None:
    """The kernel ends what is too busy to read its standard input, too; where it is not Linux, nobody does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
