"""Jobs that ask versions that are there: the forecast of a whole data set, and a backtest, each with a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from app.formats.table_writer import FORMATS, Columns, TableWriter
from app.planning.version_payloads import BacktestOrder, BatchOrder
from app.store.outcomes import Outcome
from app.work.champion_comparison import known_to
from app.work.job_context import JobContext
from app.work.progress import ProgressCounter, time_is_up
from models.data.chunks import MAX_SERIES, parts_of
from models.data.panel import Panel
from models.data.windows import take
from models.engines.onnx import OnnxEngine
from models.evaluation.backtest import Predict, evaluate
from models.evaluation.intervals import Prediction
from models.evaluation.origins import Origins, origins_of, plan_for
from models.forecasting import bundle
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import Member, forecast, make_runnable, predict
from models.network.spec import Spec
from models.training.blending import seasonal_naive_for
from models.types import Ints

MAX_NUMBERS = 1_000_000  # of one part: with its text, some tens of MB
STATISTICAL_S = 60.0  # for Theta and ETS, which could take longer than all the rest


def forecast_all(context: JobContext) -> Outcome:
    """The next steps of every series, as a file ``forecast``.

    Raises:
        InputError, ModelBroken: the job cannot be done.
        Cancelled: its cancellation was asked for.
        Fenced: another worker has taken it over.
    """
    order = BatchOrder.from_json(context.job.request)
    panel = context.load_panel(context.job.data_id)
    if order.ids is not None:
        panel = panel.select(order.ids)
    made = bundle.from_bytes(context.load_bundle(order.version.id))
    networks = make_runnable(made.members, OnnxEngine)
    most = MAX_NUMBERS // (order.horizon * (1 + 2 * len(order.levels)))
    counting, notes = ProgressCounter(context, "forecast", len(panel)), dict[str, int]()
    with _table(context, "forecast", order.format, panel.utc) as table:
        for part in parts_of(panel, min(MAX_SERIES, max(1, most))):
            said = forecast(networks, made.calibration, part, order.horizon, order.levels)
            table.write(_forecast_rows(said))
            for note in said.notes:
                notes[note.code] = notes.get(note.code, 0) + 1
            counting.add(len(part))
    result = {"series": len(panel), "rows": len(panel) * order.horizon, "horizon": order.horizon, "notes": notes}
    return Outcome(result={**result, "of": f"{order.version.name.partition('@')[0]}@{order.version.number}"})


def backtest_one(context: JobContext) -> Outcome:
    """The report of a backtest as a version has one, and a file ``windows`` if it is wanted.

    ``windows_taught`` counts the windows that the version was taught: what it says of those is worth nothing.

    Raises:
        InputError, ModelBroken: the job cannot be done.
        Cancelled: its cancellation was asked for.
        Fenced: another worker has taken it over.
    """
    order = BacktestOrder.from_json(context.job.request)
    panel = context.load_panel(context.job.data_id)
    members = _members(context, order, panel)
    origins = origins_of(panel, plan_for(panel, order.horizon, order.season), order.season)
    counter = ProgressCounter(context, "backtest", len(origins))
    says = _Counted(partial(predict, make_runnable(members, OnnxEngine)), counter)
    enough = time_is_up(STATISTICAL_S)
    if order.windows is None:
        evaluation = evaluate(says, origins, order.baselines, enough)
    else:
        with _table(context, "windows", order.windows, panel.utc) as table:
            evaluation = evaluate(_Written(says, table), origins, order.baselines, enough)
    return Outcome(result=evaluation.report | _standing(context, order, origins))


def _standing(context: JobContext, order: BacktestOrder, origins: Origins) -> dict[str, Any]:
    if order.version is None:
        return {"of": "seasonal_naive", "windows_taught": 0}
    known = known_to(context, context.load_version(order.version.id), origins.panel)
    taught = int((origins.at < known[origins.series]).sum())
    return {"of": f"{order.version.name.partition('@')[0]}@{order.version.number}", "windows_taught": taught}


def _members(context: JobContext, order: BacktestOrder, panel: Panel) -> tuple[Member, ...]:
    if order.version is not None:
        return bundle.from_bytes(context.load_bundle(order.version.id)).members
    plain = Spec(freq=str(panel.freq), season=order.season, context=2, horizon=order.horizon)
    return (seasonal_naive_for(plain),)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A ``Predict`` that counts the windows that it was asked for."""

    says: Predict
    counting: ProgressCounter

    def __call__(self, panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
        said = self.says(panel, series, at, horizon)
        self.counting.add(len(at))
        return said


@dataclass(frozen=True, slots=True)
class _Written:
    """A ``Predict`` whose forecasts are written down beside what came."""

    says: Predict
    table: TableWriter

    def __call__(self, panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
        said = self.says(panel, series, at, horizon)
        steps = np.arange(horizon)
        first = panel.freq.after(panel.starts[series], at)
        cutoff = panel.freq.after(panel.starts[series], at - 1)
        self.table.write(
            {
                "unique_id": np.repeat(np.array(panel.ids, dtype=object)[series], horizon),
                "cutoff": np.repeat(cutoff, horizon),
                "ds": np.concatenate([panel.freq.after(begin, steps) for begin in first]),
                "y": take(panel.y, panel, series, at, horizon).ravel(),
                "mean": said.mean.ravel(),
            }
        )
        return said


def _forecast_rows(said: Forecast) -> Columns:
    horizon = said.mean.shape[1]
    columns = {
        "unique_id": np.repeat(np.array(said.ids, dtype=object), horizon),
        "ds": np.concatenate([said.times(i) for i in range(len(said.ids))]),
        "mean": said.mean.ravel(),
    }
    for level, bounds in said.intervals.items():
        columns |= {f"lo-{level}": bounds.lo.ravel(), f"hi-{level}": bounds.hi.ravel()}
    return columns


@contextmanager
def _table(context: JobContext, name: str, kind: str, utc: bool) -> Iterator[TableWriter]:
    with context.open_artifact(f"{name}.{kind}", FORMATS[kind]) as file:
        writer = TableWriter(file, kind, utc)
        yield writer
        writer.end()
