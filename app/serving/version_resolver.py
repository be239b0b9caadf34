"""Which version a request means: by its number for good, by an alias as the database said less than a second ago."""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from app.problems import Unavailable
from app.serving.alias_refresher import Aliases, Loads, Moves, Name, Reads
from app.serving.alias_state import TIMES, Target, Times
from app.serving.futures import fail, failed, fulfil, kept, promise

DEFAULT_ALIAS = "champion"
ASKING_THREADS = 4

Number = tuple[int, str, int]  # tenant id, model, number of the version


class Resolver:
    """Remembers up to ``capacity`` versions by number, and as many aliases; safe to use from several threads.

    The event loop only ever looks into memory; what is not known there is asked by threads, once for all who wait.
    """

    def __init__(
        self,
        reads: Reads,
        loads: Loads,
        times: Times = TIMES,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = 2_000,
    ) -> None:
        self._look_up, self._times, self._clock, self._capacity = reads.look_up, times, clock, capacity
        self._aliases = Aliases(reads, loads, times, clock, capacity)
        self._numbers: OrderedDict[Number, Target] = OrderedDict()
        self._asking: dict[Number | Name, Future[Target]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(ASKING_THREADS, "resolve")

    def find(self, tenant_id: int, model: str, version: int | None, alias: str | None) -> Target | None:
        """The version with this number, or that ``alias`` (``champion`` with neither) serves, if that is known well
        enough; this waits for nothing."""
        if version is None:
            return self._aliases.find((tenant_id, model, alias or DEFAULT_ALIAS))
        number = (tenant_id, model, version)
        with self._lock:
            target = self._numbers.get(number)
            if target is not None:
                self._numbers.move_to_end(number)
            return target

    def ask(self, tenant_id: int, model: str, version: int | None, alias: str | None) -> "Future[Target]":
        """The same as a future, which raises NotFound or what else the database raised; cancelling it stops nothing.

        Where an alias has moved since it was last used, the new version is loaded first; see ``wait``.
        """
        if version is None:
            name = (tenant_id, model, alias or DEFAULT_ALIAS)
            return self._aliases.ask(name) or self._once(name, partial(self._first, name))
        number = (tenant_id, model, version)
        with self._lock:
            known = self._numbers.get(number)
        return self._once(number, partial(self._numbered, number)) if known is None else kept(known)

    async def wait(self, tenant_id: int, model: str, version: int | None, alias: str | None) -> Target:
        """The same, awaited: for a version to be loaded no longer than ``patience_s``, after which the one that the
        alias pointed at before goes on. Raises what ``ask`` does."""
        asked = asyncio.wrap_future(self.ask(tenant_id, model, version, alias))
        try:
            while not asked.done():
                await asyncio.wait((asked,), timeout=self._times.patience_s)
                if not asked.done() and (found := self.find(tenant_id, model, version, alias)) is not None:
                    return found
            return asked.result()
        finally:
            asked.cancel()

    def forget(self, tenant_id: int, model: str, alias: str) -> None:
        """The alias was moved by this process, which serves the new version from the next request on."""
        self._aliases.forget((tenant_id, model, alias))

    def report_broken(self, target: Target, error: BaseException) -> "Future[Target]":
        """``target`` could not be loaded, or gave no usable numbers: what to serve in its place.

        That is the newest version that its alias has pointed at and that can be loaded; every request gets it until
        the alias moves, with a note that says why. The future raises ``error`` where there is none, and for a version
        that was asked for by its number.
        """
        return self._aliases.report_broken(target, error)

    def moves(self) -> Moves:
        """What became of the moves of aliases."""
        return self._aliases.moves()

    def close(self) -> None:
        """Ask nothing more; who waits is told so."""
        with self._lock:
            self._closed = True
            waited_for = list(self._asking.values())
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._aliases.close()
        for asking in waited_for:
            fail(asking, _closing())

    def _once(self, key: Number | Name, make: Callable[[], Target]) -> "Future[Target]":
        """What ``make`` gives, made by one of the threads; one call for all who ask meanwhile."""
        with self._lock:
            if self._closed:
                return failed(_closing())
            if key not in self._asking:
                asking: Future[Target] = promise()
                self._asking[key] = asking
                self._threads.submit(fulfil, asking, make)
            return self._asking[key]

    def _numbered(self, number: Number) -> Target:
        tenant_id, model, version = number
        try:
            target = self._look_up(tenant_id, model, version, None)
            with self._lock:
                self._numbers[number] = target
                while len(self._numbers) > self._capacity:
                    self._numbers.popitem(last=False)
        finally:
            self._forget(number)
        return target

    def _first(self, name: Name) -> Target:
        tenant_id, model, alias = name
        looked_s = self._clock()
        try:
            target = self._look_up(tenant_id, model, None, alias)
            self._aliases.remember(name, target, looked_s)
        finally:
            self._forget(name)
        return target

    def _forget(self, key: Number | Name) -> None:
        with self._lock:
            self._asking.pop(key, None)


def _closing() -> Unavailable:
    return Unavailable("the service is being stopped; ask another process, or again in a few seconds")
