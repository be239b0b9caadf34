"""A worker with the job functions of the fault tests: ``python -m tests.faults.worker_process GRACE_S``."""

import sys

from app.cli.commands.signals import until_signalled
from app.settings import Settings
from app.store.db import Database
from app.telemetry import configure_logging
from app.work.dispatcher import Dispatcher
from app.work.executors.local import LocalExecutor


def main(grace_s: float) -> None:
    """Run jobs until SIGTERM."""
    configure_logging()
    stop = until_signalled()
    settings = Settings()
    executor = LocalExecutor(settings, (sys.executable, "-m", "tests.faults.fault_jobs"))
    Dispatcher(Database(settings.url), settings, executor, grace_s).run(stop)


if __name__ == "__main__":
    main(float(sys.argv[1]))
