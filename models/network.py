"""build(spec): the Keras network of a forecaster; the only place where cells and strategies are joined.

Importing this module imports Keras and its backend: processes that only serve on a CPU never do.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.cells import CELLS
from models.spec import CHANNELS, Spec
from models.strategies import STRATEGIES

Weights = dict[str, NDArray[np.float32]]


def build(spec: Spec) -> Any:
    """An untrained ``keras.Model`` from (B, T, C) to (B, O), or to (B, T, O) where the strategy is taught every step.

    The head of a time-distributed network is a ``Dense`` on the whole sequence: the same sums as
    ``TimeDistributed(Dense)``, and right for sequences of any length.
    """
    every_step = STRATEGIES[spec.strategy].every_step
    make = getattr(keras.layers, CELLS[spec.cell].layer)
    inputs = values = keras.Input((spec.context, CHANNELS), name="past")
    for layer in range(spec.depth):
        last = layer == spec.depth - 1
        values = make(spec.units, return_sequences=every_step or not last, name=f"cell_{layer}")(values)
    return keras.Model(inputs, keras.layers.Dense(spec.outputs, name="head")(values))


def get_weights(network: Any) -> Weights:
    """The weights by name, such as ``cell_0/recurrent_kernel``, float32, copied."""
    return {name: keras.ops.convert_to_numpy(variable).copy() for name, variable in _variables(network).items()}


def set_weights(network: Any, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Put the weights that ``get_weights`` gave into a network of the same spec.

    Raises:
        KeyError: a weight is missing.
        ValueError: a weight has another shape.
    """
    for name, variable in _variables(network).items():
        variable.assign(weights[name])


def _variables(network: Any) -> dict[str, Any]:
    # The seed generators of recurrent layers are variables too, but not weights.
    return {f"{layer.name}/{v.name}": v for layer in network.layers for v in layer.trainable_variables}
