"""Cache of sessions in memory, bounded in bytes and age, and the rules by which a request continues a session.

A lost session costs time only: the service reads the data set again, or the client sends the history again. So each
process keeps its own sessions, in memory.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from math import inf
from typing import NamedTuple, Protocol, TypeVar

from app.problems import Conflict, QuotaExceeded
from app.serving.lru import LRU
from models.data.concat import with_future
from models.data.panel import Panel
from models.data.validation import is_valid_id
from models.errors import InputError, excerpt
from models.forecasting.forecaster import RunnableMember
from models.forecasting.session import Session, append, begin, check_carries, check_enough

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_TRIES = 3
SWEEP_S = 1.0
MAX_EACH = 10_000  # sessions of one tenant
ENTRY_BYTES = 1_000  # of a key, an entry and their places in the tables


class SessionKey(NamedTuple):
    """Tenant, model as the request names it (``demand@champion``), and the client's ``name`` of the session."""

    tenant_id: int
    model: str
    name: str


class SeriesSource(NamedTuple):
    """Data set that a session follows, and the ids of its series; None means all series."""

    dataset_id: int
    ids: tuple[str, ...] | None


class SavedSession(NamedTuple):
    """Session of a version; ``source`` and ``revision`` state the data set that it has read, and how far."""

    session: Session
    source: SeriesSource | None = None
    revision: int = 0
    version_id: int = 0


class InlineRows(NamedTuple):
    """Rows that came with the request: a whole history, or only the new points."""

    rows: Panel

    def advance(self, networks: Sequence[RunnableMember], saved: SavedSession | None, windows: int) -> SavedSession:
        """Return the session after reading the rows; if none is saved, begin one with them.

        Raises:
            InputError: ``unknown_session`` if none is saved and the rows are too few to begin one; or the rows do
                not follow the session.
        """
        if saved is not None:
            return saved._replace(session=append(networks, saved.session, self.rows))
        specs = [network.member.spec for network in networks]
        check_carries(specs)
        check_enough(specs, self.rows)
        return SavedSession(begin(networks, self.rows, windows))


class DatasetRows(NamedTuple):
    """Data set at ``revision``; ``read(after)`` returns the rows of its revisions after that number, at least one.

    ``future``: rows known ahead that came with the request.
    """

    source: SeriesSource
    revision: int
    read: Callable[[int], Panel]
    future: Panel | None = None

    def advance(self, networks: Sequence[RunnableMember], saved: SavedSession | None, windows: int) -> SavedSession:
        """Return the session up to the revision; only rows newer than the saved session are read.

        It begins again where none is saved, where the saved one has another source or a later revision, and where the
        newer rows cannot follow: after a very long gap, or if a static covariate has changed.

        Raises:
            InputError: the rows cannot be used, or the data set lacks a series (``unknown_series``).
        """
        check_carries([network.member.spec for network in networks])
        if saved is not None and saved.source == self.source and saved.revision <= self.revision:
            try:
                newer = self._newer(saved.revision)
                session = (
                    replace(saved.session, restarted=0) if newer is None else append(networks, saved.session, newer)
                )
                return SavedSession(session, self.source, self.revision)
            except InputError as error:
                logger.info("a session is read again from its data set: %s", error)
        rows, ids = self.read(0), self.source.ids
        rows = self._with_future(rows if ids is None else rows.select(ids))
        return SavedSession(begin(networks, rows, windows), self.source, self.revision)

    def _newer(self, after: int) -> Panel | None:
        """Return the rows after a revision and those known ahead; None where there is neither."""
        if after == self.revision:
            return self.future
        rows, ids = self.read(after), self.source.ids
        known = list(rows.ids) if ids is None else [name for name in ids if name in set(rows.ids)]
        return self._with_future(rows.select(known)) if known else self.future

    def _with_future(self, rows: Panel) -> Panel:
        return rows if self.future is None else with_future(rows, self.future)


class SessionMetrics(Protocol):
    """Counters of the cache's events; ``app.telemetry.Telemetry`` is one implementation."""

    def sessions_kept(self, count: int, size_bytes: int) -> None:
        """Set the number of sessions in memory and their size."""

    def session_asked(self, outcome: str) -> None:
        """Count a request that names a session: ``found`` or ``unknown``."""

    def session_dropped(self, reason: str) -> None:
        """Count a session that was dropped: ``expired`` or ``evicted``."""


class _Entry(NamedTuple):
    saved: SavedSession
    size_bytes: int
    used_s: float


