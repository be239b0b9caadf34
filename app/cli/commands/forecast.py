"""``forecastle forecast`` and ``forecastle backtest``: a registered version on a table, without a server."""

from functools import partial
from typing import Any

from app.cli.commands.common import caller, plain_errors, print_table, read_data, read_settings, refuse, tell
from app.cli.commands.common import migrated as migrated_database
from app.main import create_service
from app.serving.model_cache import LoadedModel
from app.store import registry
from app.store.tables import Version
from models.data.calendar import parse_freq
from models.data.panel import Panel
from models.evaluation.backtest import evaluate
from models.evaluation.origins import origins_of, plan_for
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import check_covariates, predict
from models.forecasting.forecaster import forecast as make_forecast

Source = tuple[str, str | None]  # what to read, and its frequency
Which = tuple[str, int | None]  # model, and the number of its version


def forecast(source: Source, which: Which, horizon: int | None, levels: list[int], output: str) -> None:
    """Print the forecast of every series of the table."""
    if bad := [level for level in levels if not 1 <= level <= 99]:
        refuse(f"level {bad[0]} is no interval; give 1 to 99 percent")
    if horizon is not None and horizon < 1:
        refuse(f"a horizon of {horizon} is no forecast; give at least 1")
    with plain_errors():
        panel, version, loaded = _open(source, which)
        steps = horizon or loaded.forecaster.spec.horizon
        made = make_forecast(loaded.networks, loaded.forecaster.calibration, panel, steps, levels)
    for note in made.notes:
        tell(f"note: {note.message}" + (f" ({note.unique_id})" if note.unique_id else ""))
    tell(f"{which[0]} version {version.number}, skill against seasonal naive {_percent(version.skill)}")
    rows = _rows(made)
    print_table(list(rows[0]), rows, output)


def backtest(source: Source, which: Which, horizon: int | None, output: str) -> None:
    """Print the scores of a version and of the baselines on the last part of the table."""
    with plain_errors():
        panel, version, loaded = _open(source, which)
        spec = loaded.forecaster.spec
        if panel.freq != parse_freq(spec.freq):
            refuse(f"the table has frequency {panel.freq}, the model was trained on {spec.freq}; give such a table")
        for member in loaded.forecaster.members:
            check_covariates(member.spec, panel)
        origins = origins_of(panel, plan_for(panel, horizon or spec.horizon, spec.season), spec.season)
        report = evaluate(partial(predict, loaded.networks), origins).report
    tell(f"{which[0]} version {version.number}: {report.windows} windows from {report.origins} origins")
    rows = [{"forecaster": name, **scores} for name, scores in report.scores.items()]
    print_table(list(rows[0]), rows, output)


def _open(source: Source, which: Which) -> tuple[Panel, Version, LoadedModel]:
    settings = read_settings()
    database = migrated_database(settings)
    tenant_id = caller(database).tenant_id
    panel = read_data(database, tenant_id, *source, settings.max_rows)
    with database.read() as session:
        version = registry.resolve(session, tenant_id, *which, None)
    return panel, version, create_service(settings).models.get(tenant_id, version.id)


def _rows(made: Forecast) -> list[dict[str, Any]]:
    rows = []
    for i, unique_id in enumerate(made.ids):
        for step, ds in enumerate(made.stamps(i)):
            row: dict[str, Any] = {"unique_id": unique_id, "ds": ds, "mean": float(made.mean[i, step])}
            for level, bounds in made.intervals.items():
                row[f"lo-{level}"] = float(bounds.lo[i, step])
                row[f"hi-{level}"] = float(bounds.hi[i, step])
            rows.append(row)
    return rows


def _percent(skill: float | None) -> str:
    return "unknown" if skill is None else f"{100 * skill:.1f} %"
