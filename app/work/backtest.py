"""Job kind ``backtest``: score a version on the end of a data set, with a file of its forecasts on request."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from app.formats.table_writer import TableWriter
from app.planning.backtest import BASELINE, BacktestPayload, check_backtest, plan_origins
from app.store.outcomes import Outcome
from app.work.artifact_table import artifact_table
from app.work.champion_comparison import known_to
from app.work.job_context import JobContext
from app.work.progress import ProgressCounter
from models.data.panel import Panel
from models.data.windows import take
from models.engines.onnx import OnnxEngine
from models.evaluation.backtest import Predict, evaluate
from models.evaluation.intervals import Calibration, Prediction
from models.evaluation.origins import Origins
from models.forecasting import bundle
from models.forecasting.bounding import limits_of
from models.forecasting.forecaster import Forecaster, make_runnable, predict_corrected
from models.network.spec import Spec
from models.training.blending import seasonal_naive_for
from models.types import Ints, JsonObject

STATISTICAL_S = 60.0  # estimated processor time of Theta and ETS, which could take longer than everything else


def backtest(context: JobContext) -> Outcome:
    """Return the report of a backtest, as a version has one; write the file ``windows`` if the payload asks for it.

    ``windows_taught`` counts the windows that the version was trained on, whose errors are too small; None for an
    imported version, whose training data are not known.

    Raises:
        InputError, ModelBroken: the job cannot be done.
        Cancelled: its cancellation was requested.
        Fenced: another worker has taken it over.
    """
    payload = BacktestPayload.from_json(context.job.request)
    panel = context.load_panel(context.job.data_id)
    forecaster = _forecaster(context, payload, panel)
    specs = [member.spec for member in forecaster.members]
    origins = replace(plan_origins(panel, payload.horizon, payload.season), limits=limits_of(specs))
    check_backtest(context.limits, specs, origins, has_file=payload.windows is not None)
    predict_served = partial(predict_corrected, make_runnable(forecaster.members, OnnxEngine), forecaster.calibration)
    counted = _Counted(predict_served, ProgressCounter(context, "backtest", len(origins)))
    if payload.windows is None:
        evaluation = evaluate(counted, origins, payload.baselines, STATISTICAL_S)
    else:
        with artifact_table(context, "windows", payload.windows, panel.utc) as table:
            evaluation = evaluate(_Recorded(counted, table, origins.horizon), origins, payload.baselines, STATISTICAL_S)
    return Outcome(result=evaluation.report.to_json() | _provenance(context, payload, origins))


def _forecaster(context: JobContext, payload: BacktestPayload, panel: Panel) -> Forecaster:
    """Return the version of ``payload``, or seasonal naive without calibrated intervals."""
    if payload.version is not None:
        return bundle.from_bytes(context.load_bundle(payload.version.id))
    spec = Spec(freq=str(panel.freq), season=payload.season, context=2, horizon=payload.horizon)
    return Forecaster((seasonal_naive_for(spec),), Calibration(np.zeros((payload.horizon, 99), np.float32), 0))


def _provenance(context: JobContext, payload: BacktestPayload, origins: Origins) -> JsonObject:
    """Return the scored version and the number of windows that it was trained on, for the report."""
    if payload.version is None:
        return {"of": BASELINE, "windows_taught": 0}
    version = context.load_version(payload.version.id)
    taught = None  # not known of an imported version
    if version.revision_id is not None:
        taught = int((origins.at < known_to(context, version, origins.panel)[origins.series]).sum())
    return {"of": payload.version.reference, "windows_taught": taught}


@dataclass(frozen=True, slots=True)
class _Counted:
    """A ``Predict`` that counts the windows that it has forecast."""

    predict: Predict
    counting: ProgressCounter

    def __call__(self, panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
        prediction = self.predict(panel, series, at, horizon)
        self.counting.add(len(at))
        return prediction


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A ``Predict`` that writes its forecasts into ``table``, beside the actual values.

    Forecasts beyond ``horizon``, from which the intervals of later steps are measured, are not written.
    """

    predict: Predict
    table: TableWriter
    horizon: int

    def __call__(self, panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
        prediction = self.predict(panel, series, at, horizon)
        if horizon > self.horizon:
            return prediction
        steps, bounded = np.arange(horizon), prediction.bounded()
        first = panel.freq.after(panel.starts[series], at)
        cutoff = panel.freq.after(panel.starts[series], at - 1)
        self.table.write(
            {
                "unique_id": np.repeat(np.array(panel.ids, dtype=object)[series], horizon),
                "cutoff": np.repeat(cutoff, horizon),
                "ds": np.concatenate([panel.freq.after(begin, steps) for begin in first]),
                "y": take(panel.y, panel, series, at, horizon).ravel(),
                "median": bounded.median.ravel(),
                "mean": bounded.mean.ravel(),
            }
        )
        return prediction
