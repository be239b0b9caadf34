"""A job on its way, for the person at the terminal."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.commands.common import tell
from app.schemas import JobAnswer

POLL_S = 0.2


def watch(look: Callable[[], JobAnswer], doing: str) -> JobAnswer:
    """A progress bar on a terminal, a line for each epoch elsewhere, until the job has ended."""
    columns = (
        TextColumn("{task.fields[doing]} {task.fields[what]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    console = Console(stderr=True)
    said = ""
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("job", total=1.0, doing=doing, what="")
        while True:
            job = look()
            what = _describe(job.progress)
            bar.update(task, completed=job.progress.get("share", 0.0), what=what)
            if what != said and not console.is_terminal:
                tell(f"{doing} {what}")
            said = what
            if job.state not in ("queued", "running"):
                return job
            time.sleep(POLL_S)


def _describe(progress: dict[str, Any]) -> str:
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
