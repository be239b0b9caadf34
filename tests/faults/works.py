"""Works that are nothing but their faults, and the child process that does them: ``python -m tests.faults.works PIPE``.

What a work is to do stands in its job's request: ``steps`` of ``step_s`` seconds each, ``log``: a file to which each
run adds a line. They keep checkpoints, leave a file behind and register a version as training does, in milliseconds.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from app.store.outcomes import Candidate, Outcome, Ruling
from app.work.job_context import JobContext, Work
from app.work.local_child import main
from models.errors import Cancelled, Fault, InputError
from models.forecasting import bundle
from tests.fakes import says, scores


def version() -> Candidate:
    made = says(1, 2, -1)
    ruling = Ruling(verdict="promoted", reason="the first version")
    return Candidate(
        bundle=bundle.to_bytes(made),
        spec=made.spec.to_json(),
        scores=scores(),
        skill=0.25,
        data_sha256="5a1e5",
        ruling=ruling,
    )


def note(desk: JobContext, word: str) -> None:
    """Add a line to the log of the test; one write of a few bytes is not torn apart."""
    if (log := desk.job.request.get("log")) is not None:
        with Path(log).open("a") as file:
            file.write(f"{word} {desk.job.id} {desk.job.token} {os.getpid()}\n")


HOARD: list[bytes] = []


def hoard(desk: JobContext) -> Outcome:
    """Leave so many ``bytes`` behind in the memory of the process."""
    HOARD.append(b"x" * desk.job.request.get("bytes", 0))
    note(desk, "begin")
    return Outcome()


def steps(desk: JobContext) -> Outcome:
    """Go on from the newest checkpoint, a step at a time; leave a file behind, and a version.

    With ``early`` another file is there from the beginning.
    """
    total, begin = desk.job.request["steps"], int(desk.checkpoint() or b"0")
    note(desk, "begin")
    if desk.job.request.get("early"):
        with desk.artifact("early.txt", "text/plain") as file:
            file.write(b"attempt %d" % desk.job.attempt)
    for number in range(begin, total):
        time.sleep(desk.job.request.get("step_s", 0.1))
        desk.keep(b"%d" % (number + 1))
        if desk.report({"step": number + 1, "pid": os.getpid()}):
            raise Cancelled("asked")
    with desk.artifact("steps.txt", "text/plain") as file:
        file.write(b"%d" % total)
    note(desk, "end")
    return Outcome(result={"resumed_from": begin}, version=version())


def nothing(desk: JobContext) -> Outcome:
    """Only say that it ran."""
    note(desk, "begin")
    return Outcome()


def stubborn(desk: JobContext) -> Outcome:
    """Hear nothing and say nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    desk.report({"pid": os.getpid()})
    while True:
        time.sleep(0.1)


def poison(desk: JobContext) -> Outcome:
    """Kill the process that does it."""
    note(desk, "begin")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def greedy(desk: JobContext) -> Outcome:
    """End as the kernel ends what takes too much memory."""
    os._exit(137)


def bad(desk: JobContext) -> Outcome:
    """Have data that cannot be used."""
    raise InputError([Fault(code="too_short", message="3 points are too few", hint="send more")])


def die(desk: JobContext) -> None:
    """End this process at once, and with ``all`` the worker before it."""
    if desk.job.request.get("all"):
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def uncommitted(desk: JobContext) -> Outcome:
    """Die once, after the file is written and before the end is."""
    with desk.artifact("steps.txt", "text/plain") as file:
        file.write(b"attempt %d" % desk.job.attempt)
    if desk.job.attempt == 1:
        die(desk)
    return Outcome(version=version())


def unanswered(desk: JobContext) -> Outcome:
    """Die after the end is written and before anybody is told."""
    note(desk, "begin")
    desk.finish(Outcome(version=version()))
    die(desk)
    raise AssertionError


WORKS: Mapping[str, Work] = {
    work.__name__: work for work in (steps, nothing, hoard, stubborn, poison, greedy, bad, uncommitted, unanswered)
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda: WORKS))
