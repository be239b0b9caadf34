"""Rolling-origin backtest: forecast from several moments of the past, compare with what came.

Forecasts are made in chunks of moments, so that memory does not grow with their number.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.data.panel import Panel
from models.errors import ModelBroken
from models.evaluation.baselines import FITTED, QUICK, Unfit
from models.evaluation.intervals import Calibration, Prediction, calibrate
from models.evaluation.origins import Origins, Plan, origins_of
from models.evaluation.scoring import Errors, Score, Truth, errors_of, interval_score, owa, skill
from models.types import Floats, Ints

Predict = Callable[[Panel, Ints, Ints, int], Prediction]  # panel, series (B,), at (B,), horizon
Teach = Callable[[Panel], Predict]
Fits = dict[str, tuple[Floats, list[str]]]  # name -> forecasts, reasons
Enough = Callable[[], bool]  # whether the time for something is up

CHUNK = 1_024  # windows forecast at a time
MAX_CALIBRATED = 200_000  # residuals: more make no radius better
MIN_STATISTICAL = 10
MAX_STATISTICAL = 200  # windows for the baselines that are fitted to each of them


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
            and Naive2's on at most ``MAX_STATISTICAL`` of the windows, the model's on the same, and OWA for all.
        enough: whether the time for those is up; each is fitted to ``MIN_STATISTICAL`` windows all the same.

    Raises:
        ModelBroken: ``predict`` gave a number that is not finite.
    """
    return _assess(predicted(predict, origins, np.arange(len(origins))), origins, statistical, enough)


def score(predict: Predict, origins: Origins, rows: Ints) -> Score:
    """The mean errors of ``predict`` over the windows of number ``rows`` alone."""
    return errors_at(predict, origins, rows).score()


def errors_at(predict: Predict, origins: Origins, rows: Ints) -> Errors:
    """The errors of ``predict`` on the windows of number ``rows``; raises as ``evaluate``."""
    return errors_of((origins.truth(part), said.mean) for part, said in predicted(predict, origins, rows))


def baseline_at(origins: Origins, rows: Ints) -> Errors:
    """The errors of seasonal naive on the windows of number ``rows``."""
    return errors_of(_quick("seasonal_naive", origins, rows))


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
    residuals = origins.some(max(2 * MAX_STATISTICAL, MAX_CALIBRATED // origins.horizon))
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
    rows = origins.some(MAX_STATISTICAL)
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
        if count >= MIN_STATISTICAL and enough():
            break
        history = origins.panel.series(int(origins.series[rows[k]]))[: origins.at[rows[k]]]
        for name, (forecasts, failed) in found.items():
            try:
                forecasts[k] = FITTED[name](history, origins.horizon, origins.season)
            except Unfit as error:
                failed.append(str(error))
    return found
