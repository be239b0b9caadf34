"""Quantiles of a forecast: the median, and the bounds of calibrated central intervals."""

from collections.abc import Mapping, Sequence

from models.errors import InputError
from models.evaluation.intervals import Calibration, Interval
from models.types import Floats

TOLERANCE = 1e-6  # percent: rounding of a quantile that was computed


def level_of(quantile: float) -> int:
    """Return the level in percent of the central interval that ``quantile`` is a bound of; 0 for the median.

    Raises:
        InputError: ``bad_quantile`` if there is no interval of a whole percentage with that bound.
    """
    exact = 100 * abs(1 - 2 * quantile)
    if not 0 < quantile < 1 or abs(exact - round(exact)) > TOLERANCE:
        message, hint = (
            f"{quantile} is no quantile from 0.005 to 0.995",
            "give multiples of 0.005, such as 0.1 or 0.975",
        )
        raise InputError.of("bad_quantile", message, hint, field="quantiles")
    return round(exact)


def levels_of(levels: Sequence[int], quantiles: Sequence[float]) -> tuple[int, ...]:
    """Return the levels of all intervals that ``levels`` and ``quantiles`` need. Raise InputError as ``level_of``."""
    return tuple(sorted({*levels, *map(level_of, quantiles)} - {0})) if quantiles else tuple(levels)


def read_quantiles(
    quantiles: Sequence[float], median: Floats, intervals: Mapping[int, Interval]
) -> Mapping[float, Floats]:
    """Return each of ``quantiles``, (B, H), from the ``median`` and the ``intervals`` of their levels."""
    found = {}
    for quantile in quantiles:
        level = level_of(quantile)
        found[quantile] = median if level == 0 else intervals[level].lo if quantile < 0.5 else intervals[level].hi
    return found


def check_levels(calibration: Calibration, levels: Sequence[int], quantiles: Sequence[float]) -> None:
    """Refuse levels and quantiles that ``calibration`` has too few residuals for.

    Raises:
        InputError: ``bad_level``, ``bad_quantile`` or ``level_too_high``.
    """
    for level in levels:
        calibration.check_level(level, constant=not calibration.count)
    highest = calibration.highest_level
    for quantile in quantiles:
        if level_of(quantile) > highest and calibration.count:
            lowest = (100 - highest) / 200
            message = f"quantile {quantile:g} needs more than the {calibration.count} calibration residuals"
            hint = f"ask for quantiles from {lowest:g} to {1 - lowest:g}, or train on longer history"
            raise InputError.of("level_too_high", message, hint, field="quantiles")
