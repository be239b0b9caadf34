"""Loops that continue through an outage: the poll loop of every process that reads the database, and a retry."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from app.store.db import DatabaseUnreachable
from app.work.http_client import ServiceUnreachable

logger = logging.getLogger(__name__)

T = TypeVar("T")


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


def retry(
    call: Callable[[], T],
    outage: type[DatabaseUnreachable] | type[ServiceUnreachable],
    patience_s: float,
    interval_s: float,
) -> T:
    """Return the result of ``call``, repeated every ``interval_s`` seconds while it raises ``outage``.

    Raises:
        DatabaseUnreachable, ServiceUnreachable: the outage lasts longer than ``patience_s`` seconds.
    """
    end_s = time.monotonic() + patience_s
    while True:
        try:
            return call()
        except outage as error:
            if time.monotonic() > end_s:
                raise
            logger.warning("a request failed during an outage; it is repeated", extra={"reason": error.reason})
            time.sleep(interval_s)
