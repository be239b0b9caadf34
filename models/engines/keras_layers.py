"""Layers that Keras lacks: an LSTM with peepholes, learned places, and states kept from batch to batch."""

from typing import Any

import keras
import numpy as np
from keras import ops as K  # noqa: N812 - the name in Keras' own documentation

from models.network.ops import Shape


class PeepholeCell(keras.layers.Layer):  # type: ignore[misc]
    """An LSTM whose gates also read the cell's memory (Gers, Schraudolph & Schmidhuber, 2002); gates i, f, c, o."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.state_size, self.output_size = units, [units, units], units

    def build(self, shape: Shape) -> None:
        """Create the weights for D inputs."""
        gates = 4 * self.units
        self.kernel = self.add_weight(shape=(shape[-1], gates), initializer="glorot_uniform", name="kernel")
        shape = (self.units, gates)
        self.recurrent_kernel = self.add_weight(shape=shape, initializer="orthogonal", name="recurrent_kernel")
        self.peephole = self.add_weight(shape=(3, self.units), initializer="zeros", name="peephole")
        forget = np.zeros(gates, dtype=np.float32)
        forget[self.units : 2 * self.units] = 1  # remember at first (Jozefowicz et al., 2015)
        self.bias = self.add_weight(shape=(gates,), initializer="zeros", name="bias")
        self.bias.assign(forget)

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> Any:
        """Compute one step: (B, D) and the states h and c, (B, U) each, to the output and the next states."""
        hidden, memory = states
        gates = K.matmul(inputs, self.kernel) + K.matmul(hidden, self.recurrent_kernel) + self.bias
        i, f, c, o = K.split(gates, 4, axis=-1)
        kept = K.sigmoid(f + self.peephole[1] * memory) * memory
        memory = kept + K.sigmoid(i + self.peephole[0] * memory) * K.tanh(c)
        hidden = K.sigmoid(o + self.peephole[2] * memory) * K.tanh(memory)
        return hidden, [hidden, memory]


OWN_CELLS = {"PeepholeLSTM": PeepholeCell}  # ``Cell.layer`` -> the cell that Keras does not have


class Place(keras.layers.Layer):  # type: ignore[misc]
    """A layer that adds a learned vector to each step of (B, n, U)."""

    def build(self, shape: Shape) -> None:
        """Create one weight vector for each step; ``shape`` is (B, n, U)."""
        self.kernel = self.add_weight(shape=tuple(shape[1:]), initializer="glorot_uniform", name="kernel")

    def call(self, inputs: Any) -> Any:
        """Return ``inputs`` (B, n, U) plus the learned vectors (n, U)."""
        return inputs + self.kernel


class Memory(keras.layers.Layer):  # type: ignore[misc]
    """A layer that keeps states, (rows, U) each, from batch to batch; they are not weights."""

    def __init__(self, rows: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._rows = rows
        self.states: list[Any] = []

    def build(self, predicted: Shape) -> None:
        """Create nothing: ``add`` creates the states one by one."""

    def add(self, units: int) -> int:
        """Create one more state and return its index."""
        shape = (self._rows, units)
        self.states.append(self.add_weight(shape=shape, initializer="zeros", trainable=False, name="state"))
        return len(self.states) - 1

    def call(self, predicted: Any, following: list[Any]) -> Any:
        """Keep the states ``following`` for the next batch; return ``predicted`` unchanged."""
        for state, value in zip(self.states, following, strict=True):
            state.assign(K.stop_gradient(value))
        return predicted


class Recall(keras.layers.Layer):  # type: ignore[misc]
    """A layer that returns a state of ``memory`` for rows whose ``keep`` (B, 1) is 1, and zeros for rows with 0."""

    def __init__(self, memory: Memory, index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._memory, self._index = memory, index

    def build(self, keep: Shape) -> None:
        """Create nothing: the state belongs to ``memory``."""

    def call(self, keep: Any) -> Any:
        """Return the state, (B, U)."""
        return K.convert_to_tensor(self._memory.states[self._index]) * keep
