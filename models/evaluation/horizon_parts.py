"""Parts of a horizon, which are scored and adapted apart: its thirds, and the steps beyond it."""

import numpy as np

from models.types import Ints

PARTS = ("first", "middle", "last", "beyond")
BEYOND = PARTS.index("beyond")  # the parts before it are the thirds of the trained steps


def parts_of(trained: int, horizon: int) -> Ints:
    """Return the number of the part in which each step lies, (horizon,), of a model for ``trained`` steps.

    Thirds are as equal as possible, the longer ones first.
    """
    thirds = [len(steps) for steps in np.array_split(np.empty(trained), BEYOND)]
    return np.repeat(np.arange(len(PARTS)), [*thirds, max(0, horizon - trained)])[:horizon]
