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
    basis = _combine_bases([p.basis for p in predictions], shares)
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
    basis = _join_bases([part.basis for _, part in parts], order)
    if len(levels) != 1:
        return Prediction(median, mean, spread, own_basis=basis)
    (known,) = levels
    quantiles = np.concatenate([_quantiles_at(part, known) for _, part in parts])[order]
    return Prediction(median, mean, spread, quantiles, known, basis)


def _combine_bases(bases: Sequence[Basis], shares: Sequence[float]) -> Basis:
    first = bases[0]
    alike = [i for i, basis in enumerate(bases) if basis.change.transform is first.change.transform]
    weights = [shares[i] for i in alike]
    unit = np.average([bases[i].unit for i in alike], axis=0, weights=weights) if sum(weights) else first.unit
    return first._replace(unit=unit, measured=np.logical_and.reduce([basis.measured for basis in bases]))


def _join_bases(bases: Sequence[Basis], order: Ints) -> Basis | None:
    """Return the basis of all windows, in ``order``; None, which means the spread, if the transforms differ."""
    if len({id(basis.change.transform) for basis in bases}) > 1:
        return None
    positive, unit, measured = (
        np.concatenate(arrays)[order]
        for arrays in zip(*((b.change.positive, b.unit, b.measured) for b in bases), strict=True)
    )
    return Basis(bases[0].change._replace(positive=positive), unit, measured)


def _quantiles_at(prediction: Prediction, levels: Sequence[float]) -> Floats:
    """Return the quantiles (B, H, Q); the point forecast at each of the Q ``levels`` if the prediction has none."""
    if prediction.quantiles is None:
        return np.repeat(prediction.median[..., None], len(levels), axis=2)
    return prediction.quantiles
