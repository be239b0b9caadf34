"""Split of one prediction into the forecasts of the requests that it was made for."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.data.bounds import Bounds
from models.data.panel import Panel
from models.evaluation.intervals import Calibration, Interval, Prediction
from models.evaluation.quantiles import check_levels, levels_of, read_quantiles
from models.forecasting.bounding import limits_of, note_unbounded, replace_row_bounds
from models.forecasting.forecast import Forecast, Note
from models.forecasting.notes import series_notes
from models.network.spec import Spec


class ForecastInput(NamedTuple):
    """Panel and number of steps to forecast, with the levels (percent) of the central intervals and the ``quantiles``.

    ``bounds``: in place of those of the model; None: the model's.
    """

    panel: Panel
    horizon: int
    levels: Sequence[int]
    quantiles: Sequence[float] = ()
    bounds: Bounds | None = None


def split_forecast(
    inputs: Sequence[ForecastInput],
    specs: Sequence[Spec],
    panel: Panel,
    prediction: Prediction,
    calibration: Calibration,
) -> list[Forecast]:
    """Return the rows and steps of each of ``inputs`` from ``prediction``, the prediction for all of them."""
    starts, limits = panel.freq.after(panel.starts, panel.observed_lengths), limits_of(specs)
    on_series, trained = series_notes(specs, panel, prediction), specs[0].horizon
    unbounded = dict(note_unbounded(panel, limits, prediction.bounds))
    if any(one.bounds is not None for one in inputs):
        asked = [one.bounds for one in inputs]
        prediction = prediction._replace(
            bounds=replace_row_bounds(prediction.bounds, [one.panel for one in inputs], asked)
        )
    prediction = calibration.correct(prediction)
    bounded = prediction.bounded()
    known: dict[tuple[int, ...], Mapping[int, Interval]] = {}
    forecasts, end = [], 0
    for one in inputs:
        rows, steps = slice(end, end := end + len(one.panel.ids)), slice(one.horizon)
        levels = levels_of(one.levels, one.quantiles)
        if levels not in known:
            check_levels(calibration, (), one.quantiles)
            known[levels] = calibration.intervals(prediction, levels)
        intervals = {level: Interval(lo[rows, steps], hi[rows, steps]) for level, (lo, hi) in known[levels].items()}
        notes: tuple[Note, ...] = ()
        if one.horizon > trained:
            message = (
                f"the model was trained and calibrated for {trained} steps; those beyond are rolled forward, "
                "and their intervals are extrapolated"
            )
            notes = (Note(code="beyond_trained_horizon", message=message),)
        if on_series:
            notes = (*notes, *(note for i, note in on_series if rows.start <= i < rows.stop))
        if unbounded and one.bounds is None:
            notes = (*notes, *(note for i, note in unbounded.items() if rows.start <= i < rows.stop))
        median = bounded.median[rows, steps]
        mean = median if bounded.mean is bounded.median else bounded.mean[rows, steps]
        forecasts.append(
            Forecast(
                ids=one.panel.ids,
                freq=panel.freq,
                starts=starts[rows],
                median=median,
                mean=mean,
                intervals={level: intervals[level] for level in sorted(set(one.levels))},
                quantiles=read_quantiles(one.quantiles, median, intervals),
                bounds=limits if one.bounds is None else one.bounds,
                notes=notes,
                utc=one.panel.utc,
                prediction=prediction if median.shape == prediction.median.shape else prediction.part(rows, steps),
            )
        )
    return forecasts
