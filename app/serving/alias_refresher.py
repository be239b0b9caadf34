"""Refresher of the aliases in use: one query every half second reads the targets of all of them.

A version that an alias has moved to is loaded first and then served, so that no request waits for a promotion or a
rollback. If it cannot be loaded, the previous version stays in service.
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

MAX_NAMES = 500  # in one query

AliasName = tuple[int, str, str]  # tenant id, model, alias


class VersionStore(Protocol):
    """Registry of versions and aliases; its methods may block, and may raise any error of the database."""

    def look_up(self, tenant_id: int, model: str, number: int | None, alias: str | None) -> ResolvedVersion:
        """Return a version by its ``number`` or by ``alias``; exactly one of them is not None.

        Raises:
            NotFound: no such model, version or alias for this tenant.
        """

    def pointing(self, names: Sequence[AliasName]) -> Mapping[AliasName, int]:
        """Return the id of the version that each alias points at, without the aliases that do not exist."""

    def history(self, tenant_id: int, model: str, alias: str) -> Iterable[ResolvedVersion]:
        """Return the versions that an alias has pointed at, the newest first."""


class ModelLoader(Protocol):
    """Loader of versions into memory; ``ModelCache`` is one implementation."""

    def load(self, tenant_id: int, version_id: int) -> "Future[Any]":
        """Return a future of the loaded version, or of the error that prevents it."""


class AliasMoves(NamedTuple):
    """Counts of alias moves since the start, followed or failed, and of aliases that serve an earlier version now."""

    followed: int = 0
    failed: int = 0
    fallen_back: int = 0


class AliasRefresher:
    """LRU cache of up to ``capacity`` aliases; safe to use from several threads."""

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
        self._aliases: LRU[AliasName, AliasState] = LRU(capacity)
        self._next_s = 0.0  # when the aliases in use are due for a refresh
        self._refreshing = self._again = self._closed = False
        self._followed = self._failed = 0
        self._refresh_thread = ThreadPoolExecutor(1, "aliases")
        self._search_thread = ThreadPoolExecutor(1, "fall-back")  # a second one, because it waits for loads

    def find(self, name: AliasName) -> ResolvedVersion | None:
        """Return the version that the alias serves; None if it is not cached or too old. This never blocks."""
        with self._lock:
            alias = self._aliases.get(name)
            if alias is None:
                return None
            alias.used, now_s = True, self._clock()
            if now_s >= self._next_s:
                self._refresh_soon()
            return alias.current(now_s)

    def ask(self, name: AliasName) -> "Future[ResolvedVersion] | None":
        """Return a future of the version that the alias serves after the next query; None if it is not cached."""
        with self._lock:
            alias = self._aliases.get(name)
            if alias is None or self._closed:
                return None
            alias.used = True
            if (version := alias.current(self._clock())) is not None:
                return resolved(version)
            if alias.waiting is None:
                alias.waiting = shared_future()
            self._again = True  # the query that is under way may be without this alias
            self._refresh_soon()
            return alias.waiting

    def remember(self, name: AliasName, version: ResolvedVersion, asked_s: float) -> AliasState:
        """Add the alias, which pointed at ``version`` when the database was asked at ``asked_s``."""
        with self._lock:
            return self._add(name, version, asked_s)

    def forget(self, name: AliasName) -> None:
        """Forget an alias that this process has moved: the next request is served by the new version."""
        with self._lock:
            dropped = self._aliases.pop(name)
        if dropped is not None and dropped.waiting is not None:
            resolve(dropped.waiting, dropped.served)  # these requests came before the move

    def report_broken(self, version: ResolvedVersion, error: BaseException) -> "Future[ResolvedVersion]":
        """Report that ``version`` could not be loaded or forecast no finite numbers; return its replacement.

        The replacement is the newest loadable version that its alias has pointed at. Every request gets it, with a note
        that states the reason, until the alias moves. The future raises ``error`` if there is none, and if the request
        gave the version by its number.
        """
        if version.alias is None:
            return failed(error)
        name = (version.tenant_id, version.model, version.alias)
        with self._lock:
            now_s = self._clock()
            alias = self._aliases.get(name) or self._add(name, version, now_s)
            if alias.served.version_id != version.version_id:
                return resolved(alias.served)  # the alias has moved, or fallen back already
            if alias.fallback is not None:
                return alias.fallback
            if self._closed or not alias.may_search(now_s):
                return failed(error)
            alias.mark_broken(version, error)
            fallback: Future[ResolvedVersion] = shared_future()
            alias.fallback = fallback
            self._search_thread.submit(run_into, fallback, partial(self._fall_back, name, alias, error))
        logger.error("%s: version %d is broken: %s", _text(name), version.number, error)
        return fallback

    def moves(self) -> AliasMoves:
        """Return the counts of moves as they are now."""
        with self._lock:
            fallen_back = sum(alias.fell_back for alias in self._aliases.values())
            return AliasMoves(self._followed, self._failed, fallen_back)

    def close(self) -> None:
        """Stop the queries, and fail waiting requests with Unavailable."""
        with self._lock:
            self._closed = True
            waiting = [f for alias in self._aliases.values() for f in (alias.waiting, alias.fallback) if f is not None]
        for threads in (self._refresh_thread, self._search_thread):
            threads.shutdown(wait=False, cancel_futures=True)
        for future in waiting:
            fail(future, Unavailable("the service is being stopped; try again in a few seconds"))

    def _add(self, name: AliasName, version: ResolvedVersion, asked_s: float) -> AliasState:
        alias = AliasState(version, asked_s, self._times)
        self._next_s = self._next_s or asked_s + self._times.refresh_s
        for dropped in self._aliases.put(name, alias):
            if dropped.waiting is not None:
                resolve(dropped.waiting, dropped.served)
        return alias

    def _refresh_soon(self) -> None:
        if not self._refreshing and not self._closed:
            self._refreshing = True
            self._refresh_thread.submit(self._refresh)

    def _refresh(self) -> None:
        """Refresh the aliases used since the last refresh, again and again while requests wait for one."""
        while True:
            with self._lock:
                asked_s, self._again = self._clock(), False
                self._next_s = asked_s + self._times.refresh_s
                known = list(self._aliases.items())
            used = [(name, alias) for name, alias in known if alias.used]
            for start in range(0, len(used), MAX_NAMES):
                self._refresh_some(used[start : start + MAX_NAMES], asked_s)
            with self._lock:
                if not self._again:
                    self._refreshing = False
                    return

    def _refresh_some(self, aliases: Sequence[tuple[AliasName, AliasState]], asked_s: float) -> None:
        for _, alias in aliases:
            alias.used = False
        try:
            pointing = self._store.pointing([name for name, _ in aliases])
            for name, alias in aliases:
                self._update(name, alias, pointing.get(name), asked_s)
        except Exception as error:
            logger.warning("%d aliases cannot be refreshed: %s", len(aliases), error)
            for _, alias in aliases:
                self._answer_waiting(alias, error)

    def _update(self, name: AliasName, alias: AliasState, version_id: int | None, asked_s: float) -> None:
        """Update an alias that points at ``version_id`` in the database; None: the alias does not exist."""
        with self._lock:
            settled = version_id is not None and alias.is_settled(version_id, asked_s)
            if settled:
                alias.confirm(asked_s)
        if settled:
            self._answer_waiting(alias)
            return
        tenant_id, model, alias_name = name
        try:
            version = self._store.look_up(tenant_id, model, None, alias_name)
        except Exception as error:
            if version_id is None:
                with self._lock:
                    self._aliases.pop(name)
            self._answer_waiting(alias, error)
            return
        with self._lock:
            must_load = alias.point_at(version, asked_s)
        self._answer_waiting(alias)
        if must_load:
            loading = self._loader.load(tenant_id, version.version_id)
            loading.add_done_callback(partial(self._finish_move, name, alias, version))

    def _finish_move(
        self, name: AliasName, alias: AliasState, version: ResolvedVersion, loading: "Future[Any]"
    ) -> None:
        """Serve the version that the alias has moved to or, if it could not be loaded, the previous one."""
        error, before = loading.exception(), alias.served
        with self._lock:
            if error is None:
                is_current = alias.loaded(version)
                self._followed += is_current
            else:
                is_current = alias.load_failed(version, error, self._clock())
                self._failed += is_current
        if not is_current:
            return  # the alias has moved on meanwhile
        if error is None:
            logger.info("%s: version %d is served in place of %d", _text(name), version.number, before.number)
        else:
            logger.error("%s: %s", _text(name), alias.served.notes[0].message)
        self._answer_waiting(alias, at_once=True)

    def _fall_back(self, name: AliasName, alias: AliasState, error: BaseException) -> ResolvedVersion:
        """Serve and return the newest earlier version that can be loaded.

        Raises:
            BaseException: ``error``, if no earlier version can be loaded.
        """
        try:
            earlier = self._newest_loadable(name, alias)
        except Exception:
            logger.exception("%s: its earlier versions cannot be read", _text(name))
            earlier = None
        with self._lock:
            alias.fallback = None
            if earlier is None:
                alias.search_failed(self._clock())
                raise error
            version = alias.fall_back_to(earlier)
        logger.error("%s: version %d is served from now on", _text(name), version.number)
        return version

    def _newest_loadable(self, name: AliasName, alias: AliasState) -> ResolvedVersion | None:
        for version in self._store.history(*name):
            if alias.is_broken(version.version_id):
                continue
            error = self._loader.load(version.tenant_id, version.version_id).exception()
            if error is None:
                return version
            with self._lock:
                alias.mark_broken(version, error)
        return None

    def _answer_waiting(self, alias: AliasState, error: BaseException | None = None, at_once: bool = False) -> None:
        """Answer the requests that wait for the alias with its version or ``error``; ``at_once``: at any age."""
        with self._lock:
            version = alias.served if at_once else alias.current(self._clock())
            if alias.waiting is None or (error is None and version is None):
                return
            waiting, alias.waiting = alias.waiting, None
        if error is not None:
            fail(waiting, error)
        elif version is not None:
            resolve(waiting, version)


def _text(name: AliasName) -> str:
    tenant_id, model, alias = name
    return f"tenant {tenant_id} model {model} alias {alias}"
