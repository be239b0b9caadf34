"""Bounds of a forecast: the lowest and the highest value that a series can take, such as 0 for counts.

Bounds clip a finished forecast. Values are never below 0 in many data, but no network knows that.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.panel import Panel
from models.errors import Fault, Findings, InputError
from models.types import Floats, Ints

Pair = tuple[float | None, float | None]  # lowest and highest value; None: no such bound


class Bounds(NamedTuple):
    """Lowest and highest value, in data units; infinite where there is no bound."""

    lo: float = -math.inf
    hi: float = math.inf

    def to_pair(self) -> list[float | None]:
        """Return ``[lo, hi]`` for JSON, with None in place of infinity."""
        return [None if math.isinf(value) else value for value in self]


UNBOUNDED, NON_NEGATIVE = Bounds(), Bounds(lo=0.0)


class RowBounds(NamedTuple):
    """Bounds of B series or windows: ``lo`` and ``hi`` (B, 1), infinite where a row has none; None: no row has one."""

    lo: Floats | None
    hi: Floats | None

    def clip(self, values: Floats) -> Floats:
        """Return ``values`` (B, H) within the bounds; a zero is never negative."""
        clipped = values + 0.0  # -0.0 becomes 0.0
        if self.lo is not None:
            np.maximum(clipped, self.lo, out=clipped)
        if self.hi is not None:
            np.minimum(clipped, self.hi, out=clipped)
        return clipped

    def rows(self, keep: Ints | NDArray[np.bool_] | slice) -> "RowBounds":
        """Return the bounds of the rows ``keep``."""
        return RowBounds(*(None if side is None else side[keep] for side in self))

    def clip_rows(self, values: Floats, keep: Ints) -> Floats:
        """Return ``values`` (K, H), which belong to the rows ``keep`` (K,), within their bounds."""
        return self.rows(keep).clip(values)

    def without_any(self, count: int) -> Ints:
        """Return the numbers of those of ``count`` rows that have no bound."""
        sides = [np.isinf(side[:, 0]) for side in self if side is not None]
        return np.flatnonzero(np.logical_and.reduce(sides)) if sides else np.arange(count)


def merge_bounds(non_negative: bool, pair: Sequence[float | None] | None) -> Bounds:
    """Return the bounds of ``pair``; if ``non_negative``, the lower one is at least 0."""
    if pair is None:
        return NON_NEGATIVE if non_negative else UNBOUNDED
    lo, hi = pair
    lowest = -math.inf if lo is None else float(lo)
    return Bounds(max(0.0, lowest) if non_negative else lowest, math.inf if hi is None else float(hi))


def replace_bounds(
    own: Sequence[float | None] | None, non_negative: bool | None, pair: Sequence[float | None] | None
) -> Bounds | None:
    """Return the bounds that a request asks for instead of those of a model; None: it asks for none.

    ``pair`` replaces all bounds of the model; ``non_negative`` alone keeps ``own``, the model's pair.
    """
    if pair is None and non_negative is None:
        return None
    return merge_bounds(bool(non_negative), own if pair is None else pair)


def loosest(bounds: Iterable[Bounds]) -> Bounds:
    """Return the bounds that contain each of ``bounds``."""
    lows, highs = zip(*bounds, strict=True)
    return Bounds(min(lows), max(highs))


def find_broken(
    panel: Panel, bounds: Bounds, series: Ints, at: Ints, points: int | None = None
) -> NDArray[np.bool_] | None:
    """Return for each moment (series, at), (B,), whether a value before it is out of ``bounds``; None: none is.

    ``points``: the number of newest values that count; None: all.
    """
    lowest, highest = panel.extremes
    if lowest >= bounds.lo and highest <= bounds.hi:
        return None
    beyond = (panel.y < bounds.lo) | (panel.y > bounds.hi)
    count = np.concatenate([[0], np.cumsum(beyond)])
    first = np.zeros_like(at) if points is None else np.maximum(at - points, 0)
    begin = panel.indptr[series]
    broken: NDArray[np.bool_] = count[begin + at] > count[begin + first]
    return broken if broken.any() else None


def bound_rows(panel: Panel, bounds: Bounds, series: Ints, at: Ints, points: int | None = None) -> RowBounds | None:
    """Return the bounds at the moments (series, at); None without any bound.

    A series with a value out of ``bounds``, among its newest ``points``, has none.
    """
    if bounds == UNBOUNDED:
        return None
    broken = find_broken(panel, bounds, series, at, points)
    lo = None if bounds.lo == -math.inf else np.full((len(at), 1), bounds.lo)
    hi = None if bounds.hi == math.inf else np.full((len(at), 1), bounds.hi)
    if broken is not None and lo is not None:
        lo[broken] = -math.inf
    if broken is not None and hi is not None:
        hi[broken] = math.inf
    return RowBounds(lo, hi)


def join_bounds(parts: Sequence[RowBounds | None]) -> RowBounds | None:
    """Return the bounds of the rows of all ``parts``, made of the same bounds, one after the other."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    lows, highs = [part.lo for part in known if part.lo is not None], [part.hi for part in known if part.hi is not None]
    return RowBounds(np.concatenate(lows) if lows else None, np.concatenate(highs) if highs else None)


def check_bounds(panel: Panel, bounds: Bounds, field: str) -> None:
    """Refuse values of ``panel`` that are out of ``bounds``; ``field`` is the name of the argument with the bounds.

    Raises:
        InputError: ``out_of_bounds`` for each series with such a value.
    """
    broken = None if bounds == UNBOUNDED else find_broken(panel, bounds, np.arange(len(panel)), panel.observed_lengths)
    if broken is None:
        return

    def fault(i: int) -> Fault:
        values = panel.series(i)
        lowest, highest = float(np.nanmin(values)), float(np.nanmax(values))
        worst = f"below {bounds.lo:g}" if lowest < bounds.lo else f"above {bounds.hi:g}"
        message = f"the history has the value {lowest if lowest < bounds.lo else highest:g}, which is {worst}"
        hint = "give bounds that hold all of its values, or leave them out"
        return Fault(code="out_of_bounds", unique_id=panel.ids[i], field=field, message=message, hint=hint)

    found = Findings()
    found.add(np.flatnonzero(broken).tolist(), fault)
    raise InputError(found.faults, found.total)
