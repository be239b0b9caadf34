"""Which sessions are in memory: those used last, up to a number of bytes and an age; and how each request goes on.

Nothing is lost with a session: from a data set it begins again by itself, otherwise the client is told to send the
history again. So they are kept in one process's memory and nowhere else.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple, Protocol, TypeVar

from app.problems import Conflict
from models.data.concat import with_future
from models.data.panel import Panel
from models.data.validation import is_valid_id
from models.errors import Fault, InputError, excerpt
from models.forecasting.forecaster import RunnableMember
from models.forecasting.session import Session, append, begin, check_carries, check_enough

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_TRIES = 3
SWEEP_S = 1.0
ENTRY_BYTES = 1_000  # of a key, an entry and their places in the tables


class Key(NamedTuple):
    """Whose session of which model, as it was asked for (``demand@champion``); ``name`` is the client's."""

    tenant_id: int
    model: str
    name: str


class Source(NamedTuple):
    """Where the points come from: a data set, and those of its series that were asked for (all, where None)."""

    dataset_id: int
    ids: tuple[str, ...] | None


class Held(NamedTuple):
    """A session of a version; of one that follows a data set also which, and up to which revision it has been read."""

    session: Session
    source: Source | None = None
    revision: int = 0
    version_id: int = 0


class Inline(NamedTuple):
    """``rows`` that came with the request: a whole history, or what is new of one."""

    rows: Panel

    def go_on(self, networks: Sequence[RunnableMember], held: Held | None, windows: int) -> Held:
        """The session after the rows; where none is held, it begins with them.

        Raises:
            InputError: ``unknown_session`` where none is held and the rows are too few to begin with; and see
                ``models.forecasting.session``.
        """
        if held is not None:
            return held._replace(session=append(networks, held.session, self.rows))
        specs = [network.member.spec for network in networks]
        check_carries(specs)
        check_enough(specs, self.rows)
        return Held(begin(networks, self.rows, windows))


class Stored(NamedTuple):
    """A data set at ``revision``; ``read(after)`` gives what its revisions after that number say, at least one.

    ``future``: what else is known ahead.
    """

    source: Source
    revision: int
    read: Callable[[int], Panel]
    future: Panel | None = None

    def go_on(self, networks: Sequence[RunnableMember], held: Held | None, windows: int) -> Held:
        """The session up to the revision; only what is newer than the one held is read.

        It begins anew where none is held, or one of another source or a later revision, or where what is newer cannot
        follow: after a very long gap, or if a static covariate has changed.

        Raises:
            InputError: see ``models.forecasting.session``; ``unknown_series``.
        """
        check_carries([network.member.spec for network in networks])
        if held is not None and held.source == self.source and held.revision <= self.revision:
            try:
                return Held(self._appended(networks, held), self.source, self.revision)
            except InputError as error:
                logger.info("a session is read anew: %s", error)
        rows, ids = self.read(0), self.source.ids
        rows = self._with_future(rows if ids is None else rows.select(ids))
        return Held(begin(networks, rows, windows), self.source, self.revision)

    def _appended(self, networks: Sequence[RunnableMember], held: Held) -> Session:
        newer = self._newer(held.revision)
        return replace(held.session, restarted=0) if newer is None else append(networks, held.session, newer)

    def _newer(self, after: int) -> Panel | None:
        """What came after a revision, and what is known ahead; None where there is neither."""
        if after == self.revision:
            return self.future
        rows, ids = self.read(after), self.source.ids
        known = list(rows.ids) if ids is None else [name for name in ids if name in set(rows.ids)]
        return self._with_future(rows.select(known)) if known else self.future

    def _with_future(self, rows: Panel) -> Panel:
        return rows if self.future is None else with_future(rows, self.future)


class Watcher(Protocol):
    """Who is told of what happens to the sessions; see ``app.telemetry``."""

    def sessions_kept(self, count: int, size_bytes: int) -> None:
        """State how many there are, and how large they are."""

    def session_asked(self, outcome: str) -> None:
        """Count a request that names one: ``found`` or ``unknown``."""

    def session_dropped(self, reason: str) -> None:
        """Count one that is no more: ``expired`` or ``evicted``."""


class _Entry(NamedTuple):
    held: Held
    size_bytes: int
    used_s: float


