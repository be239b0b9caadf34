"""Version resolver: a version by its number, or by an alias as the database stated it less than a second ago."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from app.problems import Unavailable
from app.serving.alias_refresher import AliasName, AliasRefresher, ModelLoader, VersionStore
from app.serving.alias_state import TIMES, AliasTimes, ResolvedVersion
from app.serving.futures import resolved
from app.serving.lru import LRU
from app.serving.single_flight import SingleFlight

DEFAULT_ALIAS = "champion"
LOOKUP_THREADS = 4
NUMBER_TTL_S = 1.0  # a version does not change, but it may be archived

VersionKey = tuple[int, str, int]  # tenant id, model, number of the version


class Resolver:
    """Remembers up to ``capacity`` versions by number, and as many aliases; safe to use from several threads.

    ``find`` looks into memory only. Threads ask the database for the rest, once for all requests that wait for it.
    ``aliases`` also reports broken versions and counts moves.
    """

    def __init__(
        self,
        store: VersionStore,
        loader: ModelLoader,
        times: AliasTimes = TIMES,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = 2_000,
    ) -> None:
        self.aliases = AliasRefresher(store, loader, times, clock, capacity)
        self._look_up, self._patience_s, self._clock = store.look_up, times.patience_s, clock
        self._numbers: LRU[VersionKey, tuple[ResolvedVersion, float]] = LRU(capacity)  # with the time of the query
        self._lookups: SingleFlight[VersionKey | AliasName, ResolvedVersion] = SingleFlight()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, "resolve")

    def find(self, tenant_id: int, model: str, version: int | None, alias: str | None) -> ResolvedVersion | None:
        """Return the version with this number, or the one that ``alias`` (``champion`` by default) serves; None if it
        is not known here, or was confirmed too long ago. This never blocks.
        """
        if version is None:
            return self.aliases.find((tenant_id, model, alias or DEFAULT_ALIAS))
        with self._lock:
            known = self._numbers.get((tenant_id, model, version))
        return None if known is None or self._clock() - known[1] > NUMBER_TTL_S else known[0]

    def ask(self, tenant_id: int, model: str, version: int | None, alias: str | None) -> "Future[ResolvedVersion]":
        """Return a future of the version, which raises NotFound or the database's error; cancelling it stops nothing.

        If an alias has moved since it was last used, the new version is loaded first; see ``wait``.
        """
        if version is None:
            name = (tenant_id, model, alias or DEFAULT_ALIAS)
            known = self.aliases.ask(name)
            return known or self._lookups.submit(name, partial(self._first_look_up, name), self._threads)
        number = (tenant_id, model, version)
        found = self.find(tenant_id, model, version, None)
        if found is not None:
            return resolved(found)
        return self._lookups.submit(number, partial(self._look_up_number, number), self._threads)

    async def wait(self, tenant_id: int, model: str, version: int | None, alias: str | None) -> ResolvedVersion:
        """Return the version once it is known; a version that its alias has just moved to is waited for at most
        ``patience_s``, after which the one before goes on.

        Raises:
            NotFound: no such model, version or alias for this tenant.
            Exception: the database's error, where it cannot be asked.
        """
        waiting = asyncio.wrap_future(self.ask(tenant_id, model, version, alias))
        try:
            while not waiting.done():
                await asyncio.wait((waiting,), timeout=self._patience_s)
                if not waiting.done() and (found := self.find(tenant_id, model, version, alias)) is not None:
                    return found
            return waiting.result()
        finally:
            waiting.cancel()

    def close(self) -> None:
        """Stop the queries, and fail waiting requests with Unavailable."""
        self._lookups.close(Unavailable("the service is being stopped; use another process or try again later"))
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.aliases.close()

    def _look_up_number(self, number: VersionKey) -> ResolvedVersion:
        tenant_id, model, version = number
        found = self.find(tenant_id, model, version, None)
        if found is None:
            asked_s = self._clock()
            found = self._look_up(tenant_id, model, version, None)
            with self._lock:
                self._numbers.put(number, (found, asked_s))
        return found

    def _first_look_up(self, name: AliasName) -> ResolvedVersion:
        tenant_id, model, alias = name
        asked_s = self._clock()
        found = self.aliases.find(name)
        if found is None:
            found = self._look_up(tenant_id, model, None, alias)
            self.aliases.remember(name, found, asked_s)
        return found
