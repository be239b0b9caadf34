"""Batches of any size in a few fixed shapes, by padding and cutting, for engines that compile for each shape."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.types import Inputs, Outputs

Run = Callable[[Inputs], Outputs]  # as ``models.engines.Engine.run``


def batch_sizes(max_rows: int) -> tuple[int, ...]:
    """Return 1, 8, 64 … below ``max_rows``, and ``max_rows``: the only sizes of an engine that compiles for each.

    They are few because each costs 0.3 to 3 s of compiling before the first forecast (XLA on a CPU, networks of 20 to
    64 units), while a GPU needs hardly longer for eight rows than for one. For a ``max_rows`` of 0 there are none.
    """
    below = [8**power for power in range(max_rows.bit_length()) if 8**power < max_rows]
    return (*below, max_rows) if max_rows > 0 else ()


def run_in_passes(run: Run, inputs: Inputs, max_rows: int) -> Outputs:
    """Return the outputs of ``run`` for ``inputs``, at most ``max_rows`` rows in each call."""
    size = count_rows(inputs)
    if size <= max_rows:
        return run(inputs)
    starts = range(0, size, max_rows)
    parts = [run({name: value[start : start + max_rows] for name, value in inputs.items()}) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def run_padded(run: Run, inputs: Inputs, sizes: Sequence[int]) -> Outputs:
    """Return the outputs of ``run`` for ``inputs``, padded with zero rows to the next of the ascending ``sizes``."""
    count = count_rows(inputs)
    size = next(size for size in sizes if size >= count)
    filled = {name: np.zeros((size, *value.shape[1:]), dtype=np.float32) for name, value in inputs.items()}
    for name, value in inputs.items():
        filled[name][:count] = value
    return {name: value[:count] for name, value in run(filled).items()}


def run_in_pieces(run: Run, inputs: Inputs, sizes: Sequence[int]) -> Outputs:
    """Return the outputs of a network that carries its state, reading the points of ``past`` piece by piece.

    Each piece has one of the ascending ``sizes`` of points, the first of which is 1, and continues from the state that
    the one before left.
    """
    outputs: Outputs = {}
    for piece in pieces(inputs["past"].shape[1], sizes):
        states = {name.replace("next", "state"): value for name, value in outputs.items() if name != "predicted"}
        outputs = run({**inputs, **states, "past": inputs["past"][:, piece]})
    return outputs


def pieces(count: int, sizes: Sequence[int]) -> Iterator[slice]:
    """Cut ``count`` steps into pieces of ``sizes``, the largest that fits first."""
    start = 0
    while start < count:
        size = next(size for size in reversed(sizes) if size <= count - start)
        yield slice(start, start + size)
        start += size


def count_rows(inputs: Inputs) -> int:
    """Return B, the size of the batch."""
    return len(next(iter(inputs.values())))
