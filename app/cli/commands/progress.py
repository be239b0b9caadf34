"""Progress of a job on the terminal."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.commands.console import print_message
from app.schemas.jobs import JobAnswer

POLL_S = 0.2


def watch_job(read: Callable[[], JobAnswer], activity: str) -> JobAnswer:
    """Call ``read`` every 0.2 s until the job has ended, and return it.

    The progress is a bar on a terminal, and a line a change elsewhere. ``activity`` is the first word of each line.
    """
    columns = (
        TextColumn("{task.fields[activity]} {task.fields[phase]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    console = Console(stderr=True)
    printed = ""
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("job", total=1.0, activity=activity, phase="")
        while True:
            job = read()
            phase = describe_progress(job.progress)
            bar.update(task, completed=job.progress.get("share", 0.0), phase=phase)
            if phase != printed and not console.is_terminal:
                print_message(f"{activity} {phase}")
            printed = phase
            if job.state not in ("queued", "running"):
                return job
            time.sleep(POLL_S)


def describe_progress(progress: Mapping[str, Any]) -> str:
    """Return the phase of a job, in training with member, epoch, loss and skill."""
    if "epoch" not in progress or progress["phase"] == "search":
        return str(progress.get("phase", "is starting"))
    parts = [f"epoch {progress['epoch']}/{progress['epochs']}"]
    if progress.get("members", 1) > 1:
        parts.insert(0, f"member {progress['member']}/{progress['members']}")
    if progress.get("validation_loss") is not None:
        parts.append(f"validation loss {progress['validation_loss']:.3f}")
    if progress.get("validation_skill") is not None:
        parts.append(f"skill so far {progress['validation_skill']:+.3f}")
    return ", ".join(parts)
