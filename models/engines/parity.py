"""The check before a version is published or served on another device: two engines must say the same."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.random import Generator

from models.engines import Arrays, Engine
from models.engines.shapes import rungs
from models.errors import EngineMismatch
from models.network import input_shapes
from models.spec import Spec

TOLERANCE = 1e-5
ROWS = (1, 7, 32)


def check_parity(
    spec: Spec, reference: Engine, other: Engine, *, rows: Iterable[int] = ROWS, tolerance: float = TOLERANCE
) -> float:
    """The largest difference between two engines on random inputs, in batches of each of ``rows``.

    The inputs are standard normal, as normalised windows roughly are; differences are measured in window units,
    relative to the value where it is above 1. A network that carries its state is tried with several numbers of points.

    Raises:
        EngineMismatch: the difference is above ``tolerance``, or one of them gives a number that is not finite.
    """
    worst = 0.0
    for inputs in random_inputs(spec, rows):
        said, expected = other.run(inputs), reference.run(inputs)
        for name, value in expected.items():
            with np.errstate(invalid="ignore"):  # infinities give NaN, which counts as the worst below
                difference = np.abs(said[name] - value) / np.maximum(1.0, np.abs(value))
            worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    if not worst <= tolerance:
        raise EngineMismatch(f"the engines differ by {worst:.2e} on random inputs; at most {tolerance:.0e} is accepted")
    return worst


def warm_up(spec: Spec, engine: Engine, rows: Iterable[int]) -> None:
    """Run every shape that ``check_parity`` does: what an engine compiles or allocates at first is then done."""
    for inputs in random_inputs(spec, rows):
        engine.run(inputs)


def random_inputs(spec: Spec, rows: Iterable[int]) -> Iterator[Arrays]:
    """Inputs of ``spec``'s network, the same at every call: for each of ``rows``, and for each number of points that
    a network which carries its state may be compiled for."""
    rng = np.random.default_rng(0)
    for count in rows:
        for points in rungs(spec.context) if spec.carries else (spec.context,):
            yield _random(spec, rng, count, points)


def _random(spec: Spec, rng: Generator, rows: int, points: int) -> Arrays:
    inputs = {}
    for name, shape in input_shapes(spec).items():
        size = (rows, points, *shape[1:]) if name == "past" else (rows, *shape)
        values = rng.standard_normal(size)
        inputs[name] = (values > 0 if name == "seen" else values).astype(np.float32)
    return inputs