class SessionCache:
    """Sessions of all tenants, kept until they are unused for ``ttl_s`` or room is needed; safe to use from threads.

    When ``budget_bytes`` are full, the tenant with most bytes loses its session that was not used for longest: no
    tenant can evict the sessions of others by having more.
    """

    def __init__(
        self,
        budget_bytes: int,
        ttl_s: float,
        metrics: SessionMetrics,
        clock: Callable[[], float] = time.monotonic,
        max_each: int = MAX_EACH,
    ) -> None:
        self._budget_bytes, self._ttl_s, self._metrics, self._clock = budget_bytes, ttl_s, metrics, clock
        self._max_each = max_each
        self._tenants: dict[int, LRU[SessionKey, _Entry]] = {}
        self._count = self._size_bytes = 0  # of all tenants together
        self._lock = threading.Lock()
        self._swept_s = clock()

    def find(self, key: SessionKey) -> SavedSession | None:
        """Return the session of ``key``, which counts as a use of it; None if there is none."""
        with self._lock:
            entry = self._current(key)
            if entry is None:
                return None
            self._tenants[key.tenant_id].put(key, entry._replace(used_s=self._clock()))
            return entry.saved

    def update(self, key: SessionKey, change: Callable[[SavedSession | None], tuple[SavedSession, T]]) -> T:
        """Save the session that ``change`` makes of the saved one, and return the other value that it returns.

        This is optimistic: if another request has updated the session meanwhile, ``change`` is called again with the
        updated session, up to three times in all. No request waits for another.

        Raises:
            Conflict: another request updated the session before each of the three calls.
            InputError: the name is not valid, or the session alone would fill the memory.
            QuotaExceeded: the tenant has as many sessions as it may have.
            Exception: ``change`` raised it; the saved session is as it was.
        """
        if not is_valid_id(key.name):
            hint = "use 1 to 128 printable characters without space around them"
            raise InputError.of("bad_field", f"{excerpt(key.name)} cannot name a session", hint, field="session")
        for attempt in range(MAX_TRIES):
            before = self.find(key)
            if attempt == 0:
                self._metrics.session_asked("unknown" if before is None else "found")
            after, result = change(before)
            if self._swap(key, before, after):
                return result
        raise Conflict(f"other requests change session {excerpt(key.name)} at this moment; send them one after another")

    def _swap(self, key: SessionKey, before: SavedSession | None, after: SavedSession) -> bool:
        """Save ``after`` unless another session than ``before`` was saved meanwhile; return whether it was saved."""
        size_bytes = ENTRY_BYTES + after.session.size_bytes
        if size_bytes > self._budget_bytes:
            message = f"the session would take {size_bytes} bytes; all sessions together may take {self._budget_bytes}"
            hint = "send fewer series in one session, or leave the session out"
            raise InputError.of("session_too_large", message, hint, field="session")
        with self._lock:
            current = self._current(key)
            if current is not None and current.saved is not before:
                return False
            self._sweep()
            if current is None:
                self._check_quota(key.tenant_id)
            own = self._tenants.setdefault(key.tenant_id, LRU(inf, lambda entry: entry.size_bytes))
            count, size_before = len(own), own.size
            own.put(key, _Entry(after, size_bytes, self._clock()))
            self._count += len(own) - count
            self._size_bytes += own.size - size_before
            while self._size_bytes > self._budget_bytes:  # never by dropping the session that was just saved
                others = [tenant for tenant, own in self._tenants.items() if key not in own or len(own) > 1]
                largest = max(others, key=lambda tenant: self._tenants[tenant].size)
                self._drop(next(iter(self._tenants[largest].items()))[0], "evicted")
            self._metrics.sessions_kept(self._count, self._size_bytes)
        return True

    def _check_quota(self, tenant_id: int) -> None:
        count = len(self._tenants.get(tenant_id, ()))
        if count >= self._max_each:
            message = f"your tenant has {count} sessions, and {self._max_each} are allowed"
            hint = f"continue one of them; one that is unused for {self._ttl_s:g} s ends"
            raise QuotaExceeded.of("max_sessions", message, hint, field="session")

    def _current(self, key: SessionKey) -> _Entry | None:
        """Return the entry of ``key``, after dropping an expired one."""
        own = self._tenants.get(key.tenant_id)
        entry = None if own is None else own.get(key)
        if entry is not None and self._is_expired(entry):
            self._drop(key, "expired")
            return None
        return entry

    def _is_expired(self, entry: _Entry) -> bool:
        return self._clock() - entry.used_s > self._ttl_s

    def _drop(self, key: SessionKey, reason: str) -> None:
        own = self._tenants[key.tenant_id]
        size_before = own.size
        own.pop(key)
        self._count -= 1
        self._size_bytes += own.size - size_before
        if not len(own):
            del self._tenants[key.tenant_id]
        self._metrics.session_dropped(reason)

    def _sweep(self) -> None:
        """Drop expired sessions; at most once a second, because it visits every tenant."""
        if self._clock() - self._swept_s < SWEEP_S:
            return
        self._swept_s = self._clock()
        for own in list(self._tenants.values()):
            for key, _ in list(takewhile(lambda item: self._is_expired(item[1]), own.items())):
                self._drop(key, "expired")
