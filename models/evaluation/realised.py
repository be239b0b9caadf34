"""What came of forecasts that were served: their errors in MASE's unit and who lay within the intervals, as sums.

Sums of points, step by step, can be added up over any time; and beside each error stands what the backtest's was at the
same step, so that the two are comparable although of a long forecast the first steps come first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.data.calendar import Freq
from models.data.serialization import Arrays, pack, unpack
from models.evaluation.intervals import Interval, Prediction
from models.evaluation.report import BacktestReport
from models.evaluation.scoring import REPORTED_LEVELS
from models.types import Floats, Ints

DAY_US = 86_400_000_000


class ErrorSums(NamedTuple):
    """Sums over ``points``: errors in MASE's unit without sign (``scaled``) and with (``signed``, above 0 where the
    forecast was too high), what the backtest's errors at these steps would have summed up to (``expected``), and of the
    intervals of 80 and 95 % how many points could be ``judged`` by them and how many they ``covered``.
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
    """What came of forecasts (B, H), by band of steps: from 2^band to before the next power of two.

    Args:
        prediction: what was said.
        actual: (B, H), NaN where nothing came.
        scale: (B,), MASE's unit; where it is 0 or NaN errors do not count.
        expected: (H,), the MASE of each step in the backtest.
        bounds: the intervals of 80 and 95 % as they were served, those of them that could be said.

    Returns:
        The bands in which something came.
    """
    came, usable = ~np.isnan(actual), (scale > 0)[:, None]
    errors = np.where(came & usable, prediction.mean - actual, 0.0) / np.where(usable, scale[:, None], 1.0)
    bands = np.floor(np.log2(np.arange(1, actual.shape[1] + 1))).astype(np.int64)
    found = {}
    for band in np.unique(bands[came.any(axis=0)]).tolist():
        steps = bands == band
        counted = (came & usable)[:, steps]
        found[band] = ErrorSums(
            int(counted.sum()),
            float(np.abs(errors[:, steps]).sum()),
            float(errors[:, steps].sum()),
            float((counted * expected[steps]).sum()),
            *_covered(actual, bounds, steps),
        )
    return found


def _covered(actual: Floats, bounds: Mapping[int, Interval], steps: Any) -> tuple[int, ...]:
    counts = []
    for level in REPORTED_LEVELS:
        if level not in bounds:
            counts += [0, 0]
            continue
        came, lo, hi = (values[:, steps] for values in (actual, *bounds[level]))
        counts += [int((~np.isnan(came)).sum()), int(((lo <= came) & (came <= hi)).sum())]
    return tuple(counts)


def expected_steps(report: BacktestReport, horizon: int) -> Floats:
    """Return the MASE of each step in the backtest of ``report``, (horizon,); NaN where no step has one.

    Steps beyond the trained horizon count as the last one, a step without a MASE as the mean of all.
    """
    overall = report.scores["model"]["mase"]
    steps = report.steps["model"]["mase"] if report.steps else [overall]
    known = np.array([overall if value is None else value for value in steps], dtype=np.float64)  # None: NaN
    return known[np.minimum(np.arange(horizon), len(known) - 1)]


def to_bytes(prediction: Prediction, row: int) -> bytes:
    """What was said of one series, to be kept."""
    # Not as float32: of a large number that varies little it would keep the number and lose what varies.
    arrays: Arrays = {"mean": prediction.mean[row], "spread": prediction.spread[row]}
    if prediction.quantiles is not None:
        arrays["quantiles"] = prediction.quantiles[row]
    return pack({"levels": list(prediction.levels)}, arrays)


def from_bytes(kept: Sequence[bytes]) -> Prediction:
    """What was said of several series by one version for one horizon.

    Raises:
        BundleError: the bytes are damaged.
    """
    header, _ = unpack(kept[0])
    arrays = [unpack(data)[1] for data in kept]
    mean, spread = (np.stack([one[name] for one in arrays]).astype(np.float64) for name in ("mean", "spread"))
    if "quantiles" not in arrays[0]:
        return Prediction(mean, spread)
    quantiles = np.stack([one["quantiles"] for one in arrays]).astype(np.float64)
    return Prediction(mean, spread, quantiles, tuple(header["levels"]))


def block_of(start_us: int, horizon: int, freq: Freq) -> int:
    """Which stretch of time of the length of a horizon a forecast begins in, counted from 1970."""
    return start_us // int(horizon * freq.least_days * DAY_US)


def steps_from(start_us: int, began: np.datetime64, points: int, freq: Freq) -> Ints:
    """Where each of ``points`` values from ``began`` on lies in a forecast from ``start_us`` on; 0: its first step."""
    start = np.array([start_us], dtype="datetime64[us]")
    first, _ = freq.steps(start, np.array([began], dtype="datetime64[us]"))
    return np.asarray(first[0] + np.arange(points))
