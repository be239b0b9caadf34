"""Fakes for the tests of caches and resolvers: a clock moved by hand, a registry in dictionaries, a loader."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from app.problems import NotFound
from app.serving.alias_refresher import AliasName
from app.serving.alias_state import ResolvedVersion
from app.serving.futures import failed, resolved
from tests.fakes import report, spec_of


@dataclass
class Clock:
    """Clock that shows the same time until a test moves it."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def after(self, seconds: float) -> None:
        self.now_s += seconds


def version_of(
    number: int, alias: str | None = "champion", model: str = "demand", tenant_id: int = 7
) -> ResolvedVersion:
    """Return version ``number`` of the model; its id is ``number`` + 100."""
    return ResolvedVersion(
        tenant_id=tenant_id,
        model=model,
        alias=alias,
        version_id=100 + number,
        number=number,
        sha256=f"{number:064}",
        spec=spec_of(),
        report=report(0.1 * number),
    )


@dataclass
class Registry:
    """Registry of tenant 7 whose aliases a test moves by hand; it records its calls, and raises ``away`` if set."""

    points: dict[str, int] = field(default_factory=lambda: {"champion": 1})
    before: list[int] = field(default_factory=list)  # what champion pointed at, the newest first
    away: Exception | None = None
    looked_up: list[tuple[Any, ...]] = field(default_factory=list)
    pointed: list[list[AliasName]] = field(default_factory=list)
    asking: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None

    def look_up(self, tenant_id: int, model: str, version: int | None, alias: str | None) -> ResolvedVersion:
        self.looked_up.append((tenant_id, model, version, alias))
        self._wait()
        if version is not None:
            if version > 9:
                raise NotFound(f"model has no version {version}")
            return version_of(version, None, model, tenant_id)
        if tenant_id != 7 or alias not in self.points:
            raise NotFound(f"model has no alias {alias}")
        return version_of(self.points[alias], alias, model, tenant_id)

    def pointing(self, names: Sequence[AliasName]) -> Mapping[AliasName, int]:
        self.pointed.append(list(names))
        self._wait()
        return {name: 100 + self.points[name[2]] for name in names if name[2] in self.points}

    def history(self, tenant_id: int, model: str, alias: str) -> Iterable[ResolvedVersion]:
        self._wait()
        return [version_of(number, None, model, tenant_id) for number in (self.points[alias], *self.before)]

    def move(self, number: int) -> None:
        """Point ``champion`` at another version."""
        self.before.insert(0, self.points["champion"])
        self.points["champion"] = number

    def _wait(self) -> None:
        self.asking.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.away is not None:
            raise self.away


@dataclass
class Loads:
    """Loader that loads a version at once, fails, or returns a future that the test resolves."""

    broken: dict[int, Exception] = field(default_factory=dict)
    slow: dict[int, "Future[Any]"] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def load(self, tenant_id: int, version_id: int) -> "Future[Any]":
        number = version_id - 100
        self.asked.append(number)
        if number in self.broken:
            return failed(self.broken[number])
        return self.slow.get(number) or resolved(f"version {number}")
