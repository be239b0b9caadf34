"""Job kind ``forecast``: forecast every series of a data set into a file."""

from app.formats import table_columns, warning_of
from app.planning.forecast import ForecastPayload
from app.store.outcomes import Outcome
from app.work.artifact_table import artifact_table
from app.work.job_context import JobContext
from app.work.progress import ProgressCounter
from models.data.chunks import MAX_SERIES, split_series
from models.engines.onnx import OnnxEngine
from models.evaluation.report import BacktestReport
from models.forecasting import bundle
from models.forecasting.forecaster import forecast_together, make_runnable
from models.forecasting.split import ForecastInput
from models.json_types import JsonObject
from models.training.doubts import doubts_of

MAX_NUMBERS = 1_000_000  # in one part of the table: with its text, some tens of MB


def forecast_all(context: JobContext) -> Outcome:
    """Write the forecasts of every series into the file ``forecast``, and return their counts.

    Raises:
        InputError, ModelBroken: the job cannot be done.
        Cancelled: its cancellation was requested.
        Fenced: another worker has taken it over.
    """
    payload = ForecastPayload.from_json(context.job.request)
    panel = payload.select(context.load_panel(context.job.data_id))
    forecaster = bundle.from_bytes(context.load_bundle(payload.version.id))
    payload.check(context.limits, [member.spec for member in forecaster.members], len(panel))
    networks = make_runnable(forecaster.members, OnnxEngine)
    max_series = MAX_NUMBERS // (payload.horizon * payload.numbers_each)
    counting, notes = ProgressCounter(context, "forecast", len(panel)), dict[str, int]()
    version = context.load_version(payload.version.id)
    doubts, warnings = doubts_of(version.spec.strategy, version.report), dict[str, JsonObject]()
    with artifact_table(context, "forecast", payload.format, panel.utc) as table:
        for part in split_series(panel, min(MAX_SERIES, max(1, max_series))):
            ask = ForecastInput(part, payload.horizon, payload.levels, payload.quantiles, payload.bounds)
            (result,) = forecast_together(networks, forecaster.calibration, [ask])
            table.write(table_columns(result))
            for note in result.notes:
                notes[note.code] = notes.get(note.code, 0) + 1
                warnings.setdefault(note.code, warning_of(note))
            counting.add(len(part))
    counts = {"series": len(panel), "rows": len(panel) * payload.horizon, "horizon": payload.horizon, "notes": notes}
    facts = {"of": payload.version.reference, "skill": version.report.skill, "backtest": backtest_of(version.report)}
    return Outcome(result={**counts, **facts, "warnings": [*map(warning_of, doubts), *warnings.values()]})


def backtest_of(report: BacktestReport) -> JsonObject:
    """Return the backtest of the version as an answer of ``POST /v1/forecasts`` states it."""
    return {
        "skill": report.skill,
        "mase": report.scores["model"]["mase"],
        "seasonal_naive_mase": report.scores["seasonal_naive"]["mase"],
        "horizon": report.horizon,
        "windows": report.windows,
        "coverage": dict(report.coverage),
    }
