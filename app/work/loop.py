"""The loop of every process that polls the database: it lives through an outage, and logs each outage once."""

import logging
import threading
from collections.abc import Callable

from app.store.db import DatabaseUnreachable

logger = logging.getLogger(__name__)


def poll(step: Callable[[], float | None], stop: threading.Event, interval_s: float) -> None:
    """Call ``step`` until ``stop`` is set, and wait ``interval_s`` seconds after each call.

    ``step`` may return the seconds to wait instead; 0 calls it again at once. While the database is unreachable the
    loop goes on with ``interval_s``; any other error ends it.
    """
    is_out = False
    while not stop.is_set():
        wait_s: float | None = None
        try:
            wait_s = step()
            if is_out:
                logger.info("the database answers again")
            is_out = False
        except DatabaseUnreachable as error:
            if not is_out:
                logger.error("the database does not answer", extra={"reason": error.reason})
            is_out = True
        stop.wait(interval_s if wait_s is None else wait_s)
