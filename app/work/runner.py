"""One attempt at a job: what is done for its kind, and how that ended."""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from enum import IntEnum

from app.problems import KINDS, CorruptBundle, NotFound
from app.store import tasks
from app.store.db import Database, DatabaseUnreachable
from app.store.jobs import Fenced
from app.work.job_context import DatabaseJobContext, JobContext, JobFunction
from models.errors import Cancelled, Diverged, EngineMismatch, ForecastError, InputError

logger = logging.getLogger(__name__)

Works = Callable[[], Mapping[str, JobFunction]]


class ExitStatus(IntEnum):
    """Why an attempt ended; anything else is a crash, after which the job is tried again."""

    DONE = 0
    REFUSED = 64  # the job itself is wrong: trying again would not help
    CANCELLED = 65
    FENCED = 66
    TEMPORARY = 75  # something around it was not there: later it may be
    OUT_OF_MEMORY = 137  # tried again once


ERROR_CODES: dict[type[ForecastError], str] = {
    InputError: "invalid_input",
    Diverged: "diverged",
    EngineMismatch: "engine_mismatch",
}


def attempt(database: Database, order: tuple[int, str, int], works: Works) -> ExitStatus:
    """Do the job that ``order`` names: tenant, id and token. A crash is left to the dispatcher to see."""
    try:
        return _attempt(database, order, works)
    except Fenced as error:
        logger.warning("fenced", extra={"job": order[1], "reason": str(error)})
        return ExitStatus.FENCED
    except DatabaseUnreachable as error:
        logger.error("the database does not answer", extra={"job": order[1], "reason": error.reason})
        return ExitStatus.TEMPORARY
    except MemoryError as error:
        logger.error("out of memory", extra={"job": order[1], "reason": str(error)})
        return ExitStatus.OUT_OF_MEMORY


def _attempt(database: Database, order: tuple[int, str, int], works: Works) -> ExitStatus:
    with database.read() as session:
        task = tasks.task(session, *order)
    return do(DatabaseJobContext(database, task), works())


def do(context: JobContext, works: Mapping[str, JobFunction]) -> ExitStatus:
    """Do the job of ``context`` by what is done for its kind."""
    kind = context.job.kind
    if kind not in works:
        context.fail("unknown_kind", f"this worker knows no jobs of the kind {kind!r}; is it of an older release?")
        return ExitStatus.REFUSED
    return run(context, works[kind])


def run(context: JobContext, work: JobFunction) -> ExitStatus:
    """Do ``work``, and record how it ended; a crash is left to the dispatcher to see."""
    try:
        return _run(context, work)
    except Fenced as error:
        logger.warning("fenced", extra={"job": context.job.id, "reason": str(error)})
        return ExitStatus.FENCED


def _run(context: JobContext, work: JobFunction) -> ExitStatus:
    try:
        context.finish(work(context))
    except Cancelled:
        context.mark_cancelled()
        return ExitStatus.CANCELLED
    except ForecastError as error:
        context.fail(code_of(error), str(error))
        return ExitStatus.REFUSED
    except (NotFound, CorruptBundle) as error:  # what the job needs is gone or damaged, and will be so the next time
        context.fail(KINDS[type(error)].code, str(error))
        return ExitStatus.REFUSED
    return ExitStatus.DONE


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
