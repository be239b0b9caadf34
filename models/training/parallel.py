"""Work in independent pieces, done wherever somebody likes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Tasks = Sequence[Callable[[], Any]]
# Does each piece; the results in their order. It may send them to other processes, so what they hold must be values and
# functions that have a name.
ParallelMap = Callable[[Tasks], Iterable[Any]]


def run_sequentially(pieces: Tasks) -> Iterable[Any]:
    """Each piece here, one after another, when its result is asked for."""
    return (piece() for piece in pieces)
