"""Use of the service by tenants, counted in memory and written to the database off the way of requests."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from app.rates import Amounts

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 10.0
STOP_TIMEOUT_S = 5.0

Used = dict[int, Counter[str]]  # amounts by tenant and unit


class UsageMeter:
    """Amounts that tenants have used since the last ``write``, which runs in a thread of its own.

    If a write fails, its amounts are in the next one; a process that is killed loses those since the last write.
    """

    def __init__(
        self, write: Callable[[Mapping[int, Mapping[str, float]]], None], write_every_s: float = WRITE_EVERY_S
    ) -> None:
        self._write, self._write_every_s = write, write_every_s
        self._used: Used = {}
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, tenant_id: int, amounts: Amounts) -> None:
        """Count ``amounts``, by unit, for a tenant; this neither waits nor raises."""
        with self._lock:
            own = self._used.get(tenant_id)
            if own is None:
                own = self._used[tenant_id] = Counter()
            for unit, amount in amounts.items():
                own[unit] += amount
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Store the counts that were collected since the last write; after an error they are kept for the next one."""
        with self._lock:
            used, self._used = self._used, {}
        if not used:
            return
        try:
            self._write(used)
        except Exception as error:  # whatever the error, requests go on
            logger.warning("the use of %d tenants was not stored, and is tried again: %s", len(used), error)
            with self._lock:
                for tenant_id, amounts in used.items():
                    self._used.setdefault(tenant_id, Counter()).update(amounts)

    def close(self) -> None:
        """Store the counts that were collected since the last write, and end the thread."""
        with self._lock:
            self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._write_every_s)
            self.flush()
