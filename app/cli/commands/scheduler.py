"""``forecastle scheduler``."""

import threading

from app.addresses import parse_networks
from app.cli.commands.common import migrated, plain_errors, read_settings
from app.cli.commands.signals import until_signalled
from app.planning.schedules import SchedulePlanner
from app.store.quality import quality_of
from app.telemetry import configure_logging
from app.work import quality
from app.work.deliveries import Sender
from app.work.runner import watch_parent
from app.work.scheduler import SchedulerDependencies, run


def scheduler(with_parent: bool) -> None:
    """Fire schedules, tell webhooks and hold forecasts against what came, until SIGTERM or SIGINT.

    ``with_parent``: also until standard input closes.
    """
    configure_logging()
    if with_parent:
        watch_parent()
    settings = read_settings()
    stop = until_signalled()
    with plain_errors():
        database = migrated(settings)
        sender = Sender(database, parse_networks(settings.webhook_private_networks))
        beside = [
            threading.Thread(target=sender.run, args=(stop, settings.poll_s), name="sender"),
            threading.Thread(target=quality.run, args=(database, settings, stop), name="quality"),
        ]
        for thread in beside:
            thread.start()
        try:
            run(
                database,
                SchedulerDependencies(SchedulePlanner(database, settings).plan_job, quality_of),
                stop,
                settings.poll_s,
            )
        finally:
            stop.set()
            for thread in beside:
                thread.join()
