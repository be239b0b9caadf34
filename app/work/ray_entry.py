"""The process of one attempt on a Ray cluster: ``python -m app.work.ray_entry``; its environment names the attempt.

It has no database: it reads and reports through the service's API. The cluster restarts nothing; the dispatcher sees
the process end, and the fencing token keeps it from writing once another attempt has the job.
"""

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack

from app.telemetry import configure_logging
from app.work.attempt_credentials import AttemptCredentials
from app.work.job_context import JobFunction
from app.work.job_context_http import HttpJobContext
from app.work.job_functions import load_job_functions
from app.work.ray_parallel import RayPool
from app.work.runner import ExitStatus, run_attempt
from models.training.parallel import run_sequentially

logger = logging.getLogger(__name__)


def main() -> int:
    """Run the attempt that the environment names, and return its exit status."""
    configure_logging()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
    try:
        credentials = AttemptCredentials.from_environment(os.environ)
    except ValueError as error:
        logger.error("this process cannot run", extra={"reason": str(error)})
        return os.EX_CONFIG
    return run_with(credentials, load_job_functions())


def run_with(credentials: AttemptCredentials, functions: Mapping[str, JobFunction]) -> ExitStatus:
    """Run the attempt of ``credentials``; on a cluster its independent pieces run on other machines, too."""
    with ExitStack() as stack:
        # Ray sets its address for all that it starts; without it the pieces run here.
        on_cluster = "RAY_ADDRESS" in os.environ
        parallel_map = stack.enter_context(RayPool()).map if on_cluster else run_sequentially
        context = HttpJobContext(credentials, parallel_map=parallel_map)
        return run_attempt(credentials.url, lambda: context, functions)


if __name__ == "__main__":
    sys.exit(main())
