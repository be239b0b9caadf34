"""The log of the service: one line for each record, and one for each answered request."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from app.telemetry.line_writer import LineWriter

STDERR_FD = 2


def configure_logging(level: str = "INFO") -> None:
    """Write every log record of the process to stderr, one line each.

    The caller's place in the source, the thread and the process are not collected, as no line shows them and they take
    longer than everything else (as the documentation of ``logging`` advises).
    """
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), handlers=[LineHandler(LineWriter(_stderr()))], force=True)


def _stderr() -> int:
    try:
        return sys.stderr.fileno()
    except OSError:  # a test has put another stream in its place
        return STDERR_FD


# The attributes of every record; all others are its ``extra``.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


class LineFormatter(logging.Formatter):
    """Formats a record as ``time level logger message key=value …`` on one line.

    The keys are the record's ``extra``, and ``traceback`` if there is one. Control characters are escaped, so that a
    caller's text in a log line can neither begin a second line nor colour a terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        fields = (f"{key}={_quoted(value)}" for key, value in self._fields(record))
        return " ".join((_stamp(record.created), record.levelname, record.name, escaped(record.getMessage()), *fields))

    def _fields(self, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
        yield from ((key, str(value)) for key, value in record.__dict__.items() if key not in STANDARD)
        if record.exc_info:
            yield "traceback", self.formatException(record.exc_info)


class LineHandler(logging.Handler):
    """Writes log records as lines, without waiting for anybody to read them."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` as a line."""
        self.writer.write(self.format(record) + "\n")

    def flush(self) -> None:
        """Wait a moment for the lines to be written; ``logging`` calls this at the end of the process."""
        self.writer.flush()


def lines_dropped() -> int:
    """Return the number of log lines of this process that were dropped because nobody read them."""
    return sum(handler.writer.dropped for handler in logging.getLogger().handlers if isinstance(handler, LineHandler))


class Answered(NamedTuple):
    """One answered request; ``route`` is a template of the access table."""

    method: str
    route: str
    status: int
    request_id: str
    seconds: float
    sender: str = ""  # fields that name the sender: tenant, key and peer; of writes and refusals


class RequestLog:
    """Log of answered requests; all requests of one turn of the event loop share one timestamp and one write.

    To format and write each request separately takes 11 to 17 microseconds, a tenth of a small forecast. Handlers of
    another type than ``LineHandler``, such as those of tests, receive one log record for each request.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._waiting: list[Answered] = []

    def add(self, request: Answered) -> None:
        """Log ``request`` at the next turn of the running event loop."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(request)

    def _write(self) -> None:
        requests, self._waiting = self._waiting, []
        if not self._logger.isEnabledFor(logging.INFO):
            return
        handlers = list[logging.Handler]()
        logger: logging.Logger | None = self._logger
        while logger is not None:
            handlers += logger.handlers
            logger = logger.parent if logger.propagate else None
        if len(handlers) == 1 and isinstance(handlers[0], LineHandler):
            head = f"{_stamp(time.time())} INFO {self._logger.name}"
            handlers[0].writer.write(
                "".join(
                    f"{head} {escaped(one.method[:16])} {one.route} {one.status}"
                    f" request_id={one.request_id} seconds={one.seconds:.4f}{one.sender}\n"
                    for one in requests
                )
            )
            return
        for one in requests:
            extra = {"request_id": one.request_id, "seconds": f"{one.seconds:.4f}"}
            self._logger.info("%s %s %d%s", one.method[:16], one.route, one.status, one.sender, extra=extra)


def _stamp(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")


def escaped(text: str) -> str:
    """Return ``text`` with every character that is not printable as an escape sequence."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _quoted(value: str) -> str:
    value = escaped(value)
    return value if value and not set(value) & set(' "=') else json.dumps(value, ensure_ascii=False)
