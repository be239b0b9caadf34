"""``forecastle scheduler``."""

import threading

from app.addresses import parse_networks
from app.cli.commands.console import report_errors
from app.cli.commands.environment import open_database, read_settings
from app.cli.commands.signals import until_signalled
from app.planning.schedules import SchedulePlanner
from app.store.quality import quality_of
from app.telemetry import configure_logging
from app.work import quality
from app.work.deliveries import Sender
from app.work.processes import watch_parent
from app.work.scheduler import SchedulerDependencies, run

DAY_S = 86_400.0


def scheduler(with_parent: bool) -> None:
    """Queue the jobs of schedules, send webhooks and score logged forecasts, until SIGTERM or SIGINT.

    With ``with_parent``, also until standard input closes.
    """
    settings = read_settings()
    configure_logging(settings.log_format)
    if with_parent:
        watch_parent()
    stop = until_signalled()
    with report_errors():
        database = open_database(settings)
        sender = Sender(database, parse_networks(settings.webhook_private_networks))
        threads = [
            threading.Thread(target=sender.run, args=(stop, settings.poll_s), name="sender"),
            threading.Thread(target=quality.run, args=(database, settings, stop), name="quality"),
        ]
        for thread in threads:
            thread.start()
        try:
            run(
                database,
                SchedulerDependencies(SchedulePlanner(database, settings).plan_job, quality_of),
                stop,
                settings.poll_s,
                settings.artifact_days * DAY_S,
            )
        finally:
            stop.set()
            for thread in threads:
                thread.join()
