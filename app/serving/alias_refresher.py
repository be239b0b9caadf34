"""The aliases in use: where they point, asked of the database twice a second for all together, and who follows.

A version that an alias has moved to is loaded first and then served, so that nobody waits for a promotion or a
rollback; where it cannot be loaded, the one before goes on.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

from app.problems import Unavailable
from app.serving.alias_state import TIMES, Alias, Target, Times
from app.serving.futures import fail, failed, fulfil, keep, kept, promise

logger = logging.getLogger(__name__)

MAX_NAMES = 500  # in one question to the database

Name = tuple[int, str, str]  # tenant id, model, alias


@dataclass(frozen=True, slots=True)
class Reads:
    """How the database is asked; called by threads that may wait for it, and any of them may raise.

    ``look_up(tenant_id, model, version, alias)``, one of the last two None, gives a version or raises NotFound.
    ``pointing(names)`` gives the id of the version that each alias points at, and leaves out those that are gone.
    ``history(tenant_id, model, alias)`` gives the versions that it has pointed at, the newest first.
    """

    look_up: Callable[[int, str, int | None, str | None], Target]
    pointing: Callable[[Sequence[Name]], Mapping[Name, int]]
    history: Callable[[int, str, str], Iterable[Target]]


class Loads(Protocol):
    """What loads versions, such as ``ModelCache``."""

    def load(self, tenant_id: int, version_id: int) -> "Future[Any]":
        """A future of the version, or of why it cannot be loaded."""


class Moves(NamedTuple):
    """Since the start: moves that were followed and that could not be; and the aliases that fall back at present."""

    followed: int = 0
    failed: int = 0
    fallen_back: int = 0


class Aliases:
    """Up to ``capacity`` aliases, those used last; safe to use from several threads."""

    def __init__(
        self,
        reads: Reads,
        loads: Loads,
        times: Times = TIMES,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = 2_000,
    ) -> None:
        self._reads, self._loads, self._times = reads, loads, times
        self._clock, self._capacity = clock, capacity
        self._lock = threading.Lock()
        self._known: OrderedDict[Name, Alias] = OrderedDict()
        self._next_s = 0.0  # when those in use are to be looked at again
        self._refreshing = self._again = self._closed = False
        self._followed = self._failed = 0
        self._watch = ThreadPoolExecutor(1, "aliases")
        self._searches = ThreadPoolExecutor(1, "fall-back")  # of its own, because it waits for versions to be loaded

    def find(self, name: Name) -> Target | None:
        """What the alias serves, if that is known well enough; this waits for nothing."""
        with self._lock:
            alias = self._known.get(name)
            if alias is None:
                return None
            self._known.move_to_end(name)
            alias.used, now_s = True, self._clock()
            if now_s >= self._next_s:
                self._refresh_soon()
            return alias.serves(now_s)

    def ask(self, name: Name) -> "Future[Target] | None":
        """What the alias serves once the database has been asked; None where it is not known here."""
        with self._lock:
            alias = self._known.get(name)
            if alias is None or self._closed:
                return None
            alias.used = True
            if (target := alias.serves(self._clock())) is not None:
                return kept(target)
            if alias.waiting is None:
                alias.waiting = promise()
            self._again = True  # the question that is under way may be without this one
            self._refresh_soon()
            return alias.waiting

    def remember(self, name: Name, target: Target, looked_s: float) -> Alias:
        """Know the alias from now on; the database said so at ``looked_s``."""
        with self._lock:
            return self._remember(name, target, looked_s)

    def forget(self, name: Name) -> None:
        """The alias was moved by this process: whoever asks from now on is told what the database says."""
        with self._lock:
            gone = self._known.pop(name, None)
        if gone is not None and gone.waiting is not None:
            keep(gone.waiting, gone.target)  # they came before the move

    def report_broken(self, target: Target, error: BaseException) -> "Future[Target]":
        """See ``Resolver.report_broken``."""
        if target.alias is None:
            return failed(error)
        name = (target.tenant_id, target.model, target.alias)
        with self._lock:
            now_s = self._clock()
            alias = self._known.get(name) or self._remember(name, target, now_s)
            if alias.target.version_id != target.version_id:
                return kept(alias.target)  # the alias has moved, or fallen back already
            if alias.falling is not None:
                return alias.falling
            if self._closed or not alias.may_search(now_s):
                return failed(error)
            alias.breaks(target, error)
            falling: Future[Target] = promise()
            alias.falling = falling
            self._searches.submit(fulfil, falling, partial(self._fall_back, name, alias, error))
        logger.error("%s: version %d is broken: %s", _words(name), target.number, error)
        return falling

    def moves(self) -> Moves:
        """The counts as they are now."""
        with self._lock:
            return Moves(self._followed, self._failed, sum(alias.fell_back for alias in self._known.values()))

    def close(self) -> None:
        """Ask nothing more; who waits is told so."""
        with self._lock:
            self._closed = True
            waiting = [p for alias in self._known.values() for p in (alias.waiting, alias.falling) if p is not None]
        for threads in (self._watch, self._searches):
            threads.shutdown(wait=False, cancel_futures=True)
        for given in waiting:
            fail(given, Unavailable("the service is being stopped; try again in a few seconds"))

    def _remember(self, name: Name, target: Target, looked_s: float) -> Alias:
        alias = self._known[name] = Alias(target, looked_s, self._times)
        self._known.move_to_end(name)
        self._next_s = self._next_s or looked_s + self._times.fresh_s
        while len(self._known) > self._capacity:
            _, gone = self._known.popitem(last=False)
            if gone.waiting is not None:
                keep(gone.waiting, gone.target)
        return alias

    def _refresh_soon(self) -> None:
        if not self._refreshing and not self._closed:
            self._refreshing = True
            self._watch.submit(self._refresh)

    def _refresh(self) -> None:
        """Ask where the aliases point that were used since the last time, until nobody is left waiting for it."""
        while True:
            with self._lock:
                looked_s, self._again = self._clock(), False
                self._next_s = looked_s + self._times.fresh_s
                known = list(self._known.items())
            used = [(name, alias) for name, alias in known if alias.used]
            for start in range(0, len(used), MAX_NAMES):
                self._look(used[start : start + MAX_NAMES], looked_s)
            with self._lock:
                if not self._again:
                    self._refreshing = False
                    return

    def _look(self, some: Sequence[tuple[Name, Alias]], looked_s: float) -> None:
        for _, alias in some:
            alias.used = False
        try:
            pointing = self._reads.pointing([name for name, _ in some])
            for name, alias in some:
                self._seen(name, alias, pointing.get(name), looked_s)
        except Exception as error:
            logger.warning("where %d aliases point cannot be asked: %s", len(some), error)
            for _, alias in some:
                self._tell(alias, error)

    def _seen(self, name: Name, alias: Alias, version_id: int | None, looked_s: float) -> None:
        """The database says that the alias points at ``version_id``, or (None) that there is no such alias."""
        with self._lock:
            settled = version_id is not None and alias.is_settled(version_id, looked_s)
            if settled:
                alias.confirm(looked_s)
        if settled:
            self._tell(alias)
            return
        tenant_id, model, words = name
        try:
            target = self._reads.look_up(tenant_id, model, None, words)
        except Exception as error:
            if version_id is None:
                self._drop(name)
            self._tell(alias, error)
            return
        with self._lock:
            is_to_load = alias.turn(target, looked_s)
        self._tell(alias)
        if is_to_load:
            loading = self._loads.load(tenant_id, target.version_id)
            loading.add_done_callback(partial(self._loaded, name, alias, target))

    def _drop(self, name: Name) -> None:
        with self._lock:
            self._known.pop(name, None)

    def _loaded(self, name: Name, alias: Alias, target: Target, loading: "Future[Any]") -> None:
        """The version that the alias moved to is in memory, or cannot be."""
        error, old = loading.exception(), alias.target
        with self._lock:
            if error is None:
                wanted = alias.arrived(target)
                self._followed += wanted
            else:
                wanted = alias.missed(target, error, self._clock())
                self._failed += wanted
        if not wanted:
            return  # the alias has moved on meanwhile
        if error is None:
            logger.info("%s: version %d is served in place of %d", _words(name), target.number, old.number)
        else:
            logger.error("%s: %s", _words(name), alias.target.notes[0].message)
        self._tell(alias, at_once=True)

    def _fall_back(self, name: Name, alias: Alias, error: BaseException) -> Target:
        """The newest version before that can be loaded, served from now on; ``error`` is raised where there is none."""
        try:
            found = self._earlier(name, alias)
        except Exception:
            logger.exception("%s: what it pointed at before cannot be asked", _words(name))
            found = None
        with self._lock:
            alias.falling = None
            if found is None:
                alias.gave_up(self._clock())
                raise error
            target = alias.falls_to(found)
        logger.error("%s: version %d is served from now on", _words(name), target.number)
        return target

    def _earlier(self, name: Name, alias: Alias) -> Target | None:
        for target in self._reads.history(*name):
            if alias.is_broken(target.version_id):
                continue
            error = self._loads.load(target.tenant_id, target.version_id).exception()
            if error is None:
                return target
            with self._lock:
                alias.breaks(target, error)
        return None

    def _tell(self, alias: Alias, error: BaseException | None = None, at_once: bool = False) -> None:
        """Answer those who wait for the alias, where there is an answer."""
        with self._lock:
            target = alias.target if at_once else alias.serves(self._clock())
            if alias.waiting is None or (error is None and target is None):
                return
            waiting, alias.waiting = alias.waiting, None
        if error is not None:
            fail(waiting, error)
        elif target is not None:
            keep(waiting, target)


def _words(name: Name) -> str:
    tenant_id, model, alias = name
    return f"tenant {tenant_id} model {model} alias {alias}"
