"""Rolling-origin backtest: forecast from several moments of the past, compare with what came.

Origins are counted from the last value of each series: the last one leaves ``horizon`` points to be forecast, each
earlier one lies ``stride`` points before. What a model may be fitted to ends before the first origin. A moment is a
series and the number of its points that are known; forecasts are made in chunks, so that memory does not grow with
their number.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import metrics
from models.baselines import FITTED, QUICK, Unfit
from models.calendar import Ints
from models.checks import Floats
from models.errors import Fault, InputError, ModelBroken
from models.intervals import Calibration, Prediction, calibrate
from models.panel import Panel
from models.scoring import Errors, Score, Truth, errors_of, interval_score, owa, skill
from models.windows import take

Predict = Callable[[Panel, Ints, Ints, int], Prediction]  # panel, series (B,), at (B,), horizon
Teach = Callable[[Panel], Predict]
Fits = dict[str, tuple[Floats, list[str]]]  # name -> forecasts, reasons
Enough = Callable[[], bool]  # whether the time for something is up

MOST_ORIGINS = 30
LEAST_ORIGINS = 5
MOST_WINDOWS = 200  # beyond this, more origins than MOST_ORIGINS tell little more
MOST_IN_ALL = 20_000  # windows: beyond this, fewer origins than MOST_ORIGINS tell enough
WANTED_RESIDUALS = 19
SHARE_HELD_OUT = 0.2
CHUNK = 1_024  # windows forecast at a time
MOST_PAST = 2**18  # values of history read at a time, 2 MB
MOST_CALIBRATED = 200_000  # residuals: more make no radius better
LEAST_STATISTICAL = 10
MOST_STATISTICAL = 200  # windows for the baselines that are fitted to each of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``origins`` moments, ``stride`` points apart, from each of which ``horizon`` steps are forecast."""

    horizon: int
    origins: int
    stride: int

    @property
    def held_out(self) -> int:
        """Points at the end of each series that no model may be fitted to."""
        return self.horizon + (self.origins - 1) * self.stride


