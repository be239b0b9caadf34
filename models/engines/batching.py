"""Few shapes: what lets an engine that compiles, or allocates, for each shape anew run batches of any size."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.types import Inputs, Outputs

Run = Callable[[Inputs], Outputs]  # as ``models.engines.Engine.run``


def rungs(most: int) -> tuple[int, ...]:
    """1, 8, 64 … below ``most``, and ``most``: the sizes that an engine works in which compiles for each anew.

    Few, because each costs 0.3 to 3 s of compiling before the first forecast (XLA on a CPU, networks of 20 to 64
    units), while a GPU needs hardly longer for eight rows than for one. () for a ``most`` of 0.
    """
    below = [8**power for power in range(most.bit_length()) if 8**power < most]
    return (*below, most) if most > 0 else ()


def in_passes(run: Run, inputs: Inputs, most_rows: int) -> Outputs:
    """What ``run`` says of ``inputs``, given to it at most ``most_rows`` rows at a time."""
    size = rows_of(inputs)
    if size <= most_rows:
        return run(inputs)
    starts = range(0, size, most_rows)
    parts = [run({name: value[start : start + most_rows] for name, value in inputs.items()}) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def padded(run: Run, inputs: Inputs, sizes: Sequence[int]) -> Outputs:
    """What ``run`` says of ``inputs``, with rows of zeros after them up to the next of the ascending ``sizes``."""
    count = rows_of(inputs)
    size = next(size for size in sizes if size >= count)
    filled = {name: np.zeros((size, *value.shape[1:]), dtype=np.float32) for name, value in inputs.items()}
    for name, value in inputs.items():
        filled[name][:count] = value
    return {name: value[:count] for name, value in run(filled).items()}


def piecewise(run: Run, inputs: Inputs, sizes: Sequence[int]) -> Outputs:
    """What ``run`` says of a network that carries its state, given the points of ``past`` as many at a time as one of
    the ascending ``sizes``, the first of which is 1; each piece goes on from the state that the one before left."""
    outputs: Outputs = {}
    for piece in pieces(inputs["past"].shape[1], sizes):
        states = {name.replace("next", "state"): value for name, value in outputs.items() if name != "predicted"}
        outputs = run({**inputs, **states, "past": inputs["past"][:, piece]})
    return outputs


def pieces(count: int, sizes: Sequence[int]) -> Iterator[slice]:
    """``count`` steps cut into pieces of ``sizes``, the largest that fits first."""
    start = 0
    while start < count:
        size = next(size for size in reversed(sizes) if size <= count - start)
        yield slice(start, start + size)
        start += size


def rows_of(inputs: Inputs) -> int:
    """B, the size of the batch."""
    return len(next(iter(inputs.values())))
