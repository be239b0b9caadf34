"""What is done now and then about served forecasts: hold them against what came, forget what is old."""

from app.settings import Settings
from app.store import realising, served
from app.store.db import Database

AT_ONCE = 200  # forecasts in one transaction
MOST_TURNS = 50  # transactions of one step: who comes back soon need not do everything now
FORGOTTEN_AT_ONCE = 1_000


def step(database: Database, settings: Settings) -> int:
    """Join served forecasts with the values that came since, some at a time; how many were looked at.

    Any number of processes may do so at once. A second step right after it, where nothing came, costs two queries.
    """
    total = 0
    for _ in range(MOST_TURNS):
        with database.write() as session:
            count = realising.realise(session, AT_ONCE)
        total += count
        if not count:
            break
    with database.write() as session:
        served.forget(session, settings.forecast_log_days, settings.quality_days, FORGOTTEN_AT_ONCE)
    return total
