"""Questions to boolean arrays."""

import numpy as np

from models.data.masks import has_all, has_any


def test_a_mask_has_any_and_all_as_numpy_says():
    for mask in ([], [[False, False]], [[True, False]], [[True], [True]]):
        array = np.array(mask, dtype=np.bool_)
        assert (has_any(array), has_all(array)) == (array.any(), array.all())
