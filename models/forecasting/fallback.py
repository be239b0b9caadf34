"""Seasonal naive in place of a model, for series that are unlike those it was trained on and that it forecasts worse.

Likeness is judged at every forecast (``models.network.likeness``). Only for a series outside of the usual range are
both backtested on the end of its history, and the model is replaced if its error there is clearly larger.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.data.panel import Panel
from models.data.windows import take
from models.evaluation import metrics
from models.evaluation.intervals import Interval, Prediction
from models.forecasting.forecast import Forecast, Note
from models.forecasting.seasonal_naive import repeat_season
from models.network import likeness
from models.network.spec import Spec
from models.types import Floats, Ints, Weights

CLEARLY_BETTER = 2 / 3  # share of the model's error that that of seasonal naive must not exceed
MAX_RESIDUALS = 2_000  # newest points of a history from which the width of an interval is taken

PredictMoments = Callable[[Panel, Ints, Ints, int], Prediction]  # panel, series (B,), at (B,), horizon


def replace_unlike(
    forecasts: list[Forecast], panel: Panel, networks: Sequence[tuple[Spec, Weights]], predict: PredictMoments
) -> list[Forecast]:
    """Return ``forecasts``, whose series are together those of ``panel``, with fallbacks and notes where these apply.

    Args:
        forecasts: the model's.
        panel: the history of all series.
        networks: spec and weights of the model's members; the first one whose usual ratios are known is the judge.
        predict: the model; called for the few unlike series only.
    """
    spec, usual = next(((s, w["facts/usual"]) for s, w in networks if "facts/usual" in w), (networks[0][0], None))
    if usual is None:
        return forecasts
    at = panel.observed_lengths
    unlike = likeness.unusual(likeness.ratios_at(panel, np.arange(len(panel)), at, spec.context, spec.season), usual)
    if not len(unlike):
        return forecasts
    worse = unlike[_is_worse(panel, unlike, spec, predict)]
    made, end = [], 0
    for forecast in forecasts:
        begin, end = end, end + len(forecast.ids)
        own = [rows[(rows >= begin) & (rows < end)] for rows in (unlike, worse)]
        made.append(_amended(forecast, panel, begin, own[0], own[1], spec.season) if len(own[0]) else forecast)
    return made


def _is_worse(panel: Panel, series: Ints, spec: Spec, predict: PredictMoments) -> NDArray[np.bool_]:
    """Return for each of ``series`` (B,) whether the model's error at the end of its history is clearly the larger one.

    There are two origins, each a trained horizon or a third of the series before the next; False if the history before
    them is no longer than a season.
    """
    at = panel.observed_lengths[series]
    steps = np.minimum(spec.horizon, at // 3)
    rows, ends = np.tile(np.arange(len(series)), 2), np.concatenate([at - steps, at - 2 * steps])
    window = take(panel.y, panel, series[rows], ends - spec.context, spec.context)
    usable = (steps[rows] > 0) & (ends > spec.season) & (~np.isnan(window)).any(axis=1)
    rows, ends = rows[usable], ends[usable]
    if not len(rows):
        return np.zeros(len(series), dtype=np.bool_)
    most = int(steps[rows].max())
    actual = take(panel.y, panel, series[rows], ends, most)
    actual[np.arange(most) >= steps[rows][:, None]] = np.nan
    model = predict(panel, series[rows], ends, most).median
    naive = repeat_season(panel, series[rows], ends, most, spec.season)
    ours, theirs = (np.bincount(rows, np.nan_to_num(metrics.mae(actual, made)), len(series)) for made in (model, naive))
    return np.asarray(theirs < CLEARLY_BETTER * ours)


def _amended(forecast: Forecast, panel: Panel, begin: int, unlike: Ints, worse: Ints, season: int) -> Forecast:
    """Return ``forecast``, whose first series is number ``begin`` of ``panel``, with notes on the series ``unlike``.

    For the series ``worse`` it is seasonal naive's. Its prediction remains the model's, so that realised errors are
    those of the model.
    """
    notes = [_note(panel.ids[i], i in worse) for i in unlike.tolist()]
    if not len(worse):
        return replace(forecast, notes=(*forecast.notes, *notes))
    rows, horizon = worse - begin, forecast.median.shape[1]
    naive = repeat_season(panel, worse, panel.observed_lengths[worse], horizon, season)
    median, mean = forecast.median.copy(), forecast.mean.copy()
    median[rows] = mean[rows] = naive
    errors = [_season_errors(panel.series(i)[: panel.observed_lengths[i]], season, horizon) for i in worse.tolist()]
    intervals = {}
    for level, (lo, hi) in forecast.intervals.items():
        radius = np.stack([_radii(own, level, horizon, season) for own in errors])
        intervals[level] = Interval(lo.copy(), hi.copy())
        intervals[level].lo[rows], intervals[level].hi[rows] = naive - radius, naive + radius
    return replace(forecast, median=median, mean=mean, intervals=intervals, notes=(*forecast.notes, *notes))


def _season_errors(history: Floats, season: int, horizon: int) -> list[Floats]:
    """Return for each season ahead the errors, in ascending order, that seasonal naive made in ``history`` (n,).

    One more error, the mean distance from the mean, is added to each: a history without any errors is no proof that
    there will be none.
    """
    y = history[-MAX_RESIDUALS:]
    spread = float(np.nanmean(np.abs(y - np.nanmean(y))))
    found, lags = [], range(season, season * -(-horizon // season) + 1, season)
    for lag in lags:
        errors = np.abs(y[lag:] - y[:-lag]) if lag < len(y) else y[:0]
        found.append(np.sort(np.append(errors[~np.isnan(errors)], spread)))
    return found


def _radii(errors: Sequence[Floats], level: int, horizon: int, season: int) -> Floats:
    """Return half the width of the interval of ``level`` percent at each step, (horizon,), never falling.

    It is the conformal quantile of the errors (see ``models.evaluation.intervals``), and at least the largest error
    divided by their number plus one.
    """
    ranks = [min(len(own), -(-(len(own) + 1) * level // 100)) - 1 for own in errors]
    seasons = [max(float(own[rank]), float(own[-1]) / (len(own) + 1)) for own, rank in zip(errors, ranks, strict=True)]
    return np.maximum.accumulate(np.array(seasons))[np.arange(horizon) // season]


def _note(name: str, replaced: bool) -> Note:
    if replaced:
        message = (
            "the series is unlike those that the model was trained on, and on the end of its history the model was "
            "clearly worse than seasonal naive, which this forecast is"
        )
        return Note(code="seasonal_naive_instead", message=message, unique_id=name)
    message = "the series is unlike those that the model was trained on; its skill and intervals may not hold for it"
    return Note(code="unlike_training", message=message, unique_id=name)
