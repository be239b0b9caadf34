"""Rolling-origin backtest: forecast from several moments of the past, compare with what came.

Forecasts are made in chunks of moments, so that memory does not grow with their number.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.data.panel import Panel
from models.errors import ModelBroken
from models.evaluation.baselines import FITTED, QUICK, CannotFit
from models.evaluation.intervals import Calibration, Prediction, calibrate
from models.evaluation.origins import BacktestPlan, Origins, origins_of
from models.evaluation.report import BacktestReport, Sample, Score
from models.evaluation.scoring import Actuals, WindowErrors, collect_errors, interval_score, owa, skill
from models.types import Floats, Ints

Predict = Callable[[Panel, Ints, Ints, int], Prediction]  # panel, series (B,), at (B,), horizon
Teach = Callable[[Panel], Predict]
BaselineFits = dict[str, tuple[Floats, list[str]]]  # name -> forecasts, reasons
TimeIsUp = Callable[[], bool]  # whether the time for something is up

CHUNK = 1_024  # windows forecast at a time
MAX_CALIBRATED = 200_000  # residuals: more make no radius better
MIN_STATISTICAL = 10
MAX_STATISTICAL = 200  # windows for the baselines that are fitted to each of them


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Report of a backtest, and the calibration of the intervals on its residuals."""

    report: BacktestReport
    calibration: Calibration

    @property
    def skill(self) -> float | None:
        """1 - MASE / MASE of seasonal naive."""
        return self.report.skill


