"""Combination of the predictions of a forecaster's members."""

from collections.abc import Collection, Sequence

import numpy as np

from models.evaluation.intervals import Prediction
from models.types import Floats, Ints


def combine(predictions: Sequence[Prediction], shares: Sequence[float]) -> Prediction:
    """Return the mean of several predictions of the same windows, weighted by their shares.

    Predictions with different quantile levels are combined without quantiles.
    """
    if len(predictions) == 1:
        return predictions[0]
    median, mean, spread = (
        np.average(parts, axis=0, weights=shares)
        for parts in zip(*((p.median, p.mean, p.spread) for p in predictions), strict=True)
    )
    levels = {tuple(p.levels) for p in predictions if p.quantiles is not None}
    if len(levels) != 1:
        return Prediction(median, mean, spread)
    (known,) = levels
    parts = [_quantiles_at(p, known) for p in predictions]
    return Prediction(median, mean, spread, np.average(parts, axis=0, weights=shares), known)


def join_rows(parts: Sequence[tuple[Ints, Prediction]], levels: Collection[tuple[float, ...]]) -> Prediction:
    """Return one prediction of all windows from ``parts``, each with the numbers of its windows.

    It has quantiles if ``levels`` are one tuple only, as ``combine`` of predictions with these levels.
    """
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    median, mean, spread = (np.concatenate([part[i] for _, part in parts])[order] for i in range(3))
    if len(levels) != 1:
        return Prediction(median, mean, spread)
    (known,) = levels
    quantiles = np.concatenate([_quantiles_at(part, known) for _, part in parts])[order]
    return Prediction(median, mean, spread, quantiles, known)


def _quantiles_at(prediction: Prediction, levels: Sequence[float]) -> Floats:
    """Return the quantiles (B, H, Q); the point forecast at each of the Q ``levels`` if the prediction has none."""
    if prediction.quantiles is None:
        return np.repeat(prediction.median[..., None], len(levels), axis=2)
    return prediction.quantiles
