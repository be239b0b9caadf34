"""Rolling-origin backtest: forecast from several past origins and compare with the values that followed.

Forecasts are made in chunks of windows, so that memory does not grow with their number.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.data.panel import Panel
from models.data.windows import take
from models.errors import ModelBroken
from models.evaluation.baselines import FITTED, QUICK, CannotFit, fitting_cost_s
from models.evaluation.intervals import Calibration, Prediction, Rolled, calibrate
from models.evaluation.mean import MeanCorrection, Residuals, fit_mean
from models.evaluation.origins import Origins
from models.evaluation.radii import MAX_REACH
from models.evaluation.report import BacktestReport, Sample, Score
from models.evaluation.scoring import Actuals, PointForecasts, WindowErrors, collect_errors, interval_score, owa, skill
from models.types import Floats, Ints

Predict = Callable[[Panel, Ints, Ints, int], Prediction]  # panel, series (B,), at (B,), horizon
BaselineFits = dict[str, tuple[Floats, list[str]]]  # name -> forecasts, reasons

CHUNK = 1_024  # windows forecast at a time
MAX_CALIBRATED = 200_000  # residuals; more do not improve the radii
MIN_ROLLED, MAX_ROLLED = 20, 256  # windows that are forecast beyond the horizon
MIN_STATISTICAL = 10
MAX_STATISTICAL = 200  # windows, to each of which the statistical baselines are fitted
STATISTICAL_S = 10.0  # estimated processor time of Theta and ETS, which could take longer than everything else


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Report of a backtest, and the calibration of the intervals on its residuals."""

    report: BacktestReport
    calibration: Calibration

    @property
    def skill(self) -> float | None:
        """Return 1 - MASE / MASE of seasonal naive; None where it is undefined."""
        return self.report.skill


