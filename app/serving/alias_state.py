"""What one process knows of an alias: the version that it serves, and what the database said of it last.

There is no thread and no clock in here: ``app.serving.version_resolver`` calls every method under one lock and says
the time.
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
    """The version that a request means, with what an answer says of it; ``alias``: what led to it, if not its number.

    ``notes``: why it is another one than its alias points at. The same version is the same object for as long as its
    alias stays, so that what is made of it may be kept by identity.
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
    """How old knowledge of an alias may get: it is asked for anew after ``fresh_s``, and not used after ``most_s``.

    A version that an alias has moved to is waited for up to ``patience_s``: where it takes longer to load, the one
    before goes on. One that could not be loaded is tried again after ``retry_s``.
    """

    fresh_s: float = 0.5
    most_s: float = 1.0
    patience_s: float = 0.4  # less than most_s - fresh_s: an alias in steady use then never keeps anybody waiting
    retry_s: float = 10.0


TIMES = AliasTimes()


class AliasState:
    """One alias. ``target`` is served; ``points_at`` is the version that the database named last.

    They differ while the new version is being loaded (``moving``), and for as long as the one that the alias points at
    is known to be broken: then an earlier one answers in its place, and says so.
    """

    def __init__(self, target: ResolvedVersion, looked_s: float, times: AliasTimes) -> None:
        self.target, self.points_at = target, target.version_id
        self.used = False  # since the database was asked last
        self.waiting: Future[ResolvedVersion] | None = None  # those who want to know it as it is now
        self.moving: ResolvedVersion | None = None
        self.falling: Future[ResolvedVersion] | None = None  # an earlier version that can be served is being looked for
        self._times = times
        self._until_s, self._looked_s = looked_s + times.most_s, looked_s
        self._since_s = 0.0  # when the move was noticed
        self._broken: dict[int, str] = {}  # versions that cannot be served, until the alias moves
        self._retry_s: float | None = None
        self._search_s = -math.inf

    def serves(self, now_s: float) -> ResolvedVersion | None:
        """What a request may be answered with now; None where it is to wait for what the database says."""
        overdue = self.moving is not None and now_s >= self._since_s + self._times.patience_s
        return self.target if now_s < self._until_s or overdue else None

    def is_settled(self, version_id: int, now_s: float) -> bool:
        """Whether nothing is to be done where the database says ``version_id``."""
        return version_id == self.points_at and (self._retry_s is None or now_s < self._retry_s)

    def is_broken(self, version_id: int) -> bool:
        """Whether the version is known not to be servable."""
        return version_id in self._broken

    @property
    def fell_back(self) -> bool:
        """Whether another version is served than the alias points at, because that one is broken."""
        return self.points_at in self._broken and self.target.version_id != self.points_at

    def confirm(self, looked_s: float) -> None:
        """The database, asked at ``looked_s``, has said nothing new."""
        self._looked_s = looked_s
        if self.moving is None or self.points_at in self._broken:
            self._until_s = looked_s + self._times.most_s

    def turn(self, target: ResolvedVersion, looked_s: float) -> bool:
        """The alias points at ``target`` now, or it is time to try that again; whether it is to be loaded first."""
        self._looked_s, self._retry_s = looked_s, None
        if target.version_id != self.points_at:
            self._broken.clear()
            self._search_s = -math.inf
            self.points_at = target.version_id
        if target.version_id == self.target.version_id:
            self.moving = None
            self._serve(target)
            return False
        self.moving, self._since_s = target, looked_s
        self.confirm(looked_s)
        return True

    def arrived(self, target: ResolvedVersion) -> bool:
        """``target`` is loaded, and served from now on; False where it is not what the alias points at any more."""
        if self.moving is not target:
            return False
        self.moving = None
        self._broken.clear()
        self._serve(target)
        return True

    def missed(self, target: ResolvedVersion, error: BaseException, now_s: float) -> bool:
        """``target`` could not be loaded: the one before goes on, for now; False where nobody wants it any more."""
        if self.moving is not target:
            return False
        self.moving = None
        self._retry_s = now_s + self._times.retry_s
        self.breaks(target, error)
        self._serve(self._instead(self.target))
        return True

    def breaks(self, target: ResolvedVersion, error: BaseException) -> None:
        """``target`` cannot be served."""
        self._broken[target.version_id] = f"version {target.number} cannot be served: {_said(error)}"

    def may_search(self, now_s: float) -> bool:
        """Whether to look for an earlier version: not again right after none was found."""
        return now_s >= self._search_s

    def gave_up(self, now_s: float) -> None:
        """No earlier version can be served."""
        self._search_s = now_s + self._times.retry_s

    def falls_to(self, target: ResolvedVersion) -> ResolvedVersion:
        """``target`` is served in place of the version that the alias points at, until that moves; what is served."""
        if self.points_at in self._broken:
            self._serve(self._instead(target))
            return self.target
        return target  # the alias has moved meanwhile: this is for those who waited

    def _instead(self, target: ResolvedVersion) -> ResolvedVersion:
        reason = self._broken[self.points_at]
        note = EngineNote(FELL_BACK, f"{reason}; version {target.number} answers in its place")
        return replace(target, alias=self.target.alias, notes=(note,))

    def _serve(self, target: ResolvedVersion) -> None:
        self.target = target
        self._until_s = self._looked_s + self._times.most_s


def _said(error: BaseException) -> str:
    return f"{type(error).__name__} {excerpt(str(error), 200)}"
