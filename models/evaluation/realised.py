"""Realised errors of served forecasts, in MASE's unit, and coverage of their intervals, as sums.

Sums by step can be added up over any period. Each sum of errors has the expected sum beside it, from the backtest's
errors at the same steps: so both are comparable although the first steps of a long forecast are observed first.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.data.bounds import RowBounds
from models.data.calendar import Freq
from models.data.serialization import NamedArrays, pack, unpack
from models.data.transforms import TRANSFORMS, Change
from models.evaluation.intervals import Basis, Interval, Prediction
from models.evaluation.report import BacktestReport
from models.evaluation.scoring import REPORTED_LEVELS
from models.types import Floats, Ints

DAY_US = 86_400_000_000


class ErrorSums(NamedTuple):
    """Sums over ``points`` observed values.

    In MASE's unit: absolute errors (``scaled``), errors with their sign (``signed``, above 0 if the forecast was too
    high), and the sum of the backtest's errors at the same steps (``expected``). For the intervals of 80 and 95 %: how
    many points had an interval (``judged``) and were inside (``covered``).
    """

    points: int = 0
    scaled: float = 0.0
    signed: float = 0.0
    expected: float = 0.0
    judged_80: int = 0
    covered_80: int = 0
    judged_95: int = 0
    covered_95: int = 0


def sum_errors(
    prediction: Prediction, actual: Floats, scale: Floats, expected: Floats, bounds: Mapping[int, Interval]
) -> dict[int, ErrorSums]:
    """Sum the errors of forecasts (B, H) by band of steps: from step 2^band to before the next power of two.

    Args:
        prediction: the forecasts.
        actual: (B, H), NaN where nothing was observed yet.
        scale: (B,), the denominator of MASE; if it is 0 or NaN, errors do not count.
        expected: (H,), the MASE of each step in the backtest.
        bounds: the intervals of 80 and 95 % as they were served, as far as the version has them.

    Returns:
        The sums of the bands that have an observed value.
    """
    observed, usable = ~np.isnan(actual), (scale > 0)[:, None]
    errors = np.where(observed & usable, prediction.bounded().median - actual, 0.0) / np.where(
        usable, scale[:, None], 1.0
    )
    bands = np.floor(np.log2(np.arange(1, actual.shape[1] + 1))).astype(np.int64)
    sums = {}
    for band in np.unique(bands[observed.any(axis=0)]).tolist():
        steps = bands == band
        counted, covered = (observed & usable)[:, steps], list[int]()
        for level in REPORTED_LEVELS:  # observed points that have an interval, and those inside it
            lo, hi = bounds.get(level, (actual * np.nan, actual * np.nan))
            in_steps, inside = observed[:, steps], ((lo <= actual) & (actual <= hi))[:, steps]
            covered += [int(in_steps.sum()) if level in bounds else 0, int(inside.sum())]
        sums[band] = ErrorSums(
            int(counted.sum()),
            float(np.abs(errors[:, steps]).sum()),
            float(errors[:, steps].sum()),
            float((counted * expected[steps]).sum()),
            *covered,
        )
    return sums


def expected_steps(report: BacktestReport, horizon: int) -> Floats:
    """Return the MASE of each step in the backtest of ``report``, (horizon,); NaN if it is unknown.

    Steps beyond the trained horizon get the value of the last one, a step without a value the mean of all.
    """
    overall = report.scores["model"]["mase"]
    steps = report.steps["model"]["mase"] if report.steps else [overall]
    known = np.array([overall if value is None else value for value in steps], dtype=np.float64)  # None becomes NaN
    return known[np.minimum(np.arange(horizon), len(known) - 1)]


def to_bytes(prediction: Prediction, row: int) -> bytes:
    """Return the prediction of the series with the number ``row`` as bytes."""
    # float64: for large values that vary little, float32 would lose the variation.
    arrays: NamedArrays = {
        name: values[row]
        for name, values in (("median", prediction.median), ("mean", prediction.mean), ("spread", prediction.spread))
    }
    if prediction.quantiles is not None:
        arrays["quantiles"] = prediction.quantiles[row]
    if prediction.bounds is not None:
        arrays |= {name: side[row] for name, side in prediction.bounds._asdict().items() if side is not None}
    change, unit, measured = prediction.basis
    arrays |= {"unit": unit[row], "flags": np.concatenate([change.positive[row], measured[row]]).astype(np.float64)}
    transform = next(name for name, one in TRANSFORMS.items() if one is change.transform)
    return pack({"levels": list(prediction.levels), "transform": transform}, arrays)


def from_bytes(parts: Sequence[bytes]) -> Prediction:
    """Return the predictions of several series by one version for one horizon, which ``to_bytes`` wrote.

    Earlier releases wrote the median under the name ``mean``, and neither a mean nor bounds nor a transform.

    Raises:
        BundleError: the bytes are damaged.
    """
    header, _ = unpack(parts[0])
    arrays = [unpack(data)[1] for data in parts]
    median, mean, spread = (
        np.stack([one.get(name, one["mean"]) for one in arrays]).astype(np.float64)
        for name in ("median", "mean", "spread")
    )
    sides = {
        name: np.stack([one.get(name, np.array([none])) for one in arrays])
        for name, none in (("lo", -np.inf), ("hi", np.inf))
    }
    bounds = RowBounds(**sides) if np.isfinite(list(sides.values())).any() else None
    basis = None
    if "unit" in arrays[0]:
        flags, unit = (np.stack([one[name] for one in arrays]) for name in ("flags", "unit"))
        basis = Basis(Change(TRANSFORMS[header["transform"]], flags[:, :1] > 0), unit, flags[:, 1:] > 0)
    if "quantiles" not in arrays[0]:
        return Prediction(median, mean, spread, own_basis=basis, bounds=bounds)
    quantiles = np.stack([one["quantiles"] for one in arrays]).astype(np.float64)
    return Prediction(median, mean, spread, quantiles, tuple(header["levels"]), basis, bounds)


def block_of(start_us: int, horizon: int, freq: Freq) -> int:
    """Return the number of the time block in which a forecast begins; blocks are one horizon long, from 1970 on."""
    return start_us // int(horizon * freq.min_days * DAY_US)


def steps_from(start_us: int, began: np.datetime64, points: int, freq: Freq) -> Ints:
    """Return the steps, from 0, of ``points`` values from ``began`` on in a forecast that starts at ``start_us``."""
    start = np.array([start_us], dtype="datetime64[us]")
    first, _ = freq.steps(start, np.array([began], dtype="datetime64[us]"))
    return np.asarray(first[0] + np.arange(points))
