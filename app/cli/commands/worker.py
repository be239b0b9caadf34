"""``forecastle worker``."""

import os

from app.cli.commands.console import report_errors
from app.cli.commands.environment import open_database, read_settings
from app.cli.commands.signals import until_signalled
from app.store import jobs
from app.telemetry import configure_logging
from app.work.dispatcher import Dispatcher
from app.work.executors.local import LocalExecutor
from app.work.executors.ray import on_cluster
from app.work.processes import watch_parent


def worker(with_parent: bool) -> None:
    """Run jobs until SIGTERM or SIGINT; with ``with_parent``, also until standard input closes."""
    settings = read_settings()
    configure_logging(settings.log_format)
    if with_parent:
        watch_parent()
    stop = until_signalled()
    with report_errors():
        executor = on_cluster(settings, os.environ) if settings.executor == "ray" else LocalExecutor(settings)
        database = open_database(settings)
        slots = {"cpu": settings.cpu_slots, "gpu": settings.gpu_slots}
        given = {resource: count for resource, count in slots.items() if count is not None}
        if given:  # the limits are of the whole service: those of the worker that started last count
            with database.write() as session:
                for resource, count in given.items():
                    jobs.set_slots(session, resource, count or None)
        Dispatcher(database, settings, executor).run(stop)
