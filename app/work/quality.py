"""What is done now and then about served forecasts: hold them against what came, forget what is old."""

import logging
import threading

from app.settings import Settings
from app.store import forecast_log, realised
from app.store.db import Database, DatabaseUnreachable
from app.work.loop import poll

logger = logging.getLogger(__name__)

AT_ONCE = 200  # forecasts in one transaction
MAX_TURNS = 50  # transactions of one step: who comes back soon need not do everything now
FORGOTTEN_AT_ONCE = 1_000
EVERY_S = 30.0


def run(database: Database, settings: Settings, stop: threading.Event, every_s: float = EVERY_S) -> None:
    """Take a step every so many seconds until ``stop``, whatever became of the last one."""

    def step_and_survive() -> None:
        try:
            step(database, settings)
        except DatabaseUnreachable:
            raise
        except Exception:  # this thread is the only one that scores them until the process restarts
            logger.exception("served forecasts could not be scored")

    if not stop.wait(every_s):
        poll(step_and_survive, stop, every_s)


def step(database: Database, settings: Settings) -> int:
    """Join served forecasts with the values that came since, some at a time; how many were looked at.

    Any number of processes may do so at once, as often as they like.
    """
    total = 0
    for _ in range(MAX_TURNS):
        with database.write() as session:
            count = realised.realise(session, AT_ONCE)
        total += count
        if not count:
            break
    for _ in range(MAX_TURNS):  # more in a day than can be kept in one
        with database.write() as session:
            if not forecast_log.forget(session, settings.forecast_log_days, settings.quality_days, FORGOTTEN_AT_ONCE):
                break
    return total
