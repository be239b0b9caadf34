"""The child process of one job: ``python -m app.work.runner TENANT JOB TOKEN``.

It lives no longer than its dispatcher: standard input is a pipe from there, and its end is the end of this process.
"""

import logging
import os
import sys
import threading
from enum import IntEnum

from app.settings import Settings
from app.store import tasks
from app.store.db import Database
from app.store.jobs import Fenced
from app.telemetry import configure_logging
from app.work.desk import DatabaseDesk, Desk, Work
from models.errors import Cancelled, Diverged, EngineMismatch, ForecastError, InputError

logger = logging.getLogger(__name__)


class Exit(IntEnum):
    """Why the process ended; anything else is a crash, after which the job is tried again."""

    DONE = 0
    REFUSED = 64  # the job itself is wrong: trying again would not help
    CANCELLED = 65
    FENCED = 66


ERROR_CODES: dict[type[ForecastError], str] = {
    InputError: "invalid_input",
    Diverged: "diverged",
    EngineMismatch: "engine_mismatch",
}


def main(arguments: list[str]) -> int:
    """Run the job named and say how it ended; a crash is left to the dispatcher to see."""
    tenant_id, job_id, token = int(arguments[0]), arguments[1], int(arguments[2])
    watch_parent()
    configure_logging()
    database = Database(Settings().url)
    try:
        with database.read() as session:
            task = tasks.task(session, tenant_id, job_id, token)
    except Fenced as error:
        logger.warning("fenced", extra={"job": job_id, "reason": str(error)})
        return Exit.FENCED
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported, which is now
    from app.work.kinds import WORK  # noqa: PLC0415 - keeps TensorFlow out of processes that do not train

    return run(DatabaseDesk(database, task), WORK[task.kind])


def run(desk: Desk, work: Work) -> Exit:
    """Do ``work``, and record how it ended; a crash is left to the dispatcher to see."""
    try:
        return _run(desk, work)
    except Fenced as error:
        logger.warning("fenced", extra={"job": desk.job.id, "reason": str(error)})
        return Exit.FENCED


def _run(desk: Desk, work: Work) -> Exit:
    try:
        desk.finish(work(desk))
    except Cancelled:
        desk.cancelled()
        return Exit.CANCELLED
    except ForecastError as error:
        desk.fail(code_of(error), str(error))
        return Exit.REFUSED
    return Exit.DONE


def code_of(error: ForecastError) -> str:
    """The stable name under which a job keeps ``error``."""
    return next((ERROR_CODES[cls] for cls in type(error).__mro__ if cls in ERROR_CODES), "failed")


def watch_parent() -> None:
    """End this process when the pipe on standard input closes, as it does when the parent dies in whatever way."""
    threading.Thread(target=_end_with_parent, name="watch-parent", daemon=True).start()


def _end_with_parent() -> None:
    # Not sys.stdin: a thread blocked in its buffer aborts the interpreter's shutdown.
    while os.read(0, 1):
        pass
    os._exit(os.EX_TEMPFAIL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
