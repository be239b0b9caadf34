"""Job functions that only cause faults, and their child process: ``python -m tests.faults.fault_jobs PIPE``.

A job's request says how to run: ``steps`` of ``step_s`` seconds each, ``log``: a file to which each run appends a line.
The functions keep checkpoints, write an artifact and register a version as training does, in milliseconds.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from app.store.jobs import JobProgress
from app.store.outcomes import Candidate, Outcome, Ruling
from app.work.job_context import JobContext, JobFunction
from app.work.local_child import main
from models.errors import Cancelled, Fault, InputError
from models.forecasting import bundle
from tests.fakes import report, says


def version() -> Candidate:
    made = says(1, 2, -1)
    ruling = Ruling(verdict="promoted", reason="the first version")
    return Candidate(
        bundle=bundle.to_bytes(made),
        spec=made.spec,
        report=report(),
        skill=0.25,
        data_sha256="5a1e5",
        ruling=ruling,
    )


def note(context: JobContext, word: str) -> None:
    """Append a line to the log of the test; one write of a few bytes is atomic."""
    if (log := context.job.request.get("log")) is not None:
        with Path(log).open("a") as file:
            file.write(f"{word} {context.job.id} {context.job.token} {os.getpid()}\n")


HOARD: list[bytes] = []


def hoard(context: JobContext) -> Outcome:
    """Leak ``bytes`` of memory in the process."""
    HOARD.append(b"x" * context.job.request.get("bytes", 0))
    note(context, "begin")
    return Outcome()


def steps(context: JobContext) -> Outcome:
    """Continue from the newest checkpoint, one step at a time; write an artifact and register a version.

    With ``early`` another file is there from the beginning.
    """
    total, begin = context.job.request["steps"], int(context.load_checkpoint() or b"0")
    note(context, "begin")
    if context.job.request.get("early"):
        with context.open_artifact("early.txt", "text/plain") as file:
            file.write(b"attempt %d" % context.job.attempt)
    for number in range(begin, total):
        time.sleep(context.job.request.get("step_s", 0.1))
        context.save_checkpoint(b"%d" % (number + 1))
        if context.report_progress(JobProgress(phase=str(os.getpid()), done=number + 1)):
            raise Cancelled("asked")
    with context.open_artifact("steps.txt", "text/plain") as file:
        file.write(b"%d" % total)
    note(context, "end")
    return Outcome(result={"resumed_from": begin}, version=version())


def nothing(context: JobContext) -> Outcome:
    """Log that it ran."""
    note(context, "begin")
    return Outcome()


def stubborn(context: JobContext) -> Outcome:
    """Ignore SIGTERM and report nothing more."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    context.report_progress(JobProgress(phase=str(os.getpid())))
    while True:
        time.sleep(0.1)


def poison(context: JobContext) -> Outcome:
    """Kill its own process."""
    note(context, "begin")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def greedy(context: JobContext) -> Outcome:
    """Exit as a process that the kernel kills for its memory."""
    os._exit(137)


def bad(context: JobContext) -> Outcome:
    """Refuse its data."""
    raise InputError([Fault(code="too_short", message="3 points are too few", hint="send more")])


def die(context: JobContext) -> None:
    """Kill this process, and with ``all`` first the worker."""
    if context.job.request.get("all"):
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def uncommitted(context: JobContext) -> Outcome:
    """Die in the first attempt, between the artifact and the end of the job."""
    with context.open_artifact("steps.txt", "text/plain") as file:
        file.write(b"attempt %d" % context.job.attempt)
    if context.job.attempt == 1:
        die(context)
    return Outcome(version=version())


def unanswered(context: JobContext) -> Outcome:
    """Die after the end is committed and before the worker learns of it."""
    note(context, "begin")
    context.finish(Outcome(version=version()))
    die(context)
    raise AssertionError


WORKS: Mapping[str, JobFunction] = {
    work.__name__: work for work in (steps, nothing, hoard, stubborn, poison, greedy, bad, uncommitted, unanswered)
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda: WORKS))
