"""The check before a version is published: two engines must say the same of the same windows."""

import numpy as np

from models.engines import Engine
from models.errors import EngineMismatch
from models.spec import CHANNELS, Spec

TOLERANCE = 1e-5


def check_parity(spec: Spec, reference: Engine, other: Engine, seed: int = 0) -> float:
    """The largest difference between two engines on random windows of one and of several rows.

    The windows are standard normal, as normalised windows roughly are; differences are measured in window units,
    relative to the value where it is above 1.

    Raises:
        EngineMismatch: the difference is above 1e-5, or one of them gives a number that is not finite.
    """
    rng = np.random.default_rng(seed)
    worst = 0.0
    for rows in (1, 7, 32):
        windows = rng.standard_normal((rows, spec.context, CHANNELS)).astype(np.float32)
        said, expected = other.run(windows), reference.run(windows)
        with np.errstate(invalid="ignore"):  # infinities give NaN, which counts as the worst below
            difference = np.abs(said - expected) / np.maximum(1.0, np.abs(expected))
        worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max()))
    if not worst <= TOLERANCE:
        raise EngineMismatch(
            f"the engines differ by {worst:.2e} on random windows; at most {TOLERANCE:.0e} is accepted"
        )
    return worst
