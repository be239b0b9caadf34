"""CELLS: name -> cell. A new cell is one entry at the end of this file.

Two engines know a fused cell: Keras as a layer, ONNX as an operator. The entry holds the layer's name and the
conversion of its weights, so that this file needs neither package. A cell without an ONNX operator has a ``step``
instead, which computes one step in the operations of ``models.network.ops``; both engines unroll it.

The gate orders and bias rules are those of the ONNX operator definitions (LSTM: i, o, f, c, peepholes i, o, f; GRU: z,
r, h) against Keras' (LSTM: i, f, c, o; GRU: z, r, h) and our peephole cell's (gates as Keras' LSTM, peepholes i, f,
o).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.types import Float32, Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One step of recurrence; G gates, U units, D inputs."""

    gate_order: tuple[int, ...]  # index, in the layer's weights, of the operator's g-th gate
    layer: str = ""  # class in keras.layers, or a key of OWN_CELLS in models.engines.keras_layers
    operator: str = ""  # fused ONNX operator
    # (ops, name, x (D,), state, units) -> the next state, (U,) for each part; the first part is the output
    step: Callable[[Any, str, Any, tuple[Any, ...], int], tuple[Any, ...]] | None = None
    states: int = 1  # parts of the state: h, or h and c
    two_biases: bool = False  # the layer's bias is (2, G*U), input and recurrent; otherwise (G*U,), input only
    peepholes: tuple[int, ...] = ()  # index, in the layer's ``peephole`` (3, U), of the operator's p-th peephole
    layer_options: Mapping[str, str | float | bool] = field(
        default_factory=dict
    )  # arguments of the layer's constructor
    attributes: Mapping[str, int | tuple[str, ...]] = field(default_factory=dict)  # of the operator

    @property
    def gates(self) -> int:
        """G, the number of gates."""
        return len(self.gate_order)

    def onnx_weights(self, layer: Weights) -> dict[str, Float32]:
        """Return Keras' ``kernel`` (D, G*U), ``recurrent_kernel`` (U, G*U) and ``bias`` as ONNX's inputs by name.

        Returns:
            W (1, G*U, D), R (1, G*U, U), B (1, 2*G*U) and, for a cell with peepholes, P (1, 3*U).
        """
        bias = layer["bias"] if self.two_biases else np.stack([layer["bias"], np.zeros_like(layer["bias"])])
        both = [self._reorder(row[None]).ravel() for row in bias]
        weights = {
            "W": self._reorder(layer["kernel"]).T[None],
            "R": self._reorder(layer["recurrent_kernel"]).T[None],
            "B": np.concatenate(both)[None],
        }
        if self.peepholes:
            weights["P"] = layer["peephole"][list(self.peepholes)].reshape(1, -1)
        return weights

    def shapes(self, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the layer's weights by name, for D ``inputs`` and U ``units``."""
        width = self.gates * units
        bias = (2, width) if self.two_biases else (width,)
        peephole = {"peephole": (len(self.peepholes), units)} if self.peepholes else {}
        return {"kernel": (inputs, width), "recurrent_kernel": (units, width), "bias": bias, **peephole}

    def _reorder(self, gates: Float32) -> Float32:
        """Return the gates along the last axis of (D, G*U) in the operator's order."""
        split = np.split(gates, self.gates, axis=-1)
        return np.ascontiguousarray(np.concatenate([split[g] for g in self.gate_order], axis=-1))


CELLS: dict[str, Cell] = {
    "rnn": Cell(layer="SimpleRNN", operator="RNN", gate_order=(0,)),
    "lstm": Cell(layer="LSTM", operator="LSTM", gate_order=(0, 3, 1, 2), states=2),
    "gru": Cell(
        layer="GRU", operator="GRU", gate_order=(0, 1, 2), two_biases=True, attributes={"linear_before_reset": 1}
    ),
    "peephole": Cell(layer="PeepholeLSTM", operator="LSTM", gate_order=(0, 3, 1, 2), states=2, peepholes=(0, 2, 1)),
}
