"""Parity: two engines must give the same outputs before a version is published, or served on another device."""

from collections.abc import Iterable, Iterator

import numpy as np

from models.engines import Engine
from models.engines.batching import batch_sizes
from models.errors import EngineMismatch
from models.network.build import input_shapes
from models.network.spec import Spec
from models.types import Inputs

TOLERANCE = 1e-5
ROWS = (1, 7, 32)


def check_parity(
    spec: Spec, reference: Engine, other: Engine, *, rows: Iterable[int] = ROWS, tolerance: float = TOLERANCE
) -> float:
    """Return the largest difference between two engines on random inputs, in batches of each of ``rows``.

    The inputs are standard normal, as normalised windows roughly are; differences are in window units, relative to the
    value where it is above 1. A network that carries its state is compared at several numbers of points.

    Raises:
        EngineMismatch: the difference is above ``tolerance``, or an engine gives a number that is not finite.
    """
    worst = 0.0
    for inputs in random_inputs(spec, rows):
        found, expected = other.run(inputs), reference.run(inputs)
        for name, value in expected.items():
            with np.errstate(invalid="ignore"):  # infinities give NaN, which counts as the worst below
                difference = np.abs(found[name] - value) / np.maximum(1.0, np.abs(value))
            worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    if not worst <= tolerance:
        limit = f"on random inputs; at most {tolerance:.0e} is accepted"
        remedy = "the data are not the cause: try another spec, and report this one"
        raise EngineMismatch(f"the engines differ by {worst:.2e} {limit}; {remedy}")
    return worst


def warm_up(spec: Spec, engine: Engine, rows: Iterable[int]) -> None:
    """Run every input shape of ``check_parity``, so that the engine compiles and allocates before the first request."""
    for shapes in _run_shapes(spec, rows):  # not random: the generators take 3 MB that serving has no other use for
        engine.run({name: np.ones(shape, dtype=np.float32) for name, shape in shapes.items()})


def random_inputs(spec: Spec, rows: Iterable[int]) -> Iterator[Inputs]:
    """Yield inputs of ``spec``'s network in each of the shapes that are compared; the same at every call."""
    rng = np.random.default_rng(0)
    for shapes in _run_shapes(spec, rows):
        values = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        yield {name: (value > 0 if name == "seen" else value).astype(np.float32) for name, value in values.items()}


def _run_shapes(spec: Spec, rows: Iterable[int]) -> Iterator[dict[str, tuple[int, ...]]]:
    """Yield input shapes for each of ``rows`` and, with a carried state, each number of points that may be compiled."""
    for count in rows:
        for points in batch_sizes(spec.context) if spec.carries else (spec.context,):
            inputs = input_shapes(spec)
            yield {
                name: (count, points, *shape[1:]) if name == "past" else (count, *shape)
                for name, shape in inputs.items()
            }
