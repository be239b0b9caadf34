"""``forecastle worker``."""

import os

from app.cli.commands.common import migrated, plain_errors, read_settings
from app.cli.commands.signals import until_signalled
from app.store import jobs
from app.store.db import Database
from app.telemetry import configure_logging
from app.work.dispatcher import Dispatcher
from app.work.executors.local import LocalExecutor
from app.work.executors.ray import on_cluster
from app.work.runner import watch_parent


def worker(with_parent: bool) -> None:
    """Run jobs until SIGTERM or SIGINT; ``with_parent``: also until standard input closes."""
    configure_logging()
    if with_parent:
        watch_parent()
    settings = read_settings()
    stop = until_signalled()
    with plain_errors():
        executor = on_cluster(settings, os.environ) if settings.executor == "ray" else LocalExecutor(settings)
        database = migrated(settings)
        _limit(database, {"cpu": settings.cpu_slots, "gpu": settings.gpu_slots})
        Dispatcher(database, settings, executor).run(stop)


def _limit(database: Database, slots: dict[str, int | None]) -> None:
    """What the settings of the worker that was started last say of a resource holds for all."""
    told = {name: count for name, count in slots.items() if count is not None}
    if told:
        with database.write() as session:
            for name, count in told.items():
                jobs.limit(session, name, count or None)
