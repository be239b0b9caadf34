"""Formats of the log: lines for people, and JSON for programs. One event is one line of at most 16 KiB."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from app.telemetry.redaction import redact

LogFormat = Literal["text", "json"]

MAX_LINE_BYTES = 16 * 1024
# The attributes of every record; all others are its ``extra``.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


class Answered(NamedTuple):
    """One answered request; ``route`` is a template of the access table.

    ``sender`` are the fields that name who has sent it: tenant, key and peer, as far as they are known.
    """

    method: str
    route: str
    status: int
    request_id: str
    seconds: float
    sender: Mapping[str, str | int] = {}

    @property
    def message(self) -> str:
        """Return the request as text."""
        return f"{escaped(self.method[:16])} {self.route} {self.status}"


class LineFormatter(logging.Formatter):
    """Formats a record as ``time level logger message key=value …`` on one line.

    The keys are the record's ``extra``, and ``traceback`` if there is one. Control characters are escaped, so that a
    caller's text in a log line can neither begin a second line nor colour a terminal. Secrets are redacted.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        fields = (f"{key}={_quoted(value)}" for key, value in _fields(self, record))
        head = _stamp(record.created), record.levelname, record.name
        line = redact(" ".join((*head, escaped(record.getMessage()), *fields)))
        return line if len(line.encode("utf-8", "replace")) <= MAX_LINE_BYTES else f"{line[: MAX_LINE_BYTES // 4]}…"

    def format_answered(self, logger: str, requests: Sequence[Answered], unix_s: float) -> str:
        """Return one line for each of ``requests``, all answered at the same time."""
        head = f"{_stamp(unix_s)} INFO {logger}"
        return "".join(
            f"{head} {one.message} request_id={one.request_id} seconds={one.seconds:.4f}"
            f"{''.join(f' {key}={value}' for key, value in one.sender.items())}\n"
            for one in requests
        )

    def format_dropped(self, count: int) -> str:
        """Return the line that stands for ``count`` lines that were dropped."""
        return f"{count} log lines were dropped, because they were not read in time\n"


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line: time, level, logger, message, and the fields of its ``extra``.

    Secrets are redacted; of a text that makes the line too long the beginning is kept, and of a traceback the end.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        head = {"time": _stamp(record.created), "level": record.levelname, "logger": record.name}
        fields = {"message": redact(record.getMessage())} | {key: redact(text) for key, text in _fields(self, record)}
        keep = MAX_LINE_BYTES
        while (
            len(line := json.dumps(head | {key: _cut(key, text, keep) for key, text in fields.items()}))
            > MAX_LINE_BYTES
        ):
            keep //= 2
        return line

    def format_answered(self, logger: str, requests: Sequence[Answered], unix_s: float) -> str:
        """Return one line for each of ``requests``, all answered at the same time."""
        head = {"time": _stamp(unix_s), "level": "INFO", "logger": logger}
        return "".join(json.dumps({**head, **_request_fields(one)}) + "\n" for one in requests)

    def format_dropped(self, count: int) -> str:
        """Return the line that stands for ``count`` lines that were dropped."""
        message = "log lines were dropped, because they were not read in time"
        head = {"time": _stamp(datetime.now(UTC).timestamp()), "level": "WARNING", "logger": __name__}
        return json.dumps(head | {"message": message, "count": count}) + "\n"


def escaped(text: str) -> str:
    """Return ``text`` with every character that is not printable as an escape sequence."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _request_fields(one: Answered) -> dict[str, str | int | float]:
    return {
        "message": one.message,
        "method": one.method[:16],
        "route": one.route,
        "status": one.status,
        "seconds": round(one.seconds, 4),
        "request_id": one.request_id,
        **one.sender,
    }


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    yield from ((key, str(value)) for key, value in record.__dict__.items() if key not in STANDARD)
    if record.exc_info:
        yield "traceback", formatter.formatException(record.exc_info)


def _cut(key: str, text: str, size: int) -> str:
    if len(text) <= size:
        return text
    return f"…{text[-size:]}" if key == "traceback" else f"{text[:size]}…"


def _stamp(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")


def _quoted(value: str) -> str:
    value = escaped(value)
    return value if value and not set(value) & set(' "=') else json.dumps(value, ensure_ascii=False)
