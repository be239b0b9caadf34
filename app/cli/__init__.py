"""The grammar of the command line; ``app.cli.commands`` does what it says. Data go to stdout, the rest to stderr."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.grammar import Format, command
from app.cli.jobs import jobs
from app.cli.keys import keys
from app.cli.schedules import schedules

cli = typer.Typer(
    help="Self-hosted time-series forecasting: post history, get forecasts with honest intervals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.add_typer(keys, name="keys")
cli.add_typer(jobs, name="jobs")
cli.add_typer(schedules, name="schedules")


class Promote(StrEnum):
    """When the new version becomes champion."""

    IF_BETTER = "if_better"
    ALWAYS = "always"
    NEVER = "never"


Data = Annotated[
    str, typer.Argument(help="A .csv, .parquet or .json file, sample:NAME, or dataset:NAME of the database.")
]
Model = Annotated[str, typer.Option("--model", "-m", help="Name of the model.")]
Freq = Annotated[str | None, typer.Option(help="Such as h, 15min, D, MS; read off the data if left out.")]
Horizon = Annotated[int | None, typer.Option("--horizon", "-H", help="Steps to forecast.")]
Version = Annotated[int | None, typer.Option(help="Number of the version; the champion if left out.")]


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    worker: Annotated[bool, typer.Option(help="Also run a worker and a scheduler, and show a first API key.")] = True,
) -> None:
    """Serve the HTTP API, with a worker and a scheduler beside it.

    Example: forecastle serve --port 8000
    """
    command("serve").serve(host, port, worker)


@cli.command()
def worker(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run training jobs until told to stop.

    Example: forecastle worker
    """
    command("worker").worker(with_parent)


@cli.command()
def scheduler(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Fire schedules and tell webhooks until told to stop; any number of them may run.

    Example: forecastle scheduler
    """
    command("scheduler").scheduler(with_parent)


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema; harmless when repeated.

    Example: forecastle migrate
    """
    command("migrate").migrate()


@cli.command()
def train(
    data: Data,
    model: Model,
    freq: Freq = None,
    horizon: Horizon = None,
    spec: Annotated[list[str] | None, typer.Option(help="A field of the spec, such as cell=lstm. Repeatable.")] = None,
    training: Annotated[
        list[str] | None, typer.Option(help="A field of the training, such as max_epochs=20. Repeatable.")
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(help="A further member of an ensemble, by what differs: seed=1,loss=mse. Repeatable."),
    ] = None,
    warm_start_from: Annotated[
        str | None, typer.Option("--from", help="Go on from the weights of a version: NAME@NUMBER or NAME@ALIAS.")
    ] = None,
    auto: Annotated[
        float | None, typer.Option(help="Seconds to search for the fields that are not given, and to train.")
    ] = None,
    refit: Annotated[bool, typer.Option(help="Teach the newest points as well, after the backtest.")] = True,
    baselines: Annotated[bool, typer.Option(help="Compare with Theta and ETS in the backtest as well.")] = True,
    promote: Annotated[Promote, typer.Option(help="When the new version becomes champion.")] = Promote.IF_BETTER,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing where the model exists.")] = False,
) -> None:
    """Train a model on a table and register it.

    Example: forecastle train sample:electricity-hourly --model electricity --spec cell=lstm
    """
    fields = [*(spec or []), *([] if horizon is None else [f"horizon={horizon}"])]
    doing = command("train")
    more = doing.More(member or [], warm_start_from, auto, refit, baselines)
    doing.train(doing.Order(data, model, freq, fields, training or [], promote.value, more), if_missing)


@cli.command()
def forecast(
    data: Data,
    model: Model,
    freq: Freq = None,
    horizon: Horizon = None,
    level: Annotated[list[int] | None, typer.Option(help="Interval in percent. Repeatable; 80 if left out.")] = None,
    version: Version = None,
    output: Annotated[Format, typer.Option("--format", help="How to print the forecast.")] = Format.CSV,
) -> None:
    """Forecast the series of a table.

    Example: forecastle forecast sample:electricity-hourly --model electricity --horizon 24 --level 80
    """
    command("forecast").forecast((data, freq), (model, version), horizon, level or [80], output.value)


@cli.command()
def backtest(
    data: Data,
    model: Model,
    freq: Freq = None,
    horizon: Horizon = None,
    version: Version = None,
    output: Annotated[Format, typer.Option("--format", help="How to print the scores.")] = Format.CSV,
) -> None:
    """Score a version on the last part of a table, beside seasonal naive and naive.

    Example: forecastle backtest sample:electricity-hourly --model electricity
    """
    command("forecast").backtest((data, freq), (model, version), horizon, output.value)
