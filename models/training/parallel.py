"""Independent tasks, run one after another or in parallel by the caller's choice."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Tasks = Sequence[Callable[[], Any]]
# Runs each task and returns the results in order. Tasks may go to other processes, so they may only hold values and
# functions defined at module level, which can be pickled.
ParallelMap = Callable[[Tasks], Iterable[Any]]


def run_sequentially(tasks: Tasks) -> Iterable[Any]:
    """Run each task in this thread, lazily: when its result is read."""
    return (task() for task in tasks)
