"""The poll loop and the retry over outages."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from app.store.db import DatabaseUnreachable
from app.work.http_client import ServiceUnreachable
from app.work.loop import poll, retry


def steps(stop: threading.Event, *results: float | Exception | None) -> Callable[[], float | None]:
    """Return a step that gives each of ``results`` in turn, and sets ``stop`` with the last one."""
    rest: Iterator[float | Exception | None] = iter(results)
    left = len(results)

    def step() -> float | None:
        nonlocal left
        left -= 1
        if left == 0:
            stop.set()
        result = next(rest)
        if isinstance(result, Exception):
            raise result
        return result

    return step


def test_each_outage_and_its_end_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.work.loop")
    stop, out = threading.Event(), DatabaseUnreachable("connection refused")
    poll(steps(stop, None, out, out, 0.0, out, None), stop, 0.001)
    outage, end = "the database does not answer", "the database answers again"
    assert [record.message for record in caplog.records] == [outage, end, outage, end]
    assert caplog.records[0].__dict__["reason"] == "connection refused"


def test_the_result_of_a_step_sets_the_wait_until_the_next() -> None:
    waits: list[float | None] = []

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return self.is_set()

    stop = Clock()
    poll(steps(stop, 0.0, None, 0.25, DatabaseUnreachable("gone"), None), stop, 7.0)
    assert waits == [0.0, 7.0, 0.25, 7.0, 7.0]


def test_any_other_error_ends_the_loop() -> None:
    stop = threading.Event()
    with pytest.raises(ZeroDivisionError):
        poll(steps(stop, None, ZeroDivisionError(), None), stop, 0.001)


def test_a_call_is_retried_over_an_outage_and_no_other_error() -> None:
    stop = threading.Event()
    call = steps(stop, ServiceUnreachable("503"), ServiceUnreachable("503"), 4.0)
    assert retry(call, ServiceUnreachable, patience_s=60.0, interval_s=0.001) == 4.0
    with pytest.raises(ServiceUnreachable, match="503"):
        retry(steps(stop, ServiceUnreachable("503")), ServiceUnreachable, patience_s=-1.0, interval_s=0.001)
    with pytest.raises(DatabaseUnreachable):
        retry(steps(stop, DatabaseUnreachable("gone")), ServiceUnreachable, patience_s=60.0, interval_s=0.001)
