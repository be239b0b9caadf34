"""Seasonal naive in place of a model, for series that are unlike those it was trained on and that it forecasts worse.

Likeness is judged at every forecast (``models.network.likeness``). Only for a series outside of the usual range are
both backtested on the end of its history, and the model is replaced if its error there is clearly larger.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from models.data.panel import Panel
from models.data.windows import take
from models.evaluation import baselines
from models.evaluation.intervals import Interval, Prediction
from models.evaluation.quantiles import level_of
from models.forecasting.forecast import Forecast, Note
from models.forecasting.seasonal_naive import repeat_season
from models.network import likeness
from models.network.spec import Spec
from models.types import Floats, Ints, Weights

CLEARLY_BETTER = 2 / 3  # share of the model's error that that of seasonal naive must not exceed
MAX_RESIDUALS = 2_000  # newest points of a history from which the width of an interval is taken
MAX_SEASONS = 20  # ahead, for which errors are computed

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
    tested = _test(panel, unlike, spec, predict)
    made, end = [], 0
    for forecast in forecasts:
        begin, end = end, end + len(forecast.ids)
        own = [one for one in tested if begin <= one.series < end]
        made.append(_amended(forecast, panel, begin, own, spec.season) if own else forecast)
    return made


class _Tested(NamedTuple):
    """Outcome of the backtest of one ``series``: whether the model was clearly worse, and its errors, ascending."""

    series: int
    worse: bool
    errors: Floats


def _test(panel: Panel, series: Ints, spec: Spec, predict: PredictMoments) -> list[_Tested]:
    """Compare the model and seasonal naive on the end of the history of each of ``series`` (B,).

    There are two origins, each a trained horizon or a third of the series before the next; no errors if the history
    before them is no longer than a season.
    """
    at = panel.observed_lengths[series]
    steps = np.minimum(spec.horizon, at // 3)
    rows, ends = np.tile(np.arange(len(series)), 2), np.concatenate([at - steps, at - 2 * steps])
    window = take(panel.y, panel, series[rows], ends - spec.context, spec.context)
    usable = (steps[rows] > 0) & (ends > spec.season) & (~np.isnan(window)).any(axis=1)
    rows, ends = rows[usable], ends[usable]
    if not len(rows):
        return [_Tested(i, False, np.zeros(0)) for i in series.tolist()]
    most = int(steps[rows].max())
    actual = take(panel.y, panel, series[rows], ends, most)
    actual[np.arange(most) >= steps[rows][:, None]] = np.nan
    ours = np.abs(actual - predict(panel, series[rows], ends, most).median)
    theirs = np.abs(actual - repeat_season(panel, series[rows], ends, most, spec.season))
    found = []
    for k, i in enumerate(series.tolist()):
        known = ~np.isnan(ours) & (rows == k)[:, None]
        worse = theirs[known].sum() < CLEARLY_BETTER * ours[known].sum()
        found.append(_Tested(i, bool(worse), np.sort(ours[known])))
    return found


def _amended(forecast: Forecast, panel: Panel, begin: int, tested: Sequence[_Tested], season: int) -> Forecast:
    """Return ``forecast``, whose first series is number ``begin`` of ``panel``, changed for the series ``tested``.

    Where the model was worse, seasonal naive's forecast takes its place, and its mean is its median: its errors are
    taken as symmetric. Elsewhere the intervals are widened to the errors of the test. The prediction remains the
    model's, so that realised errors are those of the model.
    """
    median, mean, horizon = forecast.median.copy(), forecast.mean.copy(), forecast.median.shape[1]
    bounds = None if forecast.prediction is None else forecast.prediction.bounds
    intervals = {level: Interval(lo.copy(), hi.copy()) for level, (lo, hi) in forecast.intervals.items()}
    quantiles = {quantile: values.copy() for quantile, values in forecast.quantiles.items()}
    edges = [
        (level, sign, edge) for level, sides in intervals.items() for sign, edge in zip((-1, 1), sides, strict=True)
    ]
    edges += [(level_of(quantile), int(np.sign(quantile - 0.5)), values) for quantile, values in quantiles.items()]
    for i, worse, errors in tested:
        row, history = i - begin, panel.series(i)[: panel.observed_lengths[i]]
        if worse:
            median[row] = mean[row] = baselines.seasonal_naive(history[None], horizon, season)[0]
            of_seasons = _season_errors(history, season, horizon)
        for level, sign, edge in edges:
            if sign == 0:
                edge[row] = median[row]
            elif worse:
                edge[row] = median[row] + sign * _radii(of_seasons, level, horizon, season)
            elif len(errors):
                least = median[row] + sign * errors[_rank(errors, level)]
                edge[row] = np.maximum(edge[row], least) if sign > 0 else np.minimum(edge[row], least)
        if bounds is not None:
            for values in (median, mean, *(edge for _, _, edge in edges)):
                values[row] = bounds.clip_rows(values[row : row + 1], np.array([row]))[0]
    notes = [_note(panel.ids[i], worse) for i, worse, _ in tested]
    return replace(
        forecast,
        median=median,
        mean=mean,
        intervals=intervals,
        quantiles=quantiles,
        notes=(*forecast.notes, *notes),
    )


def _season_errors(history: Floats, season: int, horizon: int) -> list[Floats]:
    """Return the past errors of seasonal naive in ``history`` (n,), ascending, for 1 to ``MAX_SEASONS`` seasons ahead.

    One more error, the mean distance from the mean, is added to those of each season: that a history has no errors does
    not show that there will be none.
    """
    y = history[-MAX_RESIDUALS:]
    spread = float(np.nanmean(np.abs(y - np.nanmean(y))))
    found, seasons = list[Floats](), min(-(-horizon // season), MAX_SEASONS)
    for lag in range(season, season * seasons + 1, season):
        errors = np.abs(y[lag:] - y[:-lag]) if lag < len(y) else y[:0]
        found.append(np.sort(np.append(errors[~np.isnan(errors)], spread)))
    return found


def _radii(errors: Sequence[Floats], level: int, horizon: int, season: int) -> Floats:
    """Return half the width of the interval of ``level`` percent at each step, (horizon,), never falling.

    It is the conformal quantile of the errors (see ``models.evaluation.intervals``), and at least the largest error
    divided by their number plus one. Beyond the seasons of ``errors`` it grows with the square root of the season.
    """
    seasons = [max(float(own[_rank(own, level)]), float(own[-1]) / (len(own) + 1)) for own in errors]
    ahead = np.arange(horizon) // season
    known = np.maximum.accumulate(np.array(seasons))[np.minimum(ahead, len(seasons) - 1)]
    return np.asarray(known * np.sqrt(np.maximum(1.0, (ahead + 1) / len(seasons))))


def _rank(errors: Floats, level: int) -> int:
    """Return the position of the conformal quantile of ``level`` percent in ``errors`` (n,), the last one at most."""
    return min(len(errors), -(-(len(errors) + 1) * level // 100)) - 1


def _note(name: str, replaced: bool) -> Note:
    if replaced:
        message = (
            "the series is unlike those that the model was trained on, and on the end of its history the model was "
            "clearly worse than seasonal naive, which this forecast is"
        )
        return Note(code="seasonal_naive_instead", message=message, unique_id=name)
    message = (
        "the series is unlike those that the model was trained on; its skill may not hold for it, and its intervals "
        "are at least as wide as the model's errors on the end of its history"
    )
    return Note(code="unlike_training", message=message, unique_id=name)
