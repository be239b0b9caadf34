"""Bounds of forecasts: those of the model, or those that a request gives in their place."""

import math
from collections.abc import Sequence

import numpy as np

from models.data.bounds import Bounds, RowBounds, check_bounds, loosest
from models.data.panel import Panel
from models.forecasting.forecast import Note
from models.network.spec import Spec


def limits_of(specs: Sequence[Spec]) -> Bounds:
    """Return the lowest lower and the highest upper bound of ``specs``; none where one of them has none."""
    return specs[0].limits if len(specs) == 1 else loosest([spec.limits for spec in specs])


def replace_row_bounds(bounds: RowBounds | None, panels: Sequence[Panel], asked: Sequence[Bounds | None]) -> RowBounds:
    """Return ``bounds`` with those of ``asked`` in their place for the series of each of ``panels``; None: as they are.

    Raises:
        InputError: ``out_of_bounds`` for each series with a value out of the bounds asked for.
    """
    count = sum(map(len, panels))
    known = bounds or RowBounds(None, None)
    lo = np.full((count, 1), -math.inf) if known.lo is None else known.lo.copy()
    hi = np.full((count, 1), math.inf) if known.hi is None else known.hi.copy()
    end = 0
    for panel, one in zip(panels, asked, strict=True):
        rows = slice(end, end := end + len(panel))
        if one is not None:
            check_bounds(panel, one, "bounds")
            lo[rows], hi[rows] = one
    return RowBounds(lo, hi)


def note_unbounded(panel: Panel, limits: Bounds, bounds: RowBounds | None) -> list[tuple[int, Note]]:
    """Return a note for each series of ``panel`` that has no bounds because its values are out of ``limits``."""
    if bounds is None:
        return []
    lowest, highest = panel.extremes
    if lowest >= limits.lo and highest <= limits.hi:
        return []
    low, high = (f"{value:g}" for value in limits)
    message = f"a value is out of the model's bounds, {low} to {high}; the forecast of this series has no bounds"
    rows = bounds.without_any(len(panel)).tolist()
    return [(i, Note(code="not_bounded", message=message, unique_id=panel.ids[i])) for i in rows]
