"""Progress of a job on the terminal."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.commands.console import print_message
from app.store.jobs import JobProgress
from app.store.tables import Job

POLL_S = 0.2


def watch_job(read: Callable[[], Job], activity: str) -> Job:
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
            progress = JobProgress.from_json(job.progress)
            phase = describe_progress(progress)
            bar.update(task, completed=progress.share, phase=phase)
            if phase != printed and not console.is_terminal:
                print_message(f"{activity} {phase}")
            printed = phase
            if job.state not in ("queued", "running"):
                return job
            time.sleep(POLL_S)


def describe_progress(progress: JobProgress) -> str:
    """Return the phase of a job, in training with member, epoch, loss and skill."""
    if progress.epoch is None or progress.phase == "search":
        return progress.phase or "is starting"
    parts = [f"epoch {progress.epoch}/{progress.epochs}"]
    if (progress.members or 1) > 1:
        parts.insert(0, f"member {progress.member}/{progress.members}")
    if progress.validation_loss is not None:
        parts.append(f"validation loss {progress.validation_loss:.3f}")
    if progress.validation_skill is not None:
        parts.append(f"skill so far {progress.validation_skill:+z.3f}")
    return ", ".join(parts)
