"""Single flight: one call for all who ask at the same time, one outcome for all of them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.problems import Unavailable
from app.serving.single_flight import SingleFlight


class Kitchen:
    """Work that begins at once and ends when ``done`` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, 0
        self.begun, self.done = threading.Event(), threading.Event()

    def make(self) -> int:
        self.calls += 1
        self.begun.set()
        assert self.done.wait(10)
        if self.error is not None:
            raise self.error
        return self.calls


def test_callers_of_one_key_share_one_call() -> None:
    flights, kitchen = SingleFlight[str, int](), Kitchen()
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(flights.call, "a", kitchen.make)
        assert kitchen.begun.wait(10)
        others = [threads.submit(flights.call, "a", kitchen.make) for _ in range(3)]
        assert flights.call("b", lambda: 7) == 7  # another key waits for nobody
        kitchen.done.set()
        assert [one.result(10) for one in (first, *others)] == [1, 1, 1, 1]
    assert len(flights) == 0


def test_after_the_call_has_ended_the_next_caller_makes_another() -> None:
    flights, kitchen = SingleFlight[str, int](), Kitchen()
    kitchen.done.set()
    assert [flights.call("a", kitchen.make), flights.call("a", kitchen.make)] == [1, 2]


def test_an_error_is_raised_for_all_and_is_not_remembered() -> None:
    flights, kitchen = SingleFlight[str, int](), Kitchen(ValueError("burnt"))
    with ThreadPoolExecutor(2) as threads:
        future = flights.submit("a", kitchen.make, threads)
        assert flights.get("a") is future
        assert flights.submit("a", kitchen.make, threads) is future
        kitchen.done.set()
        with pytest.raises(ValueError, match="burnt"):
            future.result(10)
    assert flights.get("a") is None
    assert flights.call("a", lambda: 3) == 3


def test_closing_fails_the_work_under_way_and_all_that_is_submitted_later() -> None:
    flights, kitchen, closing = SingleFlight[str, int](), Kitchen(), Unavailable("stopped")
    with ThreadPoolExecutor(1) as threads:
        future = flights.submit("a", kitchen.make, threads)
        assert kitchen.begun.wait(10)
        flights.close(closing)
        assert future.exception(10) is closing
        kitchen.done.set()
        assert flights.submit("b", kitchen.make, threads).exception(10) is closing
    assert kitchen.calls == 1