def evaluate(
    predict: Predict, origins: Origins, statistical: Sequence[str] = (), enough: TimeIsUp = lambda: False
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
    return _assess(predict_windows(predict, origins, np.arange(len(origins))), origins, statistical, enough)


def score(predict: Predict, origins: Origins, rows: Ints) -> Score:
    """The mean errors of ``predict`` over the windows of number ``rows`` alone."""
    return window_errors(predict, origins, rows).score()


def window_errors(predict: Predict, origins: Origins, rows: Ints) -> WindowErrors:
    """The errors of ``predict`` on the windows of number ``rows``; raises as ``evaluate``."""
    return collect_errors((origins.truth(part), said.mean) for part, said in predict_windows(predict, origins, rows))


def baseline_errors(origins: Origins, rows: Ints) -> WindowErrors:
    """The errors of seasonal naive on the windows of number ``rows``."""
    return collect_errors(_quick_baseline("seasonal_naive", origins, rows))


def backtest(panel: Panel, plan: BacktestPlan, season: int, teach: Teach, refit_every: int | None = None) -> Evaluation:
    """Teach a model on what lies before the first origin, and anew every ``refit_every`` origins; score all together.

    Raises:
        InputError: ``too_short`` where no series has a value before and one after an origin.
        ModelBroken: the model gave a number that is not finite.
    """
    origins = origins_of(panel, plan, season)
    return _assess(_retaught(panel, plan, origins, teach, refit_every or plan.origins), origins)


Said = Iterable[tuple[Ints, Prediction]]  # numbers of windows, and what was said of them


def predict_windows(predict: Predict, origins: Origins, rows: Ints) -> Iterator[tuple[Ints, Prediction]]:
    """What ``predict`` says of the windows of number ``rows`` (B,), ``CHUNK`` at a time; raises as ``evaluate``."""
    for part in np.array_split(rows, math.ceil(len(rows) / CHUNK)):
        made = predict(origins.panel, origins.series[part], origins.at[part], origins.horizon)
        if not np.isfinite(made.mean).all():
            raise ModelBroken("the network gave NaN or infinity in its backtest; train it anew")
        yield part, made


def _retaught(
    panel: Panel, plan: BacktestPlan, origins: Origins, teach: Teach, every: int
) -> Iterator[tuple[Ints, Prediction]]:
    for first in range(0, plan.origins, every):
        rows = np.flatnonzero((origins.origin >= first) & (origins.origin < first + every))
        if len(rows):
            known = panel.cut(plan.horizon + (plan.origins - 1 - first) * plan.stride)
            yield from predict_windows(teach(known), origins, rows)


def _assess(said: Said, origins: Origins, names: Sequence[str] = (), enough: TimeIsUp = lambda: False) -> Evaluation:
    residuals = origins.some(max(2 * MAX_STATISTICAL, MAX_CALIBRATED // origins.horizon))
    kept: list[Prediction] = []
    errors = {"model": collect_errors(_pair_with_actuals(said, origins, residuals, kept))}
    errors |= {name: collect_errors(_quick_baseline(name, origins, np.arange(len(origins)))) for name in QUICK}
    scores = {name: found.score() for name, found in errors.items()}
    prediction, truth = _concatenate(kept), origins.truth(residuals)
    naive = _scaled_naive(origins, residuals)
    judged = {"model": prediction, "seasonal_naive": naive}
    intervals = {name: interval_score(made, truth, origins.origin[residuals]) for name, made in judged.items()}
    report = BacktestReport(
        horizon=origins.horizon,
        season=origins.season,
        origins=int(origins.origin.max()) + 1,
        windows=len(origins),
        series_left_out=origins.left_out,
        scores=scores,
        skill=skill(scores["model"], scores["seasonal_naive"]),
        steps={name: errors[name].steps() for name in judged},
        coverage=intervals["model"]["coverage"],
        intervals=intervals,
        sample=_sample_report(origins, errors, names, enough),
    )
    return Evaluation(report, calibrate(prediction, truth.actual))


def _pair_with_actuals(
    said: Said, origins: Origins, wanted: Ints, kept: list[Prediction]
) -> Iterator[tuple[Actuals, Floats]]:
    """What was said beside what came; the predictions of the windows ``wanted`` are added to ``kept``."""
    for rows, prediction in said:
        kept.append(prediction.rows(np.isin(rows, wanted)))
        yield origins.truth(rows), prediction.mean


def _concatenate(kept: list[Prediction]) -> Prediction:
    mean, spread = (np.concatenate([part[i] for part in kept]) for i in (0, 1))
    quantiles = [part.quantiles for part in kept if part.quantiles is not None]
    return Prediction(mean, spread, np.concatenate(quantiles) if quantiles else None, kept[0].levels)


def _quick_baseline(name: str, origins: Origins, rows: Ints) -> Iterator[tuple[Actuals, Floats]]:
    for part, past in origins.pasts(rows):
        yield origins.truth(part), QUICK[name](past, origins.horizon, origins.season)


def _scaled_naive(origins: Origins, rows: Ints) -> Prediction:
    """Seasonal naive, whose intervals are in MASE's unit; 0 where there is none."""
    mean = np.concatenate([forecast for _, forecast in _quick_baseline("seasonal_naive", origins, rows)])
    scale = np.nan_to_num(origins.scale[origins.series[rows]])
    return Prediction(mean, scale[:, None])


def _sample_report(
    origins: Origins, errors: Mapping[str, WindowErrors], names: Sequence[str], enough: TimeIsUp
) -> Sample:
    """Naive2 and the statistical baselines, and all others on the windows that those could be fitted to."""
    rows = origins.some(MAX_STATISTICAL)
    found = _fit_baselines(["naive2"], origins, rows, lambda: False) | _fit_baselines(names, origins, rows, enough)
    fit = {name: ~np.isnan(forecast[:, 0]) for name, (forecast, _) in found.items()}
    usable = {name for name, (_, failed) in found.items() if len(failed) < fit[name].sum()}
    both = np.logical_and.reduce([fit[name] for name in usable]) if usable else np.zeros(len(rows), dtype=bool)
    truth, chosen = origins.truth(rows[both]), np.isin(np.arange(len(origins)), rows[both])
    scores = {name: own.score(chosen) for name, own in errors.items()}
    scores |= {name: collect_errors([(truth, found[name][0][both])]).score() for name in found if name in usable}
    return {
        "windows": int(both.sum()),
        "scores": {name: {**own, "owa": owa(own, scores["naive2"])} for name, own in scores.items()},
        "left_out": {name: failed[-1] for name, (_, failed) in found.items() if name not in usable},
    }


def _fit_baselines(names: Sequence[str], origins: Origins, rows: Ints, enough: TimeIsUp) -> BaselineFits:
    """Each baseline's forecasts, (B, H), NaN where there is none, and why it could not be fitted."""
    found: BaselineFits = {name: (np.full((len(rows), origins.horizon), np.nan), []) for name in names}
    # In random order, so that those fitted before the time was up are like the others.
    for count, k in enumerate(np.random.default_rng(0).permutation(len(rows)) if names else ()):
        if count >= MIN_STATISTICAL and enough():
            break
        history = origins.panel.series(int(origins.series[rows[k]]))[: origins.at[rows[k]]]
        for name, (forecasts, failed) in found.items():
            try:
                forecasts[k] = FITTED[name](history, origins.horizon, origins.season)
            except CannotFit as error:
                failed.append(str(error))
    return found
