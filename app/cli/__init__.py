"""The command line: names and options of its commands, whose functions are in ``app.cli.commands``.

Data are printed on stdout, messages and errors on stderr.
"""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.audit_log import audit_log
from app.cli.grammar import Format, TableSource, VersionChoice, command
from app.cli.jobs import jobs
from app.cli.keys import keys
from app.cli.maintenance import maintenance
from app.cli.models import models
from app.cli.quotas import quotas
from app.cli.schedules import schedules
from app.cli.tenants import tenants

cli = typer.Typer(
    help="Self-hosted time-series forecasting: post history, get forecasts with honest intervals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.add_typer(maintenance)
cli.add_typer(keys, name="keys")
cli.add_typer(audit_log, name="audit-log")
cli.add_typer(jobs, name="jobs")
cli.add_typer(models, name="models")
cli.add_typer(quotas, name="quotas")
cli.add_typer(schedules, name="schedules")
cli.add_typer(tenants, name="tenants")


class Promote(StrEnum):
    """Condition on which the new version becomes champion."""

    IF_BETTER = "if_better"
    ALWAYS = "always"
    NEVER = "never"


Data = Annotated[
    str,
    typer.Argument(
        help="A .csv, .xlsx, .parquet, .json or .arrow file with columns of any names, sample:NAME, or dataset:NAME."
    ),
]
Model = Annotated[str, typer.Option("--model", "-m", help="Name of the model.")]
Freq = Annotated[str | None, typer.Option(help="Such as h, 15min, D, MS; read from the data if left out.")]
Table = Annotated[
    list[str] | None,
    typer.Option(help="How to read a file: time=COLUMN, target=COLUMN, id=COLUMN, on_duplicate=mean, ... Repeatable."),
]
Horizon = Annotated[int | None, typer.Option("--horizon", "-H", help="Steps to forecast.")]
Version = Annotated[int | None, typer.Option(help="Number of the version; the champion if left out.")]


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    worker: Annotated[bool, typer.Option(help="Also run a worker and a scheduler, and print a first API key.")] = True,
    check_port: Annotated[bool, typer.Option("--check-port", help="Only check that the port is free.")] = False,
) -> None:
    """Serve the HTTP API, with a worker and a scheduler.

    Example: forecastle serve --port 8000
    """
    if check_port:
        command("port").check(host, port)
    else:
        command("serve").serve(host, port, worker)


@cli.command()
def worker(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run queued jobs until stopped by SIGTERM or Ctrl-C.

    Example: forecastle worker
    """
    command("worker").worker(with_parent)


@cli.command()
def scheduler(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Queue the jobs of schedules and send webhooks until stopped; several schedulers may run at once.

    Example: forecastle scheduler
    """
    command("scheduler").scheduler(with_parent)


@cli.command()
def usage(
    tenant: Annotated[str, typer.Option(help="Name of the tenant.")] = "default",
    days: Annotated[int, typer.Option(min=1, max=400, help="Days, the last of them today.")] = 30,
    output: Annotated[Format, typer.Option("--format", help="Output format of the list.")] = Format.CSV,
) -> None:
    """Show the use of the service by a tenant: requests, forecasts, seconds of jobs and stored bytes of each day.

    Example: forecastle usage --tenant acme --days 7
    """
    command("usage").show(tenant, days, output.value)


@cli.command()
def migrate() -> None:
    """Bring the database to the schema of this version; without effect if it has that schema.

    Example: forecastle migrate
    """
    command("migrate").migrate()


@cli.command()
def train(
    data: Data,
    model: Model,
    freq: Freq = None,
    table: Table = None,
    horizon: Horizon = None,
    spec: Annotated[list[str] | None, typer.Option(help="A field of the spec, such as cell=lstm. Repeatable.")] = None,
    training: Annotated[
        list[str] | None, typer.Option(help="A field of the training, such as max_epochs=20. Repeatable.")
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(help="A further member of an ensemble, by the fields that differ: seed=1,loss=mse. Repeatable."),
    ] = None,
    warm_start_from: Annotated[
        str | None, typer.Option("--from", help="Start from the weights of a version: NAME@NUMBER or NAME@ALIAS.")
    ] = None,
    auto: Annotated[
        float | None, typer.Option(help="Seconds to search for the best fields not given, and to train.")
    ] = None,
    refit: Annotated[bool, typer.Option(help="Train on the newest points as well, after the backtest.")] = True,
    baselines: Annotated[bool, typer.Option(help="Compare with Theta and ETS in the backtest as well.")] = True,
    promote: Annotated[
        Promote, typer.Option(help="Condition on which the new version becomes champion.")
    ] = Promote.IF_BETTER,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing if the model has a champion.")] = False,
) -> None:
    """Train a model on a table and register it.

    Example: forecastle train sample:electricity-hourly --model electricity --spec cell=lstm
    """
    if if_missing and command("champion").exists(model):
        return
    fields = [*(spec or []), *([] if horizon is None else [f"horizon={horizon}"])]
    module = command("train")
    options = module.TrainOptions(
        source=TableSource(data, freq, table or []),
        model=model,
        spec=fields,
        training=training or [],
        promote=promote.value,
        members=member or [],
        warm_start_from=warm_start_from,
        auto_s=auto,
        refit=refit,
        baselines=baselines,
    )
    module.train(options)


@cli.command()
def forecast(
    data: Data,
    model: Model,
    freq: Freq = None,
    table: Table = None,
    horizon: Horizon = None,
    level: Annotated[list[int] | None, typer.Option(help="Interval in percent. Repeatable; 80 if left out.")] = None,
    quantile: Annotated[
        list[float] | None, typer.Option(help="Quantile, such as 0.9, in steps of 0.005. Repeatable.")
    ] = None,
    non_negative: Annotated[
        bool | None, typer.Option(help="Whether no value can be below 0; as the model was trained if left out.")
    ] = None,
    bounds: Annotated[
        str | None, typer.Option(help="LOWEST,HIGHEST possible value, in place of the model's; '0,' has no highest.")
    ] = None,
    version: Version = None,
    output: Annotated[Format, typer.Option("--format", help="Output format of the forecast.")] = Format.CSV,
) -> None:
    """Forecast the series of a table.

    Example: forecastle forecast sample:electricity-hourly --model electricity --horizon 24 --level 80
    """
    module = command("forecast")
    parts = module.ForecastParts(horizon, level or [80], quantile or [], non_negative, bounds)
    module.forecast(TableSource(data, freq, table or []), VersionChoice(model, version), parts, output.value)


@cli.command()
def backtest(
    data: Data,
    model: Model,
    freq: Freq = None,
    table: Table = None,
    horizon: Horizon = None,
    version: Version = None,
    output: Annotated[Format, typer.Option("--format", help="Output format of the scores.")] = Format.CSV,
) -> None:
    """Score a version on the last part of a table, beside seasonal naive and naive.

    Example: forecastle backtest sample:electricity-hourly --model electricity
    """
    command("backtest").backtest(
        TableSource(data, freq, table or []), VersionChoice(model, version), horizon, output.value
    )
