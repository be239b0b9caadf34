"""``forecastle schedules``."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

schedules = typer.Typer(help="Have jobs made by themselves, at due times and by triggers.", no_args_is_help=True)

ScheduleName = Annotated[str, typer.Argument(help="Name of the schedule.")]


class Misfire(StrEnum):
    """What becomes of due times at which no scheduler ran."""

    ONCE = "once"
    SKIP = "skip"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a due time while the last job is unfinished."""

    SKIP = "skip"
    QUEUE = "queue"


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
    command("schedules").add({"name": name, **plan, "grace_s": grace, "jitter_s": jitter}, texts)


@schedules.command("list")
def list_schedules(
    output: Output = Format.CSV,
) -> None:
    """List the schedules and when they are due.

    Example: forecastle schedules list
    """
    command("schedules").show_all(output.value)


@schedules.command("show")
def show_schedule(name: ScheduleName) -> None:
    """Show a schedule and what it last came to, as JSON.

    Example: forecastle schedules show nightly
    """
    command("schedules").show(name)


@schedules.command("pause")
def pause_schedule(name: ScheduleName) -> None:
    """Let nothing come of a schedule until it is resumed.

    Example: forecastle schedules pause nightly
    """
    command("schedules").pause(name)


@schedules.command("resume")
def resume_schedule(name: ScheduleName) -> None:
    """Go on with a paused schedule, from now.

    Example: forecastle schedules resume nightly
    """
    command("schedules").resume(name)


@schedules.command("delete")
def delete_schedule(name: ScheduleName) -> None:
    """Delete a schedule; the jobs that it has made stay.

    Example: forecastle schedules delete nightly
    """
    command("schedules").delete(name)
