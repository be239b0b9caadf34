"""The grammar of the command line; ``app.commands`` does what it says. Data go to stdout, the rest to stderr."""

import gc
import importlib
from enum import StrEnum
from types import ModuleType
from typing import Annotated

import typer

cli = typer.Typer(
    help="Self-hosted time-series forecasting: post history, get forecasts with honest intervals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
cli.add_typer(keys, name="keys")
schedules = typer.Typer(help="Have jobs made by themselves, at due times and by triggers.", no_args_is_help=True)
cli.add_typer(schedules, name="schedules")


class Format(StrEnum):
    """How tables are printed."""

    CSV = "csv"
    JSON = "json"


class Scope(StrEnum):
    """What a key allows: reading and forecasting, or everything."""

    READ = "read"
    WRITE = "write"


class Misfire(StrEnum):
    """What becomes of due times at which no scheduler ran."""

    ONCE = "once"
    SKIP = "skip"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a due time while the last job is unfinished."""

    SKIP = "skip"
    QUEUE = "queue"


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


def _command(name: str) -> ModuleType:
    """The module of a command, imported when it is called: ``--help`` must not wait for NumPy and SQLAlchemy."""
    gc.disable()  # what imports make stays: to look for garbage among it takes a tenth of their time
    try:
        return importlib.import_module(f"app.commands.{name}")
    finally:
        gc.enable()


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    worker: Annotated[bool, typer.Option(help="Also run a worker and a scheduler, and show a first API key.")] = True,
) -> None:
    """Serve the HTTP API, with a worker and a scheduler beside it.

    Example: forecastle serve --port 8000
    """
    _command("serve").serve(host, port, worker)


@cli.command()
def worker(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run training jobs until told to stop.

    Example: forecastle worker
    """
    _command("worker").worker(with_parent)


@cli.command()
def scheduler(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Fire schedules and tell webhooks until told to stop; any number of them may run.

    Example: forecastle scheduler
    """
    _command("scheduler").scheduler(with_parent)


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema; harmless when repeated.

    Example: forecastle migrate
    """
    _command("migrate").migrate()


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
    command = _command("train")
    more = command.More(member or [], warm_start_from, auto, refit, baselines)
    command.train(command.Order(data, model, freq, fields, training or [], promote.value, more), if_missing)


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
    _command("forecast").forecast((data, freq), (model, version), horizon, level or [80], output.value)


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
    _command("forecast").backtest((data, freq), (model, version), horizon, output.value)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[Scope, typer.Option(help="What the key allows.")] = Scope.WRITE,
    tenant: Annotated[str, typer.Option(help="Whose data the key reaches; created if new.")] = "default",
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days until the key expires; never if left out.")
    ] = None,
) -> None:
    """Create a key and print it: the only time that it is shown.

    Example: forecastle keys create --name laptop
    """
    _command("keys").create(name, scope.value, tenant, days)


@keys.command("list")
def list_keys(
    output: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.CSV,
) -> None:
    """List the keys, without their secrets.

    Example: forecastle keys list
    """
    _command("keys").show(output.value)


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The 8 characters after 'fc_'.")]) -> None:
    """Make a key useless for ever, at once.

    Example: forecastle keys revoke a1b2c3d4
    """
    _command("keys").revoke(key_id)


ScheduleName = Annotated[str, typer.Argument(help="Name of the schedule.")]


@schedules.command("add")
def add_schedule(
    name: ScheduleName,
    job: Annotated[str, typer.Option(help="The body of POST /v1/jobs, as JSON.")],
    cron: Annotated[
        str | None, typer.Option(help="Minute, hour, day of month, month, day of week: '30 2 * * *'.")
    ] = None,
    zone: Annotated[str, typer.Option(help="By whose clocks: a name of the IANA database.")] = "UTC",
    misfire: Annotated[Misfire, typer.Option(help="What becomes of missed due times.")] = Misfire.ONCE,
    overlap: Annotated[Overlap, typer.Option(help="What to do while the last job is unfinished.")] = Overlap.SKIP,
    grace: Annotated[float, typer.Option(min=0, help="Seconds that a due time may be late.")] = 300.0,
    jitter: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to spread due times over.")] = 0.0,
    triggers: Annotated[
        str | None, typer.Option(help="As in POST /v1/schedules, as JSON: '{\"new_rows\": 24}'.")
    ] = None,
    gate: Annotated[str | None, typer.Option(help="The policy of promotion, as JSON.")] = None,
) -> None:
    """Have a job made at each due time, or when a trigger says so.

    Example: forecastle schedules add nightly --cron '30 2 * * *' --job '{"model": "demand", "dataset": "sales"}'
    """
    texts = {"job": job, "triggers": triggers, "gate": gate}
    plan = {"cron": cron, "zone": zone, "misfire": misfire.value, "overlap": overlap.value}
    _command("schedules").add({"name": name, **plan, "grace_s": grace, "jitter_s": jitter}, texts)


@schedules.command("list")
def list_schedules(
    output: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.CSV,
) -> None:
    """List the schedules and when they are due.

    Example: forecastle schedules list
    """
    _command("schedules").show_all(output.value)


@schedules.command("show")
def show_schedule(name: ScheduleName) -> None:
    """Show a schedule and what it last came to, as JSON.

    Example: forecastle schedules show nightly
    """
    _command("schedules").show(name)


@schedules.command("pause")
def pause_schedule(name: ScheduleName) -> None:
    """Let nothing come of a schedule until it is resumed.

    Example: forecastle schedules pause nightly
    """
    _command("schedules").pause(name)


@schedules.command("resume")
def resume_schedule(name: ScheduleName) -> None:
    """Go on with a paused schedule, from now.

    Example: forecastle schedules resume nightly
    """
    _command("schedules").resume(name)


@schedules.command("delete")
def delete_schedule(name: ScheduleName) -> None:
    """Delete a schedule; the jobs that it has made stay.

    Example: forecastle schedules delete nightly
    """
    _command("schedules").delete(name)
