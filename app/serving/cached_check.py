"""Check whose result is kept for a moment, so that any number of probes costs no more than one."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

from app.serving.futures import run_into, shared_future

T = TypeVar("T")


class CachedCheck(Generic[T]):
    """Result of ``check``, which runs at most once at a time, in a thread of its own; for one event loop.

    A result is returned for ``ttl_s`` seconds. If a check takes longer than ``patience_s`` seconds, ``late`` is
    returned until it ends.
    """

    def __init__(
        self,
        check: Callable[[], T],
        late: T,
        ttl_s: float = 1.0,
        patience_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check, self._late, self._ttl_s, self._patience_s, self._clock = check, late, ttl_s, patience_s, clock
        self._began_s = 0.0
        self._result: asyncio.Future[T] | None = None

    async def result(self) -> T:
        """Return the result of a check that began within the last ``ttl_s`` seconds, or is still running.

        Raises:
            Exception: ``check`` raised it.
        """
        age_s = self._clock() - self._began_s
        if self._result is None or (self._result.done() and age_s >= self._ttl_s):
            self._began_s, age_s = self._clock(), 0.0
            made: Future[T] = shared_future()
            Thread(target=run_into, args=(made, self._check), name="check", daemon=True).start()
            self._result = asyncio.wrap_future(made)
        if self._result.done():
            return self._result.result()
        await asyncio.wait([self._result], timeout=max(0.0, self._patience_s - age_s))
        return self._result.result() if self._result.done() else self._late
