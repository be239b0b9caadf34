"""CELLS: name -> cell. A new cell is one entry at the end of this file.

A cell is known to two engines: to Keras as a layer class, to ONNX as a fused operator. The entry holds the layer's name
and the translation of its weights, so that this file needs neither package. The gate orders and bias rules are those of
the ONNX operator definitions (LSTM: i, o, f, c; GRU: z, r, h) against Keras' (LSTM: i, f, c, o; GRU: z, r, h).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One step of recurrence; G gates, U units, D inputs."""

    layer: str  # class in keras.layers, made with (units, return_sequences, name) and otherwise its defaults
    operator: str  # ONNX operator
    gate_order: tuple[int, ...]  # where the operator's g-th gate is in the layer's weights
    two_biases: bool  # the layer's bias is (2, G*U), input and recurrent; otherwise (G*U,), input only
    attributes: Mapping[str, int] = field(default_factory=dict)  # of the operator

    def onnx_weights(self, layer: Mapping[str, Float32]) -> tuple[Float32, Float32, Float32]:
        """Keras' ``kernel`` (D, G*U), ``recurrent_kernel`` (U, G*U) and ``bias`` as ONNX's W, R and B.

        Returns:
            W (1, G*U, D), R (1, G*U, U), B (1, 2*G*U).
        """
        bias = layer["bias"] if self.two_biases else np.stack([layer["bias"], np.zeros_like(layer["bias"])])
        both = [self._reorder(row[None]).ravel() for row in bias]
        kernels = [self._reorder(layer[name]).T[None] for name in ("kernel", "recurrent_kernel")]
        return kernels[0], kernels[1], np.concatenate(both)[None]

    def shapes(self, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the layer's weights by name, for D ``inputs`` and U ``units``."""
        gates = len(self.gate_order) * units
        bias = (2, gates) if self.two_biases else (gates,)
        return {"kernel": (inputs, gates), "recurrent_kernel": (units, gates), "bias": bias}

    def _reorder(self, gates: Float32) -> Float32:
        """The gates along the last axis of (D, G*U) in the operator's order."""
        split = np.split(gates, len(self.gate_order), axis=-1)
        return np.ascontiguousarray(np.concatenate([split[g] for g in self.gate_order], axis=-1))


CELLS: dict[str, Cell] = {
    "lstm": Cell(layer="LSTM", operator="LSTM", gate_order=(0, 3, 1, 2), two_biases=False),
    "gru": Cell(
        layer="GRU", operator="GRU", gate_order=(0, 1, 2), two_biases=True, attributes={"linear_before_reset": 1}
    ),
}
