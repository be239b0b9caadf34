"""Last use of API keys, written to the database once a minute, so that no request waits for it."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 60.0
STOP_TIMEOUT_S = 5.0


class KeyUse:
    """Time of the last use of each key, written by ``write`` in a thread of its own.

    A process that is killed loses the uses since the last write.
    """

    def __init__(self, write: Callable[[Mapping[str, datetime]], None], write_every_s: float = WRITE_EVERY_S) -> None:
        self._write, self._write_every_s = write, write_every_s
        self._used = dict[str, datetime]()
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, key_id: str, at: datetime) -> None:
        """Remember a use of a key; this neither waits nor raises."""
        with self._lock:
            self._used[key_id] = at
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="key-use", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Store the uses of keys that were noted since the last write, and end the thread."""
        with self._lock:
            self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._write_every_s)
            with self._lock:
                used, self._used = self._used, {}
            if not used:
                continue
            try:
                self._write(used)
            except Exception as error:  # whatever the error, requests go on
                logger.warning("the last use of %d keys was not stored: %s", len(used), error)
