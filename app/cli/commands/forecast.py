"""``forecastle forecast`` and ``forecastle backtest``: use a registered version on a table, without a server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn

from app.cli.commands.console import exit_with_error, format_skill, print_message, print_table, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.cli.commands.tables import load_panel
from app.cli.grammar import TableSource, VersionChoice
from app.forecasting.forecast import StreamFormat
from app.formats import table_columns, warning_of
from app.planning.backtest import check_version, plan_origins
from app.schemas.streams import ForecastQuery
from app.service import create_service
from app.settings import Settings
from app.store import registry
from app.store.tables import Version
from models.data.frequency_choice import PreferredFreq
from models.data.panel import Panel
from models.evaluation.backtest import evaluate
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import predict_corrected
from models.json_types import JsonObject
from models.network.spec import Spec


class ForecastParts(NamedTuple):
    """Options of a forecast: steps, intervals in percent, quantiles, and whether no value can be below 0."""

    horizon: int | None
    levels: list[int]
    quantiles: list[float]
    non_negative: bool | None

    def check(self) -> None:
        """Exit with an error if a number cannot be used."""
        if bad := [level for level in self.levels if not 1 <= level <= 99]:
            exit_with_error(f"--level {bad[0]} is not an interval; give 1 to 99 percent")
        if self.horizon is not None and self.horizon < 1:
            exit_with_error(f"--horizon {self.horizon} is too small; give at least 1")


def forecast(source: TableSource, choice: VersionChoice, parts: ForecastParts, output: str) -> None:
    """Print the forecast of every series of the table."""
    parts.check()
    with report_errors():
        settings, tenant_id, panel, version = _open(source, choice)
        service = create_service(settings)
        request = ForecastQuery.model_construct(
            model=choice.model,
            version=version.number,
            horizon=parts.horizon,
            levels=parts.levels,
            quantiles=parts.quantiles,
            non_negative=parts.non_negative,
        )
        table = ForecastTable()
        pieces = service.forecasting.stream(tenant_id, request, panel, StreamFormat(lambda: table, _raise))
        asyncio.run(_exhaust(pieces))
        service.close()
    for warning in table.warnings:
        series = f" ({warning['unique_id']})" if warning["unique_id"] else ""
        print_message(f"note: {warning['message']}{series}")
    skill = format_skill(version.skill)
    print_message(f"{choice.model} version {version.number}, skill against seasonal naive {skill}")
    print_table(list(table.rows[0]), table.rows, output)


class ForecastTable:
    """Stream that collects a row for each series and step, and the warnings of the forecasts."""

    def __init__(self) -> None:
        self.rows: list[JsonObject] = []
        self.warnings: list[JsonObject] = []

    def begin(self, facts: Mapping[str, Any], forecast: Forecast) -> bytes:
        """Collect the warnings about the version and the request."""
        self.warnings += facts["warnings"]
        return b""

    def part(self, forecast: Forecast) -> bytes:
        """Collect the forecasts of some series and the warnings about them."""
        self.warnings += [warning_of(note) for note in forecast.notes if note.unique_id is not None]
        columns = {name: values.tolist() for name, values in table_columns(forecast).items()}
        columns["ds"] = [text for i in range(len(forecast.ids)) for text in forecast.stamps(i)]
        self.rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return b""

    def end(self, last: Mapping[str, Any]) -> bytes:
        """Ignore the outcome: a failure is raised."""
        return b""


async def _exhaust(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


def _raise(error: Exception) -> NoReturn:
    raise error


def backtest(source: TableSource, choice: VersionChoice, horizon: int | None, output: str) -> None:
    """Print the scores of a version and of the baselines on the last part of the table."""
    with report_errors():
        settings, tenant_id, panel, version = _open(source, choice)
        loaded = create_service(settings).models.get(tenant_id, version.id)
        spec = loaded.forecaster.spec
        check_version(loaded.forecaster.members, panel, f"{choice.model}@{version.number}")
        origins = plan_origins(panel, horizon or spec.horizon, spec.season)
        predict_served = partial(predict_corrected, loaded.networks, loaded.forecaster.calibration)
        report = evaluate(predict_served, origins).report
    print_message(f"{choice.model} version {version.number}: {report.windows} windows from {report.origins} origins")
    rows = [{"forecaster": name, **scores} for name, scores in report.scores.items()]
    print_table(list(rows[0]), rows, output)


def _open(source: TableSource, choice: VersionChoice) -> tuple[Settings, int, Panel, Version]:
    """Return the settings, the caller's tenant id, the table, and the version."""
    settings = read_settings()
    database = open_database(settings)
    tenant_id = local_principal(database).tenant_id
    with database.read() as session:
        version = registry.resolve(session, tenant_id, choice.model, choice.number, None)
    freq = source.freq or PreferredFreq(Spec.from_json(version.spec).freq)
    panel = load_panel(database, tenant_id, source.data, freq, settings.max_rows)
    return settings, tenant_id, panel, version
