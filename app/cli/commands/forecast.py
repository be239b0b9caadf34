"""``forecastle forecast`` and ``forecastle backtest``: use a registered version on a table, without a server."""

from functools import partial

from app.cli.commands.console import exit_with_error, format_skill, print_message, print_table, report_errors
from app.cli.commands.environment import load_panel, local_principal, open_database, read_settings
from app.cli.grammar import TableSource, VersionChoice
from app.formats import table_columns
from app.main import create_service
from app.planning.backtest import check_version, plan_origins
from app.serving.model_cache import LoadedModel
from app.store import registry
from app.store.tables import Version
from models.data.panel import Panel
from models.evaluation.backtest import evaluate
from models.forecasting.forecaster import forecast as forecast_panel
from models.forecasting.forecaster import predict


def forecast(source: TableSource, choice: VersionChoice, horizon: int | None, levels: list[int], output: str) -> None:
    """Print the forecast of every series of the table."""
    if bad := [level for level in levels if not 1 <= level <= 99]:
        exit_with_error(f"--level {bad[0]} is not an interval; give 1 to 99 percent")
    if horizon is not None and horizon < 1:
        exit_with_error(f"--horizon {horizon} is too small; give at least 1")
    with report_errors():
        panel, version, loaded = _open(source, choice)
        steps, calibration = horizon or loaded.forecaster.spec.horizon, loaded.forecaster.calibration
        result = forecast_panel(loaded.networks, calibration, panel, steps, levels)
    for note in result.notes:
        print_message(f"note: {note.message}" + (f" ({note.unique_id})" if note.unique_id else ""))
    skill = format_skill(version.skill)
    print_message(f"{choice.model} version {version.number}, skill against seasonal naive {skill}")
    columns = {name: values.tolist() for name, values in table_columns(result).items()}
    columns["ds"] = [text for i in range(len(result.ids)) for text in result.stamps(i)]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    print_table(list(columns), rows, output)


def backtest(source: TableSource, choice: VersionChoice, horizon: int | None, output: str) -> None:
    """Print the scores of a version and of the baselines on the last part of the table."""
    with report_errors():
        panel, version, loaded = _open(source, choice)
        spec = loaded.forecaster.spec
        check_version(loaded.forecaster.members, panel, f"{choice.model}@{version.number}")
        origins = plan_origins(panel, horizon or spec.horizon, spec.season)
        report = evaluate(partial(predict, loaded.networks), origins).report
    print_message(f"{choice.model} version {version.number}: {report.windows} windows from {report.origins} origins")
    rows = [{"forecaster": name, **scores} for name, scores in report.scores.items()]
    print_table(list(rows[0]), rows, output)


def _open(source: TableSource, choice: VersionChoice) -> tuple[Panel, Version, LoadedModel]:
    """Return the table, and the version with its networks."""
    settings = read_settings()
    database = open_database(settings)
    tenant_id = local_principal(database).tenant_id
    panel = load_panel(database, tenant_id, source.data, source.freq, settings.max_rows)
    with database.read() as session:
        version = registry.resolve(session, tenant_id, choice.model, choice.number, None)
    return panel, version, create_service(settings).models.get(tenant_id, version.id)
