"""An attempt as its dispatcher tracks it, and the record of its end."""

from dataclasses import dataclass

from app.store import jobs
from app.store.db import Database
from app.store.jobs import Fenced
from app.store.tables import Job
from app.work.executors import Handle
from app.work.runner import ExitStatus

# Error code and message by exit status, for an attempt that recorded no end of its own; any other status is a crash.
ERRORS: dict[int, tuple[str, str]] = {
    ExitStatus.TEMPORARY: ("temporary", "something that the job needs was not there; see the worker's log"),
    ExitStatus.OUT_OF_MEMORY: (
        "out_of_memory",
        "the job's process took more memory than there was; give it less data",
    ),
}


@dataclass(slots=True, eq=False)
class TrackedAttempt:
    """A job that a dispatcher runs, and its state; times are monotonic seconds."""

    job: Job
    handle: Handle
    known_s: float  # when the executor last reported that it runs
    code: int | None = None  # its exit status, once it has ended
    unwanted_s: float | None = None  # when the dispatcher first saw that the job is cancelled or over
    is_late: bool = False  # the job's deadline, or the longest time of an attempt, has passed
    is_stopped: bool = False  # the executor was asked to stop it

    @property
    def name(self) -> tuple[str, int]:
        """The job's id and the fencing token."""
        return self.job.id, self.job.token


def settle(database: Database, attempt: TrackedAttempt) -> None:
    """Record the end of an attempt that has not recorded it itself; leave a job alone that another attempt has."""
    with database.read() as session:
        ended = jobs.find_running(session, *attempt.name) is None
    if ended != (attempt.code == ExitStatus.FENCED):
        return  # it has recorded its end; or the executor knows nothing of it any more, and its lease decides
    try:
        with database.write() as session:
            if ended:
                jobs.mark_fenced(session, *attempt.name)
            elif attempt.unwanted_s is not None:
                jobs.mark_cancelled(session, *attempt.name)
            elif attempt.is_late:
                deadline = attempt.job.deadline_at
                message = f"did not finish by {deadline or 'the longest time of a job, FORECASTLE_MAX_JOB_S'}"
                jobs.fail(session, *attempt.name, "timeout", message, retry=False)
            else:
                code = attempt.code or 0
                how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
                crashed = "crashed", f"the job's process ended {how}; see the worker's log"
                jobs.fail(session, *attempt.name, *ERRORS.get(code, crashed), retry=True)
    except Fenced:
        return  # it ended, or was taken over, since the read above


def put_back(database: Database, attempt: TrackedAttempt) -> bool:
    """Put the job back into the queue without counting the attempt; return False if it has ended in the meantime."""
    try:
        with database.write() as session:
            jobs.release(session, *attempt.name)
    except Fenced:
        return False
    return True
