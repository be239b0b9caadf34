"""Run one attempt at a job: call the function of its kind, and record how it ended."""

import logging
from collections.abc import Callable, Mapping
from enum import IntEnum

from app.problems import PROBLEM_TYPES, CorruptBundle, NotFound
from app.store.db import DatabaseUnreachable
from app.store.jobs import Fenced
from app.work.http_client import ServiceUnreachable
from app.work.job_context import JobContext, JobFunction
from models.errors import Cancelled, Diverged, EngineMismatch, ForecastError, InputError

logger = logging.getLogger(__name__)


class ExitStatus(IntEnum):
    """Why an attempt ended; any other status is a crash, after which the job is tried again."""

    DONE = 0
    REFUSED = 64  # the job itself is wrong: trying again would not help
    CANCELLED = 65
    FENCED = 66  # another attempt has the job
    TEMPORARY = 75  # the database or the service was unreachable: the job is tried again
    OUT_OF_MEMORY = 137  # the job is tried again once


ERROR_CODES: dict[type[ForecastError], str] = {
    InputError: "invalid_input",
    Diverged: "diverged",
    EngineMismatch: "engine_mismatch",
}


def run_attempt(name: str, open_context: Callable[[], JobContext], functions: Mapping[str, JobFunction]) -> ExitStatus:
    """Run the attempt whose context ``open_context`` opens, and return why it ended; ``name`` stands for it in logs.

    ``functions``: the function for each kind of job. Any error but the expected ones ends the process, and the executor
    reports that as a crash.
    """
    try:
        return _run(open_context(), functions)
    except Fenced as error:
        logger.warning("the attempt has lost its job", extra={"job": name, "reason": str(error)})
        return ExitStatus.FENCED
    except DatabaseUnreachable as error:
        logger.error("the database does not answer", extra={"job": name, "reason": error.reason})
        return ExitStatus.TEMPORARY
    except ServiceUnreachable as error:
        logger.error("the service does not answer", extra={"job": name, "reason": str(error)})
        return ExitStatus.TEMPORARY
    except MemoryError as error:
        logger.error("out of memory", extra={"job": name, "reason": str(error)})
        return ExitStatus.OUT_OF_MEMORY


def _run(context: JobContext, functions: Mapping[str, JobFunction]) -> ExitStatus:
    kind = context.job.kind
    if kind not in functions:
        context.fail("unknown_kind", f"this worker knows no jobs of the kind {kind!r}; is it of an older release?")
        return ExitStatus.REFUSED
    try:
        context.finish(functions[kind](context))
    except Cancelled:
        context.mark_cancelled()
        return ExitStatus.CANCELLED
    except ForecastError as error:
        context.fail(code_of(error), str(error))
        return ExitStatus.REFUSED
    except (NotFound, CorruptBundle) as error:  # data or a version is gone or damaged, and stays so
        context.fail(PROBLEM_TYPES[type(error)].code, str(error))
        return ExitStatus.REFUSED
    return ExitStatus.DONE


def code_of(error: ForecastError) -> str:
    """Return the stable name under which a job keeps ``error``."""
    return next((ERROR_CODES[cls] for cls in type(error).__mro__ if cls in ERROR_CODES), "failed")