class SessionCache:
    """Sessions by key, kept until they were not used for ``ttl_s`` or there is no room; safe to use from threads.

    Where ``budget_bytes`` are full, room is made by the tenant who has most, with the one not used for longest: nobody
    can push out what others have by having more.
    """

    def __init__(
        self, budget_bytes: int, ttl_s: float, watcher: Watcher, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._budget_bytes, self._ttl_s, self._watcher, self._clock = budget_bytes, ttl_s, watcher, clock
        self._tenants: dict[int, OrderedDict[Key, _Entry]] = {}  # each in the order of use
        self._bytes: Counter[int] = Counter()  # by tenant
        self._count = self._size_bytes = 0
        self._lock = threading.Lock()
        self._swept_s = clock()

    def find(self, key: Key) -> Held | None:
        """What is held under ``key``, and from now on used last."""
        with self._lock:
            entry = self._current(key)
            if entry is not None:
                self._tenants[key.tenant_id][key] = entry._replace(used_s=self._clock())
                self._tenants[key.tenant_id].move_to_end(key)
            return None if entry is None else entry.held

    def update(self, key: Key, change: Callable[[Held | None], tuple[Held, T]]) -> T:
        """Hold what ``change`` makes of what is held, and give what else it gives.

        Where another request came between, ``change`` is called again with what that left: nothing waits, and of two
        that go on at the same time the second goes on from the first.

        Raises:
            Conflict: others came between every time.
            InputError: a name that cannot be, a session that would fill the memory alone; and what ``change`` raises,
                after which all is as it was.
        """
        _check_name(key.name)
        for attempt in range(MAX_TRIES):
            before = self.find(key)
            if attempt == 0:
                self._watcher.session_asked("unknown" if before is None else "found")
            after, result = change(before)
            if self._swap(key, before, after):
                return result
        raise Conflict(f"other requests go on with session {excerpt(key.name)} at this moment; send one after another")

    def _swap(self, key: Key, before: Held | None, after: Held) -> bool:
        """Hold ``after``, unless something else than ``before`` is held by now."""
        size_bytes = ENTRY_BYTES + after.session.size_bytes
        if size_bytes > self._budget_bytes:
            raise _too_large(size_bytes, self._budget_bytes)
        with self._lock:
            current = self._current(key)
            if current is not None and current.held is not before:
                return False
            self._drop(key)
            self._tenants.setdefault(key.tenant_id, OrderedDict())[key] = _Entry(after, size_bytes, self._clock())
            self._count_in(key.tenant_id, 1, size_bytes)
            self._sweep()
            self._make_room(key)
            self._watcher.sessions_kept(self._count, self._size_bytes)
        return True

    def _current(self, key: Key) -> _Entry | None:
        entry = self._tenants[key.tenant_id].get(key) if key.tenant_id in self._tenants else None
        if entry is not None and self._is_old(entry):
            self._drop(key, "expired")
            return None
        return entry

    def _count_in(self, tenant_id: int, count: int, size_bytes: int) -> None:
        self._bytes[tenant_id] += size_bytes
        self._count += count
        self._size_bytes += size_bytes

    def _is_old(self, entry: _Entry) -> bool:
        return self._clock() - entry.used_s > self._ttl_s

    def _drop(self, key: Key, reason: str | None = None) -> None:
        own = self._tenants.get(key.tenant_id, OrderedDict())
        entry = own.pop(key, None)
        if entry is None:
            return
        self._count_in(key.tenant_id, -1, -entry.size_bytes)
        if not own:
            del self._tenants[key.tenant_id], self._bytes[key.tenant_id]
        if reason is not None:
            self._watcher.session_dropped(reason)

    def _sweep(self) -> None:
        """Drop what has grown old; not with every request, for each tenant is looked at."""
        if self._clock() - self._swept_s < SWEEP_S:
            return
        self._swept_s = self._clock()
        for own in list(self._tenants.values()):
            for key, _ in list(takewhile(lambda item: self._is_old(item[1]), own.items())):
                self._drop(key, "expired")

    def _make_room(self, newest: Key) -> None:
        while self._size_bytes > self._budget_bytes:
            others = [tenant for tenant, own in self._tenants.items() if newest not in own or len(own) > 1]
            oldest = next(iter(self._tenants[max(others, key=self._bytes.__getitem__)]))
            self._drop(oldest, "evicted")


def _check_name(name: str) -> None:
    if not is_valid_id(name):
        hint = "use 1 to 128 printable characters without space around them"
        message = f"{excerpt(name)} cannot name a session"
        raise InputError([Fault(code="bad_field", field="session", message=message, hint=hint)])


def _too_large(size_bytes: int, budget_bytes: int) -> InputError:
    message = f"the session would take {size_bytes} bytes, and all together may take {budget_bytes}"
    hint = "send fewer series in one session, or leave the session out"
    return InputError([Fault(code="session_too_large", field="session", message=message, hint=hint)])