def evaluate(
    predict: Predict,
    origins: Origins,
    statistical: Sequence[str] = (),
    statistical_s: float = STATISTICAL_S,
    *,
    corrects_mean: bool = False,
) -> Evaluation:
    """Score ``predict``, seasonal naive, naive and drift on the same windows, and calibrate intervals on the residuals.

    The report has the ``scores`` of each, the ``skill``, the errors by step (``steps``), and for the model and seasonal
    naive the coverage, WQL and MSIS of their ``intervals``: measured on the later half of the origins, calibrated on
    the earlier half. The returned calibration uses all origins, and forecasts of some of them beyond the horizon.

    Args:
        predict: the model; called for at most ``CHUNK`` windows at a time.
        origins: the windows.
        statistical: baselines to fit, ``theta`` and ``ets``. The report's ``sample`` has their scores and Naive2's on
            ``MIN_STATISTICAL`` to ``MAX_STATISTICAL`` windows, the scores of all others on the same windows, and OWA.
        statistical_s: processor time of these fits by an estimate that is the same on every machine.
        corrects_mean: measure the correction of the mean too, and score the mean with it.

    Raises:
        ModelBroken: ``predict`` returned NaN or infinity.
    """
    residuals = origins.sample(max(2 * MAX_STATISTICAL, MAX_CALIBRATED // origins.horizon))
    every, others = np.arange(len(origins)), np.setdiff1d(np.arange(len(origins)), residuals)
    prediction = Prediction.join([part for _, part in predict_windows(predict, origins, residuals)])
    actuals = origins.actuals(residuals)
    beyond = roll_beyond(predict, origins)
    calibration = calibrate(prediction, actuals.actual, beyond)
    if corrects_mean:
        calibration = replace(calibration, mean=_mean_correction(prediction, actuals, origins.origin[residuals]))

    def model_errors() -> Iterator[tuple[Actuals, PointForecasts]]:
        yield actuals, PointForecasts.of(calibration.correct(prediction))
        for rows, part in predict_windows(predict, origins, others):
            yield origins.actuals(rows), PointForecasts.of(calibration.correct(part))

    errors = {"model": collect_errors(model_errors()).reorder(np.argsort(np.concatenate([residuals, others])))}
    errors |= {name: collect_errors(_quick_baseline(name, origins, every)) for name in QUICK}
    scores = {name: found.score() for name, found in errors.items()}
    naive = np.concatenate([points.median for _, points in _quick_baseline("seasonal_naive", origins, residuals)])
    # The intervals of seasonal naive are in MASE's unit, 0 where that is undefined.
    spread = np.nan_to_num(origins.scale[origins.series[residuals]])[:, None]
    compared = {"model": prediction, "seasonal_naive": Prediction.of_points(naive, spread)}
    rolled = {"model": beyond, "seasonal_naive": None}
    intervals = {
        name: interval_score(made, actuals, origins.origin[residuals], rolled[name]) for name, made in compared.items()
    }
    report = BacktestReport(
        horizon=origins.horizon,
        season=origins.season,
        origins=int(origins.origin.max()) + 1,
        windows=len(origins),
        series_left_out=origins.left_out,
        scores=scores,
        skill=skill(scores["model"], scores["seasonal_naive"]),
        steps={name: errors[name].steps() for name in compared},
        coverage=intervals["model"]["coverage"],
        intervals=intervals,
        sample=_sample_report(origins, errors, statistical, statistical_s),
    )
    return Evaluation(report, calibration)


def roll_beyond(predict: Predict, origins: Origins) -> Rolled | None:
    """Return forecasts of a sample of windows, up to ``MAX_REACH`` times the horizon, as far as values follow them.

    Their errors beyond the horizon need no data besides those of the backtest. None if no window has such values.
    """
    count = max(MIN_ROLLED, min(MAX_ROLLED, MAX_CALIBRATED // (MAX_REACH * origins.horizon)))
    rows, left = origins.beyond(count)
    if len(rows) == 0:
        return None
    steps = int(min(MAX_REACH * origins.horizon, left.max()))
    series, at = origins.series[rows], origins.at[rows]
    actual = take(origins.panel.y, origins.panel, series, at, steps)
    return Rolled(predict(origins.panel, series, at, steps), actual, origins.origin[rows])


def score(predict: Predict, origins: Origins, rows: Ints) -> Score:
    """Return the mean errors of ``predict`` over the windows with the numbers ``rows`` (B,)."""
    return window_errors(predict, origins, rows).score()


def window_errors(predict: Predict, origins: Origins, rows: Ints) -> WindowErrors:
    """Return the errors of ``predict`` on the windows with the numbers ``rows`` (B,).

    Raises:
        ModelBroken: ``predict`` returned NaN or infinity.
    """
    made = predict_windows(predict, origins, rows)
    return collect_errors((origins.actuals(part), PointForecasts.of(prediction)) for part, prediction in made)


def baseline_errors(origins: Origins, rows: Ints) -> WindowErrors:
    """Return the errors of seasonal naive on the windows with the numbers ``rows`` (B,)."""
    return collect_errors(_quick_baseline("seasonal_naive", origins, rows))


def predict_windows(predict: Predict, origins: Origins, rows: Ints) -> Iterator[tuple[Ints, Prediction]]:
    """Yield predictions of the windows with the numbers ``rows`` (B,), at most ``CHUNK`` at a time, with their numbers.

    Raises:
        ModelBroken: ``predict`` returned NaN or infinity.
    """
    for part in np.array_split(rows, math.ceil(len(rows) / CHUNK)) if len(rows) else ():
        made = predict(origins.panel, origins.series[part], origins.at[part], origins.horizon)
        if not np.isfinite(made.median).all():
            raise ModelBroken("the network gave NaN or infinity in its backtest; train it again")
        yield part, made


def _mean_correction(prediction: Prediction, actuals: Actuals, origin: Ints) -> MeanCorrection:
    """Return the correction of the mean of ``prediction``; windows of one origin are one group."""
    bounds = prediction.bounds
    residuals = Residuals(prediction.median, prediction.mean, prediction.spread, actuals.actual, origin)
    return fit_mean(residuals, (lambda values, rows: values) if bounds is None else bounds.clip_rows)


def _quick_baseline(name: str, origins: Origins, rows: Ints) -> Iterator[tuple[Actuals, PointForecasts]]:
    """Yield forecasts of the baseline ``name``, one of ``QUICK``, with the actual values."""
    for part, past in origins.histories(rows):
        forecast = origins.clip(part, QUICK[name](past, origins.horizon, origins.season))
        yield origins.actuals(part), PointForecasts.same(forecast)


def _sample_report(
    origins: Origins, errors: Mapping[str, WindowErrors], names: Sequence[str], limit_s: float
) -> Sample:
    """Score Naive2 and the statistical baselines, and all others on the windows that these could be fitted to."""
    rows = origins.sample(MAX_STATISTICAL)
    found = _fit_baselines(["naive2"], origins, rows, len(rows))
    found |= _fit_baselines(names, origins, rows, _affordable_windows(names, origins, rows, limit_s))
    fit = {name: ~np.isnan(forecast[:, 0]) for name, (forecast, _) in found.items()}
    usable = {name for name, (_, failed) in found.items() if len(failed) < fit[name].sum()}
    both = np.logical_and.reduce([fit[name] for name in usable]) if usable else np.zeros(len(rows), dtype=bool)
    actuals, chosen = origins.actuals(rows[both]), np.isin(np.arange(len(origins)), rows[both])
    scores = {name: own.score(chosen) for name, own in errors.items()}
    scores |= {
        name: collect_errors([(actuals, PointForecasts.same(found[name][0][both]))]).score()
        for name in found
        if name in usable
    }
    return {
        "windows": int(both.sum()),
        "scores": {name: {**own, "owa": owa(own, scores["naive2"])} for name, own in scores.items()},
        "left_out": {name: failed[-1] for name, (_, failed) in found.items() if name not in usable},
    }


def _affordable_windows(names: Sequence[str], origins: Origins, rows: Ints, limit_s: float) -> int:
    """Return the number of windows that the baselines ``names`` are fitted to; the same on every machine."""
    points = origins.at[rows].tolist()
    cost_s = sum(fitting_cost_s(name, length, origins.season) for name in names for length in points)
    share = 1.0 if cost_s <= limit_s else limit_s / cost_s
    return min(len(rows), max(MIN_STATISTICAL, int(share * len(rows))))


def _fit_baselines(names: Sequence[str], origins: Origins, rows: Ints, count: int) -> BaselineFits:
    """Return the forecasts of each baseline, (B, H), NaN where it has none, and the reasons why fits failed."""
    found: BaselineFits = {name: (np.full((len(rows), origins.horizon), np.nan), []) for name in names}
    # Random order: the ``count`` windows that are fitted are a fair sample of all.
    for k in np.random.default_rng(0).permutation(len(rows))[:count] if names else ():
        history = origins.panel.series(int(origins.series[rows[k]]))[: origins.at[rows[k]]]
        for name, (forecasts, failed) in found.items():
            try:
                fitted = FITTED[name](history, origins.horizon, origins.season)
                forecasts[k] = origins.clip(rows[k : k + 1], fitted[None])[0]
            except CannotFit as error:
                failed.append(str(error))
    return found
