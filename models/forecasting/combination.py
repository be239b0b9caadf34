"""Combination of the predictions of a forecaster's members."""

from collections.abc import Collection, Sequence

import numpy as np

from models.evaluation.prediction import Basis, Prediction
from models.types import Floats, Ints


def combine(predictions: Sequence[Prediction], shares: Sequence[float]) -> Prediction:
    """Return the mean of several predictions of the same windows, weighted by their shares.

    Predictions with different quantile levels are combined without quantiles. Errors are measured as those of the
    first: transformed as it is, in the mean unit of the predictions with its transform.
    """
    if len(predictions) == 1:
        return predictions[0]
    median, mean, spread = (
        np.average(parts, axis=0, weights=shares)
        for parts in zip(*((p.median, p.mean, p.spread) for p in predictions), strict=True)
    )
    basis = Basis.average([p.basis for p in predictions], shares)
    levels = {tuple(p.levels) for p in predictions if p.quantiles is not None}
    if len(levels) != 1:
        return Prediction(median, mean, spread, own_basis=basis)
    (known,) = levels
    parts = [_quantiles_at(p, known) for p in predictions]
    return Prediction(median, mean, spread, np.average(parts, axis=0, weights=shares), known, basis)


def join_rows(parts: Sequence[tuple[Ints, Prediction]], levels: Collection[tuple[float, ...]]) -> Prediction:
    """Return one prediction of all windows from ``parts``, each with the numbers of its windows.

    It has quantiles if ``levels`` are one tuple only, as ``combine`` of predictions with these levels.
    """
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    median, mean, spread = (np.concatenate([part[i] for _, part in parts])[order] for i in range(3))
    joined = Basis.join([part.basis for _, part in parts])
    basis = None if joined is None else joined.rows(order)
    if len(levels) != 1:
        return Prediction(median, mean, spread, own_basis=basis)
    (known,) = levels
    quantiles = np.concatenate([_quantiles_at(part, known) for _, part in parts])[order]
    return Prediction(median, mean, spread, quantiles, known, basis)


def _quantiles_at(prediction: Prediction, levels: Sequence[float]) -> Floats:
    """Return the quantiles (B, H, Q); the point forecast at each of the Q ``levels`` if the prediction has none."""
    if prediction.quantiles is None:
        return np.repeat(prediction.median[..., None], len(levels), axis=2)
    return prediction.quantiles
