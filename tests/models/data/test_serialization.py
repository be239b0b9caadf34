"""The container of bundles and of data set chunks: a JSON header and raw arrays."""

import numpy as np
import pytest

from models.data.serialization import pack, unpack
from models.errors import BundleError


def test_arrays_of_every_supported_type_are_restored():
    arrays = {
        "f4": np.float32([[1, 2], [3, 4]]),
        "f8": np.float64([]),
        "i8": np.int64([[-(2**63), 2**63 - 1]]),
        "big endian": np.array([1.5], dtype=">f8"),
        "transposed": np.arange(6.0).reshape(2, 3).T,
    }
    header, back = unpack(pack({"a": [1, "ü"]}, arrays))
    assert header == {"a": [1, "ü"]}
    assert {name: a.tolist() for name, a in back.items()} == {name: a.tolist() for name, a in arrays.items()}


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([object()]), np.array([1j]), np.array([True])])
def test_arrays_of_other_types_are_refused(array):
    with pytest.raises(BundleError, match="can be stored"):
        pack({}, {"a": array})
