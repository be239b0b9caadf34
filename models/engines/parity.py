"""The check before a version is published: two engines must say the same of the same inputs."""

import numpy as np

from models.engines import Engine
from models.errors import EngineMismatch
from models.network import input_shapes
from models.spec import Spec

TOLERANCE = 1e-5


def check_parity(spec: Spec, reference: Engine, other: Engine, seed: int = 0) -> float:
    """The largest difference between two engines on random inputs of one and of several rows.

    The inputs are standard normal, as normalised windows roughly are; differences are measured in window units,
    relative to the value where it is above 1.

    Raises:
        EngineMismatch: the difference is above 1e-5, or one of them gives a number that is not finite.
    """
    rng = np.random.default_rng(seed)
    worst = 0.0
    for rows in (1, 7, 32):
        shapes = input_shapes(spec).items()
        inputs = {name: rng.standard_normal((rows, *shape)).astype(np.float32) for name, shape in shapes}
        inputs |= {name: (value > 0).astype(np.float32) for name, value in inputs.items() if name == "seen"}
        said, expected = other.run(inputs), reference.run(inputs)
        for name, value in expected.items():
            with np.errstate(invalid="ignore"):  # infinities give NaN, which counts as the worst below
                difference = np.abs(said[name] - value) / np.maximum(1.0, np.abs(value))
            worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    if not worst <= TOLERANCE:
        raise EngineMismatch(f"the engines differ by {worst:.2e} on random inputs; at most {TOLERANCE:.0e} is accepted")
    return worst
