"""Tests of boolean arrays that are fast for small ones.

The methods ``any`` and ``all`` of NumPy take a microsecond for any size; a forecast of one series needs twenty of them.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def has_any(mask: Mask) -> bool:
    """Return whether an element of ``mask`` is true."""
    return bool(np.count_nonzero(mask))


def has_all(mask: Mask) -> bool:
    """Return whether every element of ``mask`` is true."""
    return int(np.count_nonzero(mask)) == mask.size
