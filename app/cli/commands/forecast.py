"""``forecastle forecast``: forecast the series of a table with a registered version, without a server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, NoReturn

from pydantic import ValidationError

from app.cli.commands.console import exit_with_error, format_skill, print_message, print_table, report_errors
from app.cli.commands.version_table import open_version_and_table
from app.cli.grammar import TableSource, VersionChoice
from app.forecasting.client import Client
from app.forecasting.forecast import StreamFormat
from app.formats import table_columns, warning_of
from app.schemas.streams import ForecastQuery
from app.service import create_service
from models.forecasting.forecast import Forecast
from models.json_types import JsonObject

OPTIONS = {"levels": "level", "quantiles": "quantile"}  # whose names are not those of the fields


class ForecastParts(NamedTuple):
    """Options of a forecast: steps, intervals in percent, quantiles, and the bounds of its values.

    ``non_negative``: whether no value can be below 0. ``bounds``: lowest and highest value, with a comma between.
    """

    horizon: int | None
    levels: list[int]
    quantiles: list[float]
    non_negative: bool | None
    bounds: str | None


def forecast(source: TableSource, choice: VersionChoice, parts: ForecastParts, output: str) -> None:
    """Print the forecast of every series of the table."""
    request = _request(choice, parts)
    with report_errors():
        opened = open_version_and_table(source, choice)
        service = create_service(opened.settings)
        pinned = request.model_copy(update={"version": opened.version.number})
        table = ForecastTable()
        form = StreamFormat(lambda: table, _raise)
        asyncio.run(_exhaust(service.forecasting.stream(Client(opened.tenant_id), pinned, opened.panel, form)))
        service.close()
    for warning in table.warnings:
        series = f" ({warning['unique_id']})" if warning["unique_id"] else ""
        print_message(f"note: {warning['message']}{series}")
    skill = format_skill(opened.version.skill)
    print_message(f"{choice.model} version {opened.version.number}, skill against seasonal naive {skill}")
    print_table(list(table.rows[0]), table.rows, output)


def _request(choice: VersionChoice, parts: ForecastParts) -> ForecastQuery:
    """Return the equivalent request of the API; exit with an error that names the first wrong option."""
    try:
        return ForecastQuery.model_validate({"model": choice.model, "version": choice.number, **parts._asdict()})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            exit_with_error(message)
        name = str(first["loc"][0])
        exit_with_error(f"--{OPTIONS.get(name, name)}: {message}")


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
