"""The process of one attempt on a cluster: ``python -m app.work.ray_entry``; its environment says which attempt.

It has no database: all that it asks and says goes through the service's API. The cluster watches over it, and the token
fences it where the cluster cannot.
"""

import logging
import os
import sys
from contextlib import ExitStack

from app.store.jobs import Fenced
from app.telemetry import configure_logging
from app.work.attempt_credentials import AttemptCredentials
from app.work.http_client import ServiceUnreachable
from app.work.job_context_http import HttpJobContext
from app.work.kinds import works
from app.work.ray_parallel import Cluster
from app.work.runner import ExitStatus, Works, do
from models.training.parallel import run_sequentially

logger = logging.getLogger(__name__)


def main() -> int:
    """Run the attempt and say how it ended; what nobody hears, because the service is away, is tried again."""
    configure_logging()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
    try:
        errand = AttemptCredentials.from_environment(os.environ)
    except ValueError as error:
        logger.error("this process cannot run", extra={"reason": str(error)})
        return os.EX_CONFIG
    return attempt(errand)


def attempt(errand: AttemptCredentials, works: Works = works) -> ExitStatus:
    """Run the attempt that ``errand`` names. A crash is left to the cluster to see."""
    try:
        with ExitStack() as stack:
            # Ray says where it is to all that it starts; without it the work is done here.
            each = stack.enter_context(Cluster()).each if "RAY_ADDRESS" in os.environ else run_sequentially
            return do(HttpJobContext(errand, each=each), works())
    except Fenced as error:
        logger.warning("fenced", extra={"reason": str(error)})
        return ExitStatus.FENCED
    except ServiceUnreachable as error:
        logger.error("the service does not answer", extra={"reason": str(error)})
        return ExitStatus.TEMPORARY
    except MemoryError as error:
        logger.error("out of memory", extra={"reason": str(error)})
        return ExitStatus.OUT_OF_MEMORY


if __name__ == "__main__":
    sys.exit(main())
