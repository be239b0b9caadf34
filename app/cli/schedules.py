"""Options of ``forecastle schedules``."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

schedules = typer.Typer(help="Queue jobs at due times and on triggers.", no_args_is_help=True)

ScheduleName = Annotated[str, typer.Argument(help="Name of the schedule.")]


class Misfire(StrEnum):
    """Handling of due times at which no scheduler ran."""

    ONCE = "once"
    SKIP = "skip"
    ALL = "all"


class Overlap(StrEnum):
    """Handling of a due time while the last job is unfinished."""

    SKIP = "skip"
    QUEUE = "queue"


@schedules.command("add")
def add_schedule(
    name: ScheduleName,
    job: Annotated[str, typer.Option(help="The body of POST /v1/jobs, as JSON.")],
    cron: Annotated[
        str | None, typer.Option(help="Minute, hour, day of month, month, day of week: '30 2 * * *'.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the cron expression: a name of the IANA database.")] = "UTC",
    misfire: Annotated[
        Misfire, typer.Option(help="Missed due times: one job for all, none, or one for each.")
    ] = Misfire.ONCE,
    overlap: Annotated[
        Overlap, typer.Option(help="A due time while the last job is unfinished: skip it, or queue its job.")
    ] = Overlap.SKIP,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds by which a due time may be late, for misfire skip.")
    ] = 300.0,
    jitter: Annotated[
        float, typer.Option(min=0, max=3600, help="Largest delay of a due time in seconds; spreads the load.")
    ] = 0.0,
    triggers: Annotated[
        str | None, typer.Option(help="As in POST /v1/schedules, as JSON: '{\"new_rows\": 24}'.")
    ] = None,
    gate: Annotated[str | None, typer.Option(help="Rule of promotion, as JSON.")] = None,
) -> None:
    """Queue a job at each due time, or when a trigger fires.

    Example: forecastle schedules add nightly --cron '30 2 * * *' --job '{"model": "demand", "dataset": "sales"}'
    """
    texts = {"job": job, "triggers": triggers, "gate": gate}
    fields = {"name": name, "cron": cron, "zone": zone, "misfire": misfire.value, "overlap": overlap.value}
    command("schedule_add").add({**fields, "grace_s": grace, "jitter_s": jitter}, texts)


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
    """Show a schedule and its newest firings, as JSON.

    Example: forecastle schedules show nightly
    """
    command("schedules").show(name)


@schedules.command("pause")
def pause_schedule(name: ScheduleName) -> None:
    """Pause a schedule until it is resumed.

    Example: forecastle schedules pause nightly
    """
    command("schedules").pause(name)


@schedules.command("resume")
def resume_schedule(name: ScheduleName) -> None:
    """Resume a paused schedule, from now on.

    Example: forecastle schedules resume nightly
    """
    command("schedules").resume(name)


@schedules.command("delete")
def delete_schedule(name: ScheduleName) -> None:
    """Delete a schedule; the jobs that it has queued stay.

    Example: forecastle schedules delete nightly
    """
    command("schedules").delete(name)
