"""Cache of the keys of requests, valid and invalid ones."""

import asyncio
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from app.principal import Principal

KEY_TTL_S = 1.0
KEY_REFRESH_S = 0.4  # leaves a busy database 0.6 s to answer before any request waits for it
MAX_CACHED_KEYS = 1_000
MAX_BAD_KEYS = 10_000
# Threads of their own, so that a flood of requests cannot use up the threads that the service itself needs; those of
# unknown keys apart from those of keys that were valid, so that it delays nobody who has been here before.
KNOWN_KEY_THREADS = 4
UNKNOWN_KEY_THREADS = 2
ATTEMPT_THREADS = 2

T = TypeVar("T")


@dataclass(slots=True)
class KnownKey:
    """Owner of a valid key, as read from the database at ``asked_s``; ``is_refreshed``: a new read has begun."""

    principal: Principal
    asked_s: float
    is_refreshed: bool = False


class KeyCache:
    """Cache of keys by their SHA-256, for ``KEY_TTL_S``: a revoked key works no longer than that.

    A key in steady use is looked up again in the background after ``KEY_REFRESH_S``, so that no request waits for the
    database. Invalid keys are refused for ``KEY_TTL_S`` without a query, and kept apart, as a flood of them would evict
    the valid ones. For one event loop.
    """

    def __init__(self, authenticate: Callable[[str], Principal | None], clock: Callable[[], float]) -> None:
        self._authenticate = authenticate
        self._clock = clock
        self._known: dict[bytes, KnownKey] = {}
        self._bad: dict[bytes, float] = {}  # when each was asked for, oldest first
        self._look_ups: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._known_threads, self._unknown_threads = (
            CapacityLimiter(KNOWN_KEY_THREADS),
            CapacityLimiter(UNKNOWN_KEY_THREADS),
        )
        self._attempt_threads = CapacityLimiter(ATTEMPT_THREADS)

    def find(self, key: str) -> Principal | None:
        """Return the owner of ``key`` if the cache has it, without waiting."""
        digest = hashlib.sha256(key.encode()).digest()
        known = self._known.get(digest)
        if known is None:
            return None
        age_s = self._clock() - known.asked_s
        if age_s >= KEY_TTL_S:
            return None
        if age_s >= KEY_REFRESH_S and not known.is_refreshed:
            known.is_refreshed = True  # if this fails, the first request after KEY_TTL_S gets the error
            self._begin(digest, key)
        return known.principal

    def knows(self, key: str) -> bool:
        """Return whether ``key`` was valid when it was last looked up, however long ago."""
        return hashlib.sha256(key.encode()).digest() in self._known

    async def look_up(self, key: str) -> Principal | None:
        """Read the owner of ``key`` from the database and return it, None if there is none.

        Requests with the same key share one query.
        """
        digest = hashlib.sha256(key.encode()).digest()
        if self._clock() - self._bad.get(digest, -math.inf) < KEY_TTL_S:
            return None
        running = self._look_ups.get(digest)
        # Shielded: the request of one client that hangs up must not cancel the query of the others.
        return await asyncio.shield(self._begin(digest, key) if running is None or running.done() else running)

    async def close(self) -> None:
        """Wait for the queries in the background, so that none uses the database after it is closed."""
        await asyncio.gather(*self._look_ups.values(), return_exceptions=True)

    async def run(self, query: Callable[..., Principal | None], *arguments: str | int) -> Principal | None:
        """Return the result of ``query``, run in one of the threads for attempts at jobs."""
        return await to_thread.run_sync(query, *arguments, limiter=self._attempt_threads)

    def _begin(self, digest: bytes, key: str) -> "asyncio.Task[Principal | None]":
        task = self._look_ups[digest] = asyncio.get_running_loop().create_task(self._ask(digest, key))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # a background error is no warning
        return task

    async def _ask(self, digest: bytes, key: str) -> Principal | None:
        asked_s = self._clock()  # before the query: its result may be old when it arrives
        limiter = self._known_threads if digest in self._known else self._unknown_threads
        try:
            principal = await to_thread.run_sync(self._authenticate, key, limiter=limiter)
        finally:
            self._look_ups.pop(digest, None)
        self._known.pop(digest, None)
        self._bad.pop(digest, None)
        if principal is None:
            _keep(self._bad, digest, asked_s, MAX_BAD_KEYS)
        else:
            _keep(self._known, digest, KnownKey(principal, asked_s), MAX_CACHED_KEYS)
        return principal


def _keep(cache: dict[bytes, T], digest: bytes, value: T, size: int) -> None:
    """Add an entry as the newest; remove the oldest beyond ``size``."""
    cache[digest] = value
    if len(cache) > size:
        del cache[next(iter(cache))]
