"""Questions to boolean arrays.

NumPy's ``any`` and ``all`` take a microsecond whatever the size of the array, and a forecast of one series asks twenty.
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
