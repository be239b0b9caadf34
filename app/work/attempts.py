"""An attempt as its dispatcher knows it, and what becomes of its job once it has ended."""

from dataclasses import dataclass

from app.store import jobs
from app.store.db import Database
from app.store.jobs import Fenced
from app.store.tables import Job
from app.work.executors import Handle
from app.work.runner import ExitStatus

# What an exit status says of an attempt that recorded no end of its own; anything else is a crash.
REASONS: dict[int, tuple[str, str]] = {
    ExitStatus.TEMPORARY: ("temporary", "something that the job needs was not there; see the worker's log"),
    ExitStatus.OUT_OF_MEMORY: ("out_of_memory", "the job's process took more memory than there was; give it less data"),
}


@dataclass(slots=True, eq=False)
class TrackedAttempt:
    """A job that a dispatcher has, and how it stands; moments are monotonic."""

    job: Job
    handle: Handle
    known_s: float  # when it was last known to run
    code: int | None = None  # once it has ended
    unwanted_s: float | None = None  # when it was first seen that it is to be cancelled, or has ended
    is_late: bool = False  # its deadline has passed
    is_stopped: bool = False

    @property
    def name(self) -> tuple[str, int]:
        """The job's id and the token."""
        return self.job.id, self.job.token


def settle(database: Database, attempt: TrackedAttempt) -> None:
    """Record the end of an attempt that has not done so itself; a job that another has is left alone."""
    with database.read() as session:
        ended = jobs.running(session, *attempt.name) is None
    if ended != (attempt.code == ExitStatus.FENCED):
        return  # it has recorded its end; or nobody knows of it any more, and its lease decides
    try:
        with database.write() as session:
            if ended:
                jobs.fenced(session, *attempt.name)
            elif attempt.unwanted_s is not None:
                jobs.mark_cancelled(session, *attempt.name)
            elif attempt.is_late:
                message = f"not done by its deadline, {attempt.job.deadline_at}"
                jobs.fail(session, *attempt.name, "timeout", message, retry=False)
            else:
                jobs.fail(session, *attempt.name, *_reason(attempt.code), retry=True)
    except Fenced:
        return  # it ended, or was taken over, this very moment


def give_back(database: Database, attempt: TrackedAttempt) -> bool:
    """Put the job in the queue again, the attempt not counted; False where it has ended in the meantime."""
    try:
        with database.write() as session:
            jobs.release(session, *attempt.name)
    except Fenced:
        return False
    return True


def _reason(code: int | None) -> tuple[str, str]:
    ended = f"by signal {-code}" if code is not None and code < 0 else f"with exit status {code}"
    crashed = "crashed", f"the job's process ended {ended}; see the worker's log"
    return crashed if code is None else REASONS.get(code, crashed)
