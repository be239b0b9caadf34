"""Options of ``forecastle jobs``."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

jobs = typer.Typer(help="List, show, cancel, delete and watch jobs.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(help="Id of the job.")]


class State(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@jobs.command("list")
def list_jobs(
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only those of this kind.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only those of this model.")] = None,
    parent: Annotated[str | None, typer.Option(help="Only the children of this job.")] = None,
    output: Output = Format.CSV,
) -> None:
    """List the newest jobs.

    Example: forecastle jobs list --state failed
    """
    module = command("jobs")
    only = module.JobFilter(state=state and state.value, kind=kind, model=model, parent_id=parent)
    module.show_all(only, output.value)


@jobs.command("show")
def show_job(job_id: JobId) -> None:
    """Show a job with its attempts and its files, as JSON.

    Example: forecastle jobs show 4fd1c2d09a3e4b6f8c571e2f3a4b5c6d
    """
    command("job_details").show(job_id)


@jobs.command("cancel")
def cancel_job(job_id: JobId) -> None:
    """Cancel a job, and its children.

    Example: forecastle jobs cancel 4fd1c2d09a3e4b6f8c571e2f3a4b5c6d
    """
    command("jobs").cancel(job_id)


@jobs.command("delete")
def delete_job(job_id: JobId) -> None:
    """Delete a job that has ended, with its children and their files.

    Example: forecastle jobs delete 4fd1c2d09a3e4b6f8c571e2f3a4b5c6d
    """
    command("deletion").delete_job(job_id)


@jobs.command("watch")
def watch_job(job_id: JobId) -> None:
    """Show the progress of a job until it has ended; exit with an error if it failed.

    Example: forecastle jobs watch 4fd1c2d09a3e4b6f8c571e2f3a4b5c6d
    """
    command("job_watch").watch(job_id)
