"""How sure one may be that one forecaster errs less than another, from their errors at the same origins.

Forecasts of several steps from neighbouring origins err alike, for what they forecast overlaps: n origins say less than
n independent ones would. The test is that of Diebold & Mariano ("Comparing Predictive Accuracy", 1995) with a variance
that holds on few origins: the mean square of B projections on cosines, for which the critical values are those of
Student's t with B degrees of freedom (Müller, "HAC Corrections for Strongly Autocorrelated Time Series", 2014; B as
Lazarus, Lewis, Stock & Watson advise in "HAR Inference: Recommendations for Practice", 2018). Windows that overlap by
themselves make differences whose autocorrelation falls in a line to 0, which is known without looking; what B cosines
miss of it is made up for, in the spirit of the correction by Harvey, Leybourne & Newbold ("Testing the Equality of
Prediction Mean Squared Errors", 1997). Without it, and with their test, equal forecasters differed "with 90 %
confidence" in up to a quarter of 8,000 simulated cases with few origins; with it in 9 to 14 %, whatever the overlap.
"""

import math

import numpy as np

from models.types import Floats

MIN_ORIGINS = 5  # fewer say nothing about their own spread


def confidence(gains: Floats, overlap: int = 1) -> float | None:
    """How sure it is that the mean of ``gains`` is above 0: from 0 to 1, 0.5 where nothing speaks for either side.

    Args:
        gains: (n,), at each origin, in order of time, by how much the one errs less than the other.
        overlap: of how many neighbouring origins the forecasts have steps in common, 1 for none.

    Returns:
        One minus the p-value of the one-sided test; None for fewer than ``MIN_ORIGINS``.
    """
    n = len(gains)
    if n < MIN_ORIGINS:
        return None
    cosines = _cosines(n, overlap)
    mean, nothing = float(gains.mean()), (1e-12 * float(np.abs(gains).max())) ** 2
    seen, every = float(np.mean((cosines @ gains) ** 2)), float(gains.var(ddof=1))
    if every <= nothing:  # the same everywhere
        return 0.5 if mean == 0 else float(mean > 0)
    # One slow cosine does not see what is the same forwards and backwards, such as one gain among ties: then all n - 1
    # cosines are asked, whose mean square is the variance.
    spread = (seen if seen > nothing else every) * _overlap_correction(cosines, overlap)
    return student_t(math.sqrt(n) * mean / math.sqrt(spread), len(cosines))


def _cosines(n: int, overlap: int) -> Floats:
    """The B slowest cosines of length n, (B, n), each of unit norm: slow enough to see what the overlap does."""
    count = max(1, int(min(0.4 * n ** (2 / 3), n / (2 * overlap))))
    waves = np.arange(1, count + 1)[:, None] * (np.arange(n) + 0.5) / n
    return np.asarray(np.sqrt(2 / n) * np.cos(np.pi * waves))


def _overlap_correction(cosines: Floats, overlap: int) -> float:
    """The variance of the mean over what the cosines see of it, for differences that only the overlap ties together."""
    n = cosines.shape[1]
    apart = np.abs(np.arange(n)[:, None] - np.arange(n))
    alike = np.maximum(0.0, 1 - apart / overlap)
    return float(alike.sum() / n / np.mean(np.einsum("jn,nm,jm->j", cosines, alike, cosines)))


def student_t(t: float, degrees: int) -> float:
    """The share of Student's t with so many ``degrees`` of freedom that lies below ``t``.

    Abramowitz & Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + within) / 2
