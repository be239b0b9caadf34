"""Log lines that stay lines, in text and in JSON, without secrets."""

import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from app.telemetry import JsonFormatter, LineFormatter, escaped, redact

SECRETS = [  # with what remains of each
    ("key fc_a1b2c3d4_" + "S" * 43, "key fc_a1b2c3d4_***"),
    ("whsec_" + "S" * 43 + "=", "whsec_***"),
    ("postgresql+psycopg://me:SS@SS@db:5432/x failed", "postgresql+psycopg://me:***@db:5432/x failed"),
    ("Authorization: Bearer SSSSSSSS.SSSS", "Authorization: Bearer ***"),
    ("connection to host=db password=SSSS refused", "connection to host=db password=*** refused"),
    ("{'password': 'SSSS'}", "{'password': '***'}"),
]
ORDINARY = ["job 7 has the token 3", "http://127.0.0.1:8000/v1/jobs", "see me@example.org", "bearer of news"]


def record_of(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    fields = {"name": "app.work", "levelname": "INFO", "created": 0.25}
    return logging.makeLogRecord({**fields, "msg": message, "args": args, **extra})


def failure(text: str) -> Any:
    """What ``logging`` gets of an exception."""
    try:
        raise RuntimeError(text)
    except RuntimeError:
        return sys.exc_info()


@pytest.mark.parametrize(("text", "redacted"), SECRETS)
def test_a_secret_is_replaced_wherever_a_line_has_it(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    for formatter in (LineFormatter(), JsonFormatter()):
        assert "SSS" not in formatter.format(record_of("got %s", text, reason=text, exc_info=failure(text)))


@pytest.mark.parametrize("text", ORDINARY)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_record_in_json_is_one_object_on_one_line() -> None:
    line = JsonFormatter().format(record_of("job %s done", "a\r\nFAKE \x1b[31m\u2028\ud800", rows=3, reason='a "b"'))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "INFO",
        "logger": "app.work",
        "message": "job a\r\nFAKE \x1b[31m\u2028\ud800 done",
        "rows": "3",
        "reason": 'a "b"',
    }


@pytest.mark.parametrize("text", ["x" * 10**6, "😀" * 10**5, "\x00" * 10**5])
def test_no_line_is_longer_than_16_kib(text: str) -> None:
    record = record_of("%s", text, reason=text, exc_info=failure(text + " the end"))
    for formatter in (LineFormatter(), JsonFormatter()):
        assert 1_000 < len(formatter.format(record).encode()) <= 16 * 1024
    fields = json.loads(JsonFormatter().format(record))
    assert fields["message"].endswith("…")
    assert fields["traceback"].endswith("the end")


def test_a_record_is_one_line_of_time_level_logger_message_and_fields() -> None:
    record = logging.makeLogRecord(
        {"name": "app.work", "levelname": "INFO", "msg": "job %s done", "args": ("a\r\nFAKE \x1b[31m\u2028\ud800",)}
        | {"created": 0.25, "rows": 3, "reason": 'a "b"', "empty": ""}
    )
    assert LineFormatter().format(record) == (
        "1970-01-01T00:00:00.250+00:00 INFO app.work job a\\r\\nFAKE \\x1b[31m\\u2028\\ud800 done"
        ' rows=3 reason="a \\"b\\"" empty=""'
    )


@pytest.mark.parametrize("text", ["plain", "Zürich 東京 😀", "a b"])
def test_readable_text_is_left_alone(text: str) -> None:
    assert escaped(text) == text


def test_answered_requests_are_logged_as_records_are_and_those_of_one_turn_by_one_write() -> None:
    program = (
        "import asyncio, logging, sys, app.telemetry as t\n"
        "class Writer:\n"
        "    def write(self, lines): sys.stdout.write(f'<{lines}>')\n"
        "    def flush(self): pass\n"
        "t.configure_logging(); logging.getLogger().handlers[0].writer = Writer()\n"
        "log = logging.getLogger('app.x'); requests = t.RequestLog(log)\n"
        "async def session():\n"
        "    requests.add(t.Answered('GET', '/a', 200, 'id1', 0.25))\n"
        "    requests.add(t.Answered('G\\n', '/b', 404, 'id2', 1.5, {'tenant': 7, 'key': 'k2', 'peer': '10.0.0.9'}))\n"
        "    await asyncio.sleep(0)\n"
        "    log.info('%s %s %d', 'GET', '/c', 200, extra={'request_id': 'id3', 'seconds': '0.0001'})\n"
        "    log.setLevel('WARNING'); requests.add(t.Answered('GET', '/d', 200, 'id4', 0.25))\n"
        "asyncio.run(session())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert re.sub(r"\d{4}-\S+", "TIME", done.stdout) == (
        "<TIME INFO app.x GET /a 200 request_id=id1 seconds=0.2500\n"
        "TIME INFO app.x G\\n /b 404 request_id=id2 seconds=1.5000 tenant=7 key=k2 peer=10.0.0.9\n>"
        "<TIME INFO app.x GET /c 200 request_id=id3 seconds=0.0001\n>"
    )


def test_after_configure_logging_every_logger_writes_lines_to_stderr() -> None:
    program = (
        "import logging, app.telemetry as t; t.configure_logging(level='warning'); log = logging.getLogger('x')\n"
        "log.info('quiet')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: log.exception('a\\nb')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert re.match(r"\S+ ERROR x a\\nb traceback=\"Traceback", line)
    assert done.stdout == ""


def test_in_json_each_answered_request_is_an_object_with_its_sender_and_so_is_the_notice_of_dropped_lines() -> None:
    program = (
        "import asyncio, logging, sys, app.telemetry as t\n"
        "t.configure_logging('json'); log = logging.getLogger('app.x'); requests = t.RequestLog(log)\n"
        "async def session():\n"
        "    requests.add(t.Answered('GET', '/a', 200, 'id1', 0.25, {'tenant': 7, 'key': 'k2', 'peer': '10.0.0.9'}))\n"
        "asyncio.run(session())\n"
        "handler = logging.getLogger().handlers[0]; handler.flush(); handler.writer.dropped = 5; log.warning('more')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    answered, dropped, more = map(json.loads, done.stderr.splitlines())
    assert answered.pop("time") <= more.pop("time")
    assert answered == {
        "level": "INFO",
        "logger": "app.x",
        "message": "GET /a 200",
        "method": "GET",
        "route": "/a",
        "status": 200,
        "seconds": 0.25,
        "request_id": "id1",
        "tenant": 7,
        "key": "k2",
        "peer": "10.0.0.9",
    }
    assert (dropped["level"], dropped["count"]) == ("WARNING", 5)
    assert more == {"level": "WARNING", "logger": "app.x", "message": "more"}
