"""Array types of the library, and the type of a JSON object; docstrings write shapes as (B, T, C)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Times = NDArray[np.datetime64]  # microseconds, without a zone
Weights = Mapping[str, Float32]  # name of a parameter -> its values
Inputs = dict[str, Float32]  # name of a network's input -> its values, the batch axis first
Outputs = dict[str, Float32]  # name of a network's output -> its values, the batch axis first
JsonObject = dict[str, Any]  # a decoded JSON object whose fields are not fixed by a type
JsonMapping = Mapping[str, Any]  # a JsonObject that is only read
