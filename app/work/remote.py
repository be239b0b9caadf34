"""The process of one attempt on a cluster: ``python -m app.work.remote``; its environment says which attempt.

It has no database: all that it asks and says goes through the service's API. The cluster watches over it, and the token
fences it where the cluster cannot.
"""

import logging
import os
import sys
from contextlib import ExitStack

from app.store.jobs import Fenced
from app.telemetry import configure_logging
from app.work.desk_http import HttpDesk
from app.work.errand import Errand
from app.work.fanout import Cluster
from app.work.peer import Away
from app.work.runner import Exit, run
from models.pieces import one_by_one

logger = logging.getLogger(__name__)


def main() -> int:
    """Run the attempt and say how it ended; what nobody hears, because the service is away, is tried again."""
    configure_logging()
    try:
        errand = Errand.from_environment(os.environ)
    except ValueError as error:
        logger.error("this process cannot run", extra={"reason": str(error)})
        return os.EX_CONFIG
    try:
        with ExitStack() as stack:
            # Ray names itself to what it starts; without it the work is done here.
            each = stack.enter_context(Cluster()).each if "RAY_ADDRESS" in os.environ else one_by_one
            return work_at(HttpDesk(errand, each=each))
    except Away as error:
        logger.error("the service is away", extra={"reason": str(error)})
        return os.EX_TEMPFAIL


def work_at(desk: HttpDesk) -> int:
    """Do what the desk has to be done. Raise Away."""
    try:
        kind = desk.job.kind
    except Fenced as error:
        logger.warning("fenced", extra={"reason": str(error)})
        return Exit.FENCED
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported, which is now
    from app.work.kinds import WORK  # noqa: PLC0415 - keeps TensorFlow out of processes that do not train

    return run(desk, WORK[kind])


if __name__ == "__main__":
    sys.exit(main())
