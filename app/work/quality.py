"""Periodic work on logged forecasts: score them against the values that have come since, and delete old ones."""

import logging
import threading

from app.settings import Settings
from app.store import forecast_log, realised
from app.store.db import Database, DatabaseUnreachable
from app.work.loop import poll

logger = logging.getLogger(__name__)

SCORED_AT_ONCE = 200  # forecasts in one transaction
DELETED_AT_ONCE = 1_000
MAX_TRANSACTIONS = 50  # of each kind in one step: the next step goes on
EVERY_S = 30.0


def run(database: Database, settings: Settings, stop: threading.Event, every_s: float = EVERY_S) -> None:
    """Take a step every ``every_s`` seconds until ``stop`` is set, whether or not the last one failed."""

    def survive_step() -> None:
        try:
            step(database, settings)
        except DatabaseUnreachable:
            raise
        except Exception:  # no other thread of this process scores forecasts
            logger.exception("logged forecasts could not be scored")

    if not stop.wait(every_s):
        poll(survive_step, stop, every_s)


def step(database: Database, settings: Settings) -> int:
    """Score logged forecasts and delete old ones, a few in each transaction; return how many were scored.

    Any number of processes may do so at once.
    """
    total = 0
    for _ in range(MAX_TRANSACTIONS):
        with database.write() as session:
            count = realised.realise(session, SCORED_AT_ONCE)
        total += count
        if not count:
            break
    for _ in range(MAX_TRANSACTIONS):
        with database.write() as session:
            if not forecast_log.forget(session, settings.forecast_log_days, settings.quality_days, DELETED_AT_ONCE):
                break
    return total
