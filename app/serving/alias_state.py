"""State of an alias in one process: the version that it serves, and its target as last read from the database.

This file has no thread and no clock: ``app.serving.alias_refresher`` calls every method under one lock and passes the
time.
"""

import math
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import NamedTuple

from models.engines.devices import EngineNote
from models.errors import excerpt
from models.network.spec import Spec
from models.training.report import VersionReport

FELL_BACK = "fell_back"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResolvedVersion:
    """Version that a request names, with the facts for its answer; ``alias`` is None if the request gave its number.

    ``notes`` give the reason if the alias points at another version. While an alias stays where it is, its version
    stays the same object, so that callers may cache by identity.
    """

    tenant_id: int
    model: str
    alias: str | None
    version_id: int
    number: int
    sha256: str
    spec: Spec
    report: VersionReport
    notes: tuple[EngineNote, ...] = ()


class AliasTimes(NamedTuple):
    """Maximum ages and waits of aliases, in seconds.

    The database is read again after ``refresh_s``, and a result older than ``max_age_s`` is not used. After a move,
    requests wait up to ``patience_s`` for the new version to be loaded; after that the previous version answers
    until it is. A version that could not be loaded is tried again after ``retry_s``.
    """

    refresh_s: float = 0.5
    max_age_s: float = 1.0
    patience_s: float = 0.4  # less than max_age_s - refresh_s: then no request waits for an alias in steady use
    retry_s: float = 10.0


TIMES = AliasTimes()


class AliasState:
    """One alias: ``served`` answers requests, ``points_at`` is the id of its target in the database, as last read.

    They differ while the new version is being loaded (``loading``), and for as long as the version that the alias
    points at is known to be broken: then an earlier version answers in its place, with a note.
    """

    def __init__(self, version: ResolvedVersion, asked_s: float, times: AliasTimes) -> None:
        self.served, self.points_at = version, version.version_id
        self.used = False  # since the database was asked last
        self.waiting: Future[ResolvedVersion] | None = None  # for the next statement of the database
        self.loading: ResolvedVersion | None = None
        self.fallback: Future[ResolvedVersion] | None = None  # under way: the search for an earlier version
        self._times = times
        self._until_s, self._asked_s = asked_s + times.max_age_s, asked_s
        self._moved_s = 0.0  # when the move to ``loading`` was noticed
        self._broken: dict[int, str] = {}  # version id -> reason, until the alias moves
        self._retry_s: float | None = None
        self._search_s = -math.inf  # when a search for an earlier version may begin

    def current(self, now_s: float) -> ResolvedVersion | None:
        """Return the version that may answer a request now; None if the request must wait for the database."""
        overdue = self.loading is not None and now_s >= self._moved_s + self._times.patience_s
        return self.served if now_s < self._until_s or overdue else None

    def is_settled(self, version_id: int, now_s: float) -> bool:
        """Return whether nothing changes if the database says that the alias points at ``version_id``."""
        return version_id == self.points_at and (self._retry_s is None or now_s < self._retry_s)

    def is_broken(self, version_id: int) -> bool:
        """Return whether the version is known to be broken."""
        return version_id in self._broken

    @property
    def fell_back(self) -> bool:
        """Return whether an earlier version answers because the one that the alias points at is broken."""
        return self.points_at in self._broken and self.served.version_id != self.points_at

    def confirm(self, asked_s: float) -> None:
        """Record that the answer of the database at ``asked_s`` brought no change."""
        self._asked_s = asked_s
        if self.loading is None or self.points_at in self._broken:
            self._until_s = asked_s + self._times.max_age_s

    def point_at(self, version: ResolvedVersion, asked_s: float) -> bool:
        """Record that the alias points at ``version``; return whether it must be loaded before it is served."""
        self._asked_s, self._retry_s = asked_s, None
        if version.version_id != self.points_at:
            self._broken.clear()
            self._search_s = -math.inf
            self.points_at = version.version_id
        if version.version_id == self.served.version_id:
            self.loading = None
            self._serve(version)
            return False
        self.loading, self._moved_s = version, asked_s
        self.confirm(asked_s)
        return True

    def loaded(self, version: ResolvedVersion) -> bool:
        """Serve ``version``, which is loaded; return False if the alias has moved on meanwhile."""
        if self.loading is not version:
            return False
        self.loading = None
        self._broken.clear()
        self._serve(version)
        return True

    def load_failed(self, version: ResolvedVersion, error: BaseException, now_s: float) -> bool:
        """Serve the version before ``version`` for now; return False if the alias has moved on meanwhile."""
        if self.loading is not version:
            return False
        self.loading = None
        self._retry_s = now_s + self._times.retry_s
        self.mark_broken(version, error)
        self._serve(self._substitute(self.served))
        return True

    def mark_broken(self, version: ResolvedVersion, error: BaseException) -> None:
        """Record that ``version`` cannot be served."""
        reason = f"{type(error).__name__} {excerpt(str(error), 200)}"
        self._broken[version.version_id] = f"version {version.number} cannot be served: {reason}"

    def may_search(self, now_s: float) -> bool:
        """Return whether to search for an earlier version: not again soon after a search without a result."""
        return now_s >= self._search_s

    def search_failed(self, now_s: float) -> None:
        """Record that no earlier version could be served; ``may_search`` is then False for ``retry_s`` seconds."""
        self._search_s = now_s + self._times.retry_s

    def fall_back_to(self, version: ResolvedVersion) -> ResolvedVersion:
        """Serve an earlier ``version`` until the alias moves; return it, with a note for its answers.

        If ``version`` is the one that the alias points at, it could be loaded after all, and gets no note.
        """
        if version.version_id == self.points_at:
            self._broken.pop(version.version_id, None)
            self._serve(replace(version, alias=self.served.alias, notes=()))
            return self.served
        if self.points_at in self._broken:
            self._serve(self._substitute(version))
            return self.served
        return version  # the alias has moved meanwhile: only the requests that waited get this version

    def _substitute(self, version: ResolvedVersion) -> ResolvedVersion:
        reason = self._broken[self.points_at]
        note = EngineNote(FELL_BACK, f"{reason}; version {version.number} answers in its place")
        return replace(version, alias=self.served.alias, notes=(note,))

    def _serve(self, version: ResolvedVersion) -> None:
        self.served = version
        self._until_s = self._asked_s + self._times.max_age_s
