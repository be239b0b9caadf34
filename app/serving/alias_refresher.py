"""The aliases in use: where they point, asked of the database twice a second for all together, and who follows.

A version that an alias has moved to is loaded first and then served, so that nobody waits for a promotion or a
rollback; where it cannot be loaded, the one before goes on.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol

from app.problems import Unavailable
from app.serving.alias_state import TIMES, AliasState, AliasTimes, ResolvedVersion
from app.serving.futures import fail, failed, resolve, resolved, run_into, shared_future
from app.serving.lru import LRU

logger = logging.getLogger(__name__)

MAX_NAMES = 500  # in one question to the database

AliasName = tuple[int, str, str]  # tenant id, model, alias


class VersionStore(Protocol):
    """Registry of versions and aliases; its methods may block, and may raise any error of the database."""

    def look_up(self, tenant_id: int, model: str, number: int | None, alias: str | None) -> ResolvedVersion:
        """Return a version by its number or by an alias; the other of the two is None.

        Raises:
            NotFound: no such model, version or alias for this tenant.
        """

    def pointing(self, names: Sequence[AliasName]) -> Mapping[AliasName, int]:
        """Return the id of the version that each alias points at, without the aliases that do not exist."""

    def history(self, tenant_id: int, model: str, alias: str) -> Iterable[ResolvedVersion]:
        """Return the versions that an alias has pointed at, the newest first."""


class ModelLoader(Protocol):
    """Loads versions into memory, such as ``ModelCache``."""

    def load(self, tenant_id: int, version_id: int) -> "Future[Any]":
        """Return a future of the loaded version, or of the error that prevents it."""


class AliasMoves(NamedTuple):
    """Moves of aliases that were followed and that could not be, since the start; aliases that fall back now."""

    followed: int = 0
    failed: int = 0
    fallen_back: int = 0


class AliasRefresher:
    """Up to ``capacity`` aliases, those used last; safe to use from several threads."""

    def __init__(
        self,
        store: VersionStore,
        loader: ModelLoader,
        times: AliasTimes = TIMES,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = 2_000,
    ) -> None:
        self._store, self._loader, self._times, self._clock = store, loader, times, clock
        self._lock = threading.Lock()
        self._known: LRU[AliasName, AliasState] = LRU(capacity)
        self._next_s = 0.0  # when those in use are to be looked at again
        self._refreshing = self._again = self._closed = False
        self._followed = self._failed = 0
        self._watch = ThreadPoolExecutor(1, "aliases")
        self._searches = ThreadPoolExecutor(1, "fall-back")  # of its own, because it waits for versions to be loaded

    def find(self, name: AliasName) -> ResolvedVersion | None:
        """What the alias serves, if that is known well enough; this waits for nothing."""
        with self._lock:
            alias = self._known.get(name)
            if alias is None:
                return None
            alias.used, now_s = True, self._clock()
            if now_s >= self._next_s:
                self._refresh_soon()
            return alias.serves(now_s)

    def ask(self, name: AliasName) -> "Future[ResolvedVersion] | None":
        """What the alias serves once the database has been asked; None where it is not known here."""
        with self._lock:
            alias = self._known.get(name)
            if alias is None or self._closed:
                return None
            alias.used = True
            if (target := alias.serves(self._clock())) is not None:
                return resolved(target)
            if alias.waiting is None:
                alias.waiting = shared_future()
            self._again = True  # the question that is under way may be without this one
            self._refresh_soon()
            return alias.waiting

    def remember(self, name: AliasName, target: ResolvedVersion, looked_s: float) -> AliasState:
        """Know the alias from now on; the database said so at ``looked_s``."""
        with self._lock:
            return self._remember(name, target, looked_s)

    def forget(self, name: AliasName) -> None:
        """Forget an alias that this process has moved: the next request is served by the new version."""
        with self._lock:
            gone = self._known.pop(name)
        if gone is not None and gone.waiting is not None:
            resolve(gone.waiting, gone.target)  # they came before the move

    def report_broken(self, target: ResolvedVersion, error: BaseException) -> "Future[ResolvedVersion]":
        """Report that ``target`` could not be loaded or gave no usable numbers; return what to serve in its place.

        That is the newest version that its alias has pointed at and that can be loaded; every request gets it until
        the alias moves, with a note that says why. The future raises ``error`` if there is none, and for a version
        that was asked for by its number.
        """
        if target.alias is None:
            return failed(error)
        name = (target.tenant_id, target.model, target.alias)
        with self._lock:
            now_s = self._clock()
            alias = self._known.get(name) or self._remember(name, target, now_s)
            if alias.target.version_id != target.version_id:
                return resolved(alias.target)  # the alias has moved, or fallen back already
            if alias.falling is not None:
                return alias.falling
            if self._closed or not alias.may_search(now_s):
                return failed(error)
            alias.breaks(target, error)
            falling: Future[ResolvedVersion] = shared_future()
            alias.falling = falling
            self._searches.submit(run_into, falling, partial(self._fall_back, name, alias, error))
        logger.error("%s: version %d is broken: %s", _words(name), target.number, error)
        return falling

    def moves(self) -> AliasMoves:
        """Return the counts of moves as they are now."""
        with self._lock:
            return AliasMoves(self._followed, self._failed, sum(alias.fell_back for alias in self._known.values()))

    def close(self) -> None:
        """Ask nothing more; who waits is told so."""
        with self._lock:
            self._closed = True
            waiting = [p for alias in self._known.values() for p in (alias.waiting, alias.falling) if p is not None]
        for threads in (self._watch, self._searches):
            threads.shutdown(wait=False, cancel_futures=True)
        for given in waiting:
            fail(given, Unavailable("the service is being stopped; try again in a few seconds"))

    def _remember(self, name: AliasName, target: ResolvedVersion, looked_s: float) -> AliasState:
        alias = AliasState(target, looked_s, self._times)
        self._next_s = self._next_s or looked_s + self._times.fresh_s
        for dropped in self._known.put(name, alias):
            if dropped.waiting is not None:
                resolve(dropped.waiting, dropped.target)
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

    def _look(self, some: Sequence[tuple[AliasName, AliasState]], looked_s: float) -> None:
        for _, alias in some:
            alias.used = False
        try:
            pointing = self._store.pointing([name for name, _ in some])
            for name, alias in some:
                self._seen(name, alias, pointing.get(name), looked_s)
        except Exception as error:
            logger.warning("where %d aliases point cannot be asked: %s", len(some), error)
            for _, alias in some:
                self._tell(alias, error)

    def _seen(self, name: AliasName, alias: AliasState, version_id: int | None, looked_s: float) -> None:
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
            target = self._store.look_up(tenant_id, model, None, words)
        except Exception as error:
            if version_id is None:
                self._drop(name)
            self._tell(alias, error)
            return
        with self._lock:
            is_to_load = alias.turn(target, looked_s)
        self._tell(alias)
        if is_to_load:
            loading = self._loader.load(tenant_id, target.version_id)
            loading.add_done_callback(partial(self._loaded, name, alias, target))

    def _drop(self, name: AliasName) -> None:
        with self._lock:
            self._known.pop(name)

    def _loaded(self, name: AliasName, alias: AliasState, target: ResolvedVersion, loading: "Future[Any]") -> None:
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

    def _fall_back(self, name: AliasName, alias: AliasState, error: BaseException) -> ResolvedVersion:
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

    def _earlier(self, name: AliasName, alias: AliasState) -> ResolvedVersion | None:
        for target in self._store.history(*name):
            if alias.is_broken(target.version_id):
                continue
            error = self._loader.load(target.tenant_id, target.version_id).exception()
            if error is None:
                return target
            with self._lock:
                alias.breaks(target, error)
        return None

    def _tell(self, alias: AliasState, error: BaseException | None = None, at_once: bool = False) -> None:
        """Answer those who wait for the alias, where there is an answer."""
        with self._lock:
            target = alias.target if at_once else alias.serves(self._clock())
            if alias.waiting is None or (error is None and target is None):
                return
            waiting, alias.waiting = alias.waiting, None
        if error is not None:
            fail(waiting, error)
        elif target is not None:
            resolve(waiting, target)


def _words(name: AliasName) -> str:
    tenant_id, model, alias = name
    return f"tenant {tenant_id} model {model} alias {alias}"