def plan_for(panel: Panel, horizon: int, season: int) -> Plan:
    """A plan that holds out a fifth of the median series, at least twice the horizon.

    Up to a third is held out where that gives the ``WANTED_RESIDUALS`` that an interval of 95 % needs. There are at
    most 30 origins, more where the series are few, fewer where they are very many. The stride shares no factor with
    the season, so that origins fall on every phase of it.
    """
    length, count = panel.median_length, max(1, len(panel))
    wanted = min(horizon + WANTED_RESIDUALS - 1, length // 3)
    room = max(2 * horizon, int(SHARE_HELD_OUT * length), wanted) - horizon
    most = max(LEAST_ORIGINS, min(max(MOST_ORIGINS, MOST_WINDOWS // count), MOST_IN_ALL // count))
    stride = max(1, room // (most - 1))
    while math.gcd(stride, season) > 1:
        stride -= 1
    return Plan(horizon=horizon, origins=min(most, room // stride + 1), stride=stride)


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """The W moments of a plan, by origin (earliest first), then series.

    ``series``, ``at`` and ``origin`` (its number from 0), (W,); ``scale`` and ``squared`` (N,), the units of MASE and
    RMSSE of each series: what seasonal naive errs before the first origin.
    """

    panel: Panel
    horizon: int
    season: int
    series: Ints
    at: Ints
    origin: Ints
    scale: Floats
    squared: Floats
    left_out: int  # series that take part in no origin

    def __len__(self) -> int:
        return len(self.at)

    def truth(self, rows: Ints) -> Truth:
        """What came after the moments of number ``rows`` (B,)."""
        series = self.series[rows]
        actual = take(self.panel.y, self.panel, series, self.at[rows], self.horizon)
        return Truth(actual, self.scale[series], self.squared[series])

    def pasts(self, rows: Ints) -> Iterator[tuple[Ints, Floats]]:
        """All that was known at the moments of number ``rows``, padded with NaN on the left, some moments at a time."""
        width = int(self.at[rows].max())
        for part in np.array_split(rows, math.ceil(len(rows) * width / MOST_PAST)):
            yield part, take(self.panel.y, self.panel, self.series[part], self.at[part] - width, width)

    def some(self, most: int) -> Ints:
        """The numbers of at most ``most`` windows, drawn alike from all, always the same ones."""
        if most >= len(self):
            return np.arange(len(self))
        return np.sort(np.random.default_rng(0).choice(len(self), most, replace=False))


def origins_of(panel: Panel, plan: Plan, season: int) -> Origins:
    """The moments of ``plan`` that have a value before and one to be forecast.

    Raises:
        InputError: ``too_short`` where no series has any.
    """
    back = np.repeat(np.arange(plan.origins)[::-1], len(panel))
    series, origin = np.tile(np.arange(len(panel)), plan.origins), np.repeat(np.arange(plan.origins), len(panel))
    at = panel.observed_lengths[series] - plan.horizon - back * plan.stride
    known = np.concatenate([[0], np.cumsum(~np.isnan(panel.y))])
    begin = panel.indptr[series]
    now = begin + np.maximum(at, 0)
    takes_part = (at > 0) & (known[now] > known[begin]) & (known[now + np.where(at > 0, plan.horizon, 0)] > known[now])
    if not takes_part.any():
        raise InputError([_too_short(panel, plan)])
    series, at, origin = series[takes_part], at[takes_part], origin[takes_part]
    first = np.zeros(len(panel), dtype=np.int64)
    first[series[::-1]] = at[::-1]
    histories = [panel.series(i)[: first[i]] for i in range(len(panel))]
    scale = np.array([metrics.naive_scale(y, season) for y in histories])
    squared = np.array([metrics.squared_scale(y, season) for y in histories])
    return Origins(panel, plan.horizon, season, series, at, origin, scale, squared, int((first == 0).sum()))


def _too_short(panel: Panel, plan: Plan) -> Fault:
    message = f"the longest series has {panel.observed_lengths.max(initial=0)} points"
    hint = f"a backtest of {plan.horizon} steps needs {plan.horizon + 1}; ask for a shorter horizon, or send more"
    return Fault(code="too_short", field="horizon", message=message, hint=hint)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a backtest found: ``report`` (JSON values, see ``evaluate``) and the calibration of the intervals."""

    report: dict[str, Any]
    calibration: Calibration

    @property
    def skill(self) -> float | None:
        """1 - MASE / MASE of seasonal naive."""
        value: float | None = self.report["skill"]
        return value


def evaluate(
    predict: Predict, origins: Origins, statistical: Sequence[str] = (), enough: Enough = lambda: False
) -> Evaluation:
    """Score ``predict`` beside seasonal naive, naive and drift on the same windows, and calibrate its intervals there.

    The report has ``scores`` of each, ``skill``, errors by step (``steps``), and of the model's and seasonal naive's
    ``intervals`` coverage, WQL and MSIS: on the later half of the origins, calibrated on the earlier half. The
    calibration returned uses them all.

    Args:
        predict: what is scored; called for at most ``CHUNK`` moments at a time.
        origins: where.
        statistical: of ``theta`` and ``ets``, those to be compared as well. The report's ``sample`` has their scores
            and Naive2's on at most ``MOST_STATISTICAL`` of the windows, the model's on the same, and OWA for all.
        enough: whether the time for those is up; each is fitted to ``LEAST_STATISTICAL`` windows all the same.

    Raises:
        ModelBroken: ``predict`` gave a number that is not finite.
    """
    return _assess(predicted(predict, origins, np.arange(len(origins))), origins, statistical, enough)


def score(predict: Predict, origins: Origins, rows: Ints) -> Score:
    """The mean errors of ``predict`` over the windows of number ``rows`` alone."""
    return errors_of((origins.truth(part), said.mean) for part, said in predicted(predict, origins, rows)).score()


def backtest(panel: Panel, plan: Plan, season: int, teach: Teach, refit_every: int | None = None) -> Evaluation:
    """Teach a model on what lies before the first origin, and anew every ``refit_every`` origins; score all together.

    Raises:
        InputError: ``too_short`` where no series has a value before and one after an origin.
        ModelBroken: the model gave a number that is not finite.
    """
    origins = origins_of(panel, plan, season)
    return _assess(_retaught(panel, plan, origins, teach, refit_every or plan.origins), origins)


Said = Iterable[tuple[Ints, Prediction]]  # numbers of windows, and what was said of them


def predicted(predict: Predict, origins: Origins, rows: Ints) -> Iterator[tuple[Ints, Prediction]]:
    """What ``predict`` says of the windows of number ``rows`` (B,), ``CHUNK`` at a time; raises as ``evaluate``."""
    for part in np.array_split(rows, math.ceil(len(rows) / CHUNK)):
        made = predict(origins.panel, origins.series[part], origins.at[part], origins.horizon)
        if not np.isfinite(made.mean).all():
            raise ModelBroken("the network gave NaN or infinity in its backtest; train it anew")
        yield part, made


def _retaught(
    panel: Panel, plan: Plan, origins: Origins, teach: Teach, every: int
) -> Iterator[tuple[Ints, Prediction]]:
    for first in range(0, plan.origins, every):
        rows = np.flatnonzero((origins.origin >= first) & (origins.origin < first + every))
        if len(rows):
            known = panel.cut(plan.horizon + (plan.origins - 1 - first) * plan.stride)
            yield from predicted(teach(known), origins, rows)


def _assess(said: Said, origins: Origins, names: Sequence[str] = (), enough: Enough = lambda: False) -> Evaluation:
    residuals = origins.some(max(2 * MOST_STATISTICAL, MOST_CALIBRATED // origins.horizon))
    kept: list[Prediction] = []
    errors = {"model": errors_of(_keeping(said, origins, residuals, kept))}
    errors |= {name: errors_of(_quick(name, origins, np.arange(len(origins)))) for name in QUICK}
    scores = {name: found.score() for name, found in errors.items()}
    prediction, truth = _joined(kept), origins.truth(residuals)
    naive = _scaled_naive(origins, residuals)
    judged = {"model": prediction, "seasonal_naive": naive}
    intervals = {name: interval_score(made, truth, origins.origin[residuals]) for name, made in judged.items()}
    report = {
        "horizon": origins.horizon,
        "season": origins.season,
        "origins": int(origins.origin.max()) + 1,
        "windows": len(origins),
        "series_left_out": origins.left_out,
        "scores": scores,
        "skill": skill(scores["model"], scores["seasonal_naive"]),
        "steps": {name: errors[name].steps() for name in judged},
        "coverage": intervals["model"]["coverage"],
        "intervals": intervals,
        "sample": _sample(origins, errors, names, enough),
    }
    return Evaluation(report, calibrate(prediction, truth.actual))


def _keeping(said: Said, origins: Origins, wanted: Ints, kept: list[Prediction]) -> Iterator[tuple[Truth, Floats]]:
    """What was said beside what came; the predictions of the windows ``wanted`` are added to ``kept``."""
    for rows, prediction in said:
        kept.append(prediction.rows(np.isin(rows, wanted)))
        yield origins.truth(rows), prediction.mean


def _joined(kept: list[Prediction]) -> Prediction:
    mean, spread = (np.concatenate([part[i] for part in kept]) for i in (0, 1))
    quantiles = [part.quantiles for part in kept if part.quantiles is not None]
    return Prediction(mean, spread, np.concatenate(quantiles) if quantiles else None, kept[0].levels)


def _quick(name: str, origins: Origins, rows: Ints) -> Iterator[tuple[Truth, Floats]]:
    for part, past in origins.pasts(rows):
        yield origins.truth(part), QUICK[name](past, origins.horizon, origins.season)


def _scaled_naive(origins: Origins, rows: Ints) -> Prediction:
    """Seasonal naive, whose intervals are in MASE's unit; 0 where there is none."""
    mean = np.concatenate([forecast for _, forecast in _quick("seasonal_naive", origins, rows)])
    scale = np.nan_to_num(origins.scale[origins.series[rows]])
    return Prediction(mean, scale[:, None])


def _sample(origins: Origins, errors: Mapping[str, Errors], names: Sequence[str], enough: Enough) -> dict[str, Any]:
    """Naive2 and the statistical baselines, and all others on the windows that those could be fitted to."""
    rows = origins.some(MOST_STATISTICAL)
    found = _fitted(["naive2"], origins, rows, lambda: False) | _fitted(names, origins, rows, enough)
    fit = {name: ~np.isnan(forecast[:, 0]) for name, (forecast, _) in found.items()}
    usable = {name for name, (_, failed) in found.items() if len(failed) < fit[name].sum()}
    both = np.logical_and.reduce([fit[name] for name in usable]) if usable else np.zeros(len(rows), dtype=bool)
    truth, chosen = origins.truth(rows[both]), np.isin(np.arange(len(origins)), rows[both])
    scores = {name: own.score(chosen) for name, own in errors.items()}
    scores |= {name: errors_of([(truth, found[name][0][both])]).score() for name in found if name in usable}
    return {
        "windows": int(both.sum()),
        "scores": {name: {**own, "owa": owa(own, scores["naive2"])} for name, own in scores.items()},
        "left_out": {name: failed[-1] for name, (_, failed) in found.items() if name not in usable},
    }


def _fitted(names: Sequence[str], origins: Origins, rows: Ints, enough: Enough) -> Fits:
    """Each baseline's forecasts, (B, H), NaN where there is none, and why it could not be fitted."""
    found: Fits = {name: (np.full((len(rows), origins.horizon), np.nan), []) for name in names}
    # In random order, so that those fitted before the time was up are like the others.
    for count, k in enumerate(np.random.default_rng(0).permutation(len(rows)) if names else ()):
        if count >= LEAST_STATISTICAL and enough():
            break
        history = origins.panel.series(int(origins.series[rows[k]]))[: origins.at[rows[k]]]
        for name, (forecasts, failed) in found.items():
            try:
                forecasts[k] = FITTED[name](history, origins.horizon, origins.season)
            except Unfit as error:
                failed.append(str(error))
    return found
