"""``forecastle backtest``: score a registered version on a table, without a server."""

from functools import partial

from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.version_table import open_version_and_table
from app.cli.grammar import TableSource, VersionChoice
from app.forecasting.forecast_store import ForecastStore
from app.planning.backtest import check_version, plan_origins
from app.serving.model_cache import ModelCache, device_for
from models.evaluation.backtest import evaluate
from models.forecasting.forecaster import predict_corrected


def backtest(source: TableSource, choice: VersionChoice, horizon: int | None, output: str) -> None:
    """Print the scores of a version and of the baselines on the last part of the table."""
    with report_errors():
        settings, database, tenant_id, panel, version = open_version_and_table(source, choice)
        device = device_for(settings.engine, settings.device, settings.threads)
        cache = ModelCache(ForecastStore(database).bundle, device, settings.cache_bytes)
        loaded = cache.get(tenant_id, version.id)
        cache.close()
        spec = loaded.forecaster.spec
        check_version(loaded.forecaster.members, panel, f"{choice.model}@{version.number}")
        origins = plan_origins(panel, horizon or spec.horizon, spec.season)
        predict_served = partial(predict_corrected, loaded.networks, loaded.forecaster.calibration)
        report = evaluate(predict_served, origins).report
    print_message(f"{choice.model} version {version.number}: {report.windows} windows from {report.origins} origins")
    rows = [{"forecaster": name, **scores} for name, scores in report.scores.items()]
    print_table(list(rows[0]), rows, output)
