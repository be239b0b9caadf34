"""Array types of the library, and the types of ``models.json_types``; docstrings write shapes as (B, T, C)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.json_types import JsonMapping, JsonObject

__all__ = ["Float32", "Floats", "Inputs", "Ints", "JsonMapping", "JsonObject", "Outputs", "Times", "Weights"]

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Times = NDArray[np.datetime64]  # microseconds, without a zone
Weights = Mapping[str, Float32]  # name of a parameter -> its values
Inputs = dict[str, Float32]  # name of a network's input -> its values, the batch axis first
Outputs = dict[str, Float32]  # name of a network's output -> its values, the batch axis first
