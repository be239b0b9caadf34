"""Single flight: work that several callers ask for at the same time is done once, and all of them get its outcome."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

from app.serving.futures import fail, failed, run_into, shared_future

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Futures of the work under way, one for each key; safe to use from several threads.

    Work that fills a cache must look there first: the work of another caller may have ended between this caller's
    look into the cache and its call of this class.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[K, Future[V]] = {}
        self._closed: BaseException | None = None

    def get(self, key: K) -> "Future[V] | None":
        """Return the future of the work under way for ``key``; None if there is none."""
        return self._flights.get(key)

    def submit(self, key: K, make: Callable[[], V], threads: Executor) -> "Future[V]":
        """Return the future of the work under way for ``key``; if there is none, let ``threads`` run ``make``.

        Cancelling the future stops nothing. After ``close`` it raises the error given there.
        """
        with self._lock:
            if self._closed is not None:
                return failed(self._closed)
            if key not in self._flights:
                self._flights[key] = shared_future()
                threads.submit(self._run, key, make)
            return self._flights[key]

    def call(self, key: K, make: Callable[[], V]) -> V:
        """Return the result of ``make``; if another caller's work for ``key`` is under way, wait for its result.

        Raises:
            BaseException: ``make`` raised it, in this call or in the one under way.
        """
        with self._lock:
            flight, is_new = self._flights.get(key), key not in self._flights
            if flight is None:
                flight = self._flights[key] = shared_future()
        if is_new:
            self._run(key, make)
        return flight.result()

    def close(self, error: BaseException) -> None:
        """Fail with ``error`` all work that is under way or submitted from now on."""
        with self._lock:
            self._closed = error
            flights = list(self._flights.values())
        for flight in flights:
            fail(flight, error)

    def __len__(self) -> int:
        """Return the number of keys with work under way."""
        return len(self._flights)

    def _run(self, key: K, make: Callable[[], V]) -> None:
        def make_and_land() -> V:
            try:
                return make()
            finally:  # before the outcome is known: a later caller must not get an old one
                with self._lock:
                    del self._flights[key]

        run_into(self._flights[key], make_and_land)
