"""Writer of log lines that never blocks its callers, even if nobody reads what it writes."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

MAX_WAITING_CHARS = 1024**2  # of lines that are not written yet
PAUSE_S = 0.02  # between two writes, so that a busy service wakes the thread 50 times a second at most
FLUSH_TIMEOUT_S = 1.0


class LineWriter:
    """Writes lines to the file descriptor ``fd`` in a thread of its own, which starts with the first line.

    Lines beyond ``max_waiting_chars`` are dropped and counted, and so are lines that cannot be written; before the next
    line that is written comes the one that ``notice`` returns for their number. The descriptor is written to directly:
    a stream has a lock, on which the end of the process would wait for as long as nobody reads.
    """

    def __init__(self, fd: int, notice: Callable[[int], str], max_waiting_chars: int = MAX_WAITING_CHARS) -> None:
        self.dropped = 0
        self._fd, self._notice, self._max_waiting_chars = fd, notice, max_waiting_chars
        self._reported = 0  # of ``dropped``
        self._waiting, self._waiting_chars, self._is_writing = list[str](), 0, False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, lines: str) -> None:
        """Write ``lines``, which end in a newline, soon; drop them if too much is waiting."""
        with self._changed:
            if self._waiting_chars + len(lines) > self._max_waiting_chars:
                self.dropped += lines.count("\n")
                return
            self._waiting.append(lines)
            self._waiting_chars += len(lines)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Wait until every line is written, at most ``timeout_s`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._is_writing, timeout_s)

    def _run(self) -> None:
        while True:
            text = self._take()
            try:
                _write_all(self._fd, text.encode("utf-8", "backslashreplace"))
            except OSError:  # nobody will ever read it
                with self._changed:
                    self.dropped += text.count("\n")
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
            time.sleep(PAUSE_S)

    def _take(self) -> str:
        """Wait for lines and return them, with the number of those dropped before."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            text = "".join(self._waiting)
            self._waiting, self._waiting_chars, self._is_writing = [], 0, True
            lost, self._reported = self.dropped - self._reported, self.dropped
        return text if not lost else self._notice(lost) + text


def _write_all(fd: int, data: bytes) -> None:
    """Write ``data``; wait while ``fd`` takes nothing. Raise OSError."""
    while data:
        with suppress(BlockingIOError):
            data = data[os.write(fd, data) :]
            continue
        time.sleep(PAUSE_S)  # somebody else has set the descriptor to non-blocking
