"""What is asked of versions that are there, as a job's row keeps it: backtests and forecasts of whole data sets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Pinned(NamedTuple):
    """A version as it was named, NAME@ALIAS or NAME@NUMBER, and as it is for good: number and row."""

    name: str
    number: int
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOrder:
    """Score ``version`` (None: seasonal naive) beside the baselines; ``windows``: the format of a file with all of it.

    ``season``: of the data, where there is no version that knows its own.
    """

    version: Pinned | None
    horizon: int
    season: int
    baselines: tuple[str, ...]
    windows: str | None

    def to_json(self) -> dict[str, Any]:
        """The order as the column ``jobs.request`` holds it."""
        return {**asdict(self), "version": _named(self.version), "baselines": list(self.baselines)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "BacktestOrder":
        """The order that ``to_json`` described."""
        return cls(**{**values, "version": _pinned(values["version"]), "baselines": tuple(values["baselines"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """Forecast ``horizon`` steps of the series ``ids`` (None: of all) by ``version``, into a file of ``format``."""

    version: Pinned
    horizon: int
    levels: tuple[int, ...]
    format: str
    ids: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The order as the column ``jobs.request`` holds it."""
        values = {**asdict(self), "version": _named(self.version), "levels": list(self.levels)}
        return {**values, "ids": None if self.ids is None else list(self.ids)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "BatchOrder":
        """The order that ``to_json`` described."""
        ids = values["ids"]
        more = {"levels": tuple(values["levels"]), "ids": None if ids is None else tuple(ids)}
        pinned = _pinned(values["version"])
        assert pinned is not None
        return cls(**{**values, **more, "version": pinned})


def _named(version: Pinned | None) -> dict[str, Any] | None:
    return None if version is None else version._asdict()


def _pinned(values: Mapping[str, Any] | None) -> Pinned | None:
    return None if values is None else Pinned(**values)
