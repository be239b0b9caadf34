"""Engine ``keras``: the network as it is trained, on any Keras 3 backend; the reference, and the engine for GPUs.

Importing this module imports Keras and its backend: processes that only serve on a CPU never do.
"""

import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops as K  # noqa: N812 - as Keras' own documents call it

from models.engines.batching import in_passes, padded, piecewise, rungs
from models.network.build import build_network
from models.network.cells import CELLS
from models.network.ops import Ops, Shape, Shapes
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Float32, Inputs, Outputs, Weights

MAX_ROWS = 512  # of one pass


def build(spec: Spec, every_step: bool = False) -> Any:
    """An untrained ``keras.Model`` of ``models.network.build.build_network``: a dict of inputs to a dict of outputs."""
    carried = KerasOps(any_length=spec.carries)
    outputs = build_network(spec, carried, every_step)
    return keras.Model(carried.inputs, {name: node.value for name, node in outputs.items()})


def build_for_training(spec: Spec, lanes: int = 0) -> Any:
    """The untrained network as it is taught: it gives what is said only, after every step where the strategy is so.

    ``lanes``: for a spec that carries its state, the batch size whose states go on from batch to batch; an input
    ``keep`` (B, 1) says for which rows.
    """
    ops = TrainingOps(lanes) if lanes else KerasOps(any_length=False)
    outputs = build_network(spec, ops, STRATEGIES[spec.strategy].every_step)
    states = [outputs[name].value for name in outputs if name != "predicted"]
    said = ops.keep(outputs["predicted"].value, states) if isinstance(ops, TrainingOps) else outputs["predicted"].value
    return keras.Model(ops.inputs, said)


def get_weights(network: Any) -> dict[str, Float32]:
    """The weights by name, such as ``encoder_0/recurrent_kernel``, float32, copied."""
    return {name: K.convert_to_numpy(variable).copy() for name, variable in _variables(network).items()}


def set_weights(network: Any, weights: Weights) -> None:
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


class KerasEngine:
    """A network under Keras on ``device``, ``cpu`` or ``gpu``; one call at a time.

    Whatever is compiled is compiled for each shape anew, so there are few: a batch is padded to 1, 8, 64 …
    ``most_rows`` rows, a larger one runs in several passes; and where a state is carried, points are read 1, 8, … or T
    at a time. ``models.engines.parity.warm_up`` runs them all.

    Raises:
        KeyError: a weight is missing.
        ValueError, RuntimeError: there is no GPU, but ``gpu`` was said.
    """

    def __init__(self, spec: Spec, weights: Weights, device: str = "cpu", most_rows: int = MAX_ROWS) -> None:
        self._device, self._rows = f"{device}:0", rungs(most_rows)
        self._points = rungs(spec.context) if spec.carries else ()
        with keras.device(self._device):
            self.network = build(spec)
            if device == "cpu":
                _without_cudnn(self.network)
            set_weights(self.network, weights)
            if device == "gpu" and not all(_on_gpu(variable.value) for variable in _variables(self.network).values()):
                raise ValueError("its weights are not on a GPU")  # TensorFlow quietly takes what device there is
            self.network.compile(jit_compile="auto")  # on a GPU: cuDNN's kernels where there are any, XLA elsewhere
        self._lock = threading.Lock()  # Keras' predict functions are not safe to call from several threads

    def run(self, inputs: Inputs) -> Outputs:
        """See ``models.engines.Engine``."""
        return in_passes(self._read, inputs, self._rows[-1])

    def _read(self, inputs: Inputs) -> Outputs:
        return piecewise(self._pass, inputs, self._points) if self._points else self._pass(inputs)

    def _pass(self, inputs: Inputs) -> Outputs:
        return padded(self._predict, inputs, self._rows)

    def _predict(self, inputs: Inputs) -> Outputs:
        with self._lock, keras.device(self._device):
            said = self.network.predict_on_batch(inputs)
        return {name: np.asarray(value) for name, value in said.items()}


def sees_gpu() -> bool:
    """Whether Keras computes on a GPU where it is told nothing else: the result of a sum knows where it lies."""
    return _on_gpu(K.zeros((1,)) + 1.0)


def backend() -> str:
    """What Keras computes with: tensorflow, jax or torch, as ``KERAS_BACKEND`` said when it was imported."""
    return str(keras.backend.backend())


def _on_gpu(value: Any) -> bool:
    where = str(value.device).lower()
    return "gpu" in where or "cuda" in where


def _without_cudnn(network: Any) -> None:
    # Keras takes cuDNN's kernels wherever a GPU is visible, also for a network that is kept on the CPU.
    for layer in network.layers:
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False


class PeepholeCell(keras.layers.Layer):  # type: ignore[misc]
    """An LSTM whose gates also see the cell's memory (Gers, Schraudolph & Schmidhuber, 2002); gates i, f, c, o."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.state_size, self.output_size = units, [units, units], units

    def build(self, shape: Shape) -> None:
        """Make the weights for D inputs."""
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
        """One step: (B, D) and the states h and c, (B, U) each, to the output and the next states."""
        hidden, memory = states
        gates = K.matmul(inputs, self.kernel) + K.matmul(hidden, self.recurrent_kernel) + self.bias
        i, f, c, o = K.split(gates, 4, axis=-1)
        kept = K.sigmoid(f + self.peephole[1] * memory) * memory
        memory = kept + K.sigmoid(i + self.peephole[0] * memory) * K.tanh(c)
        hidden = K.sigmoid(o + self.peephole[2] * memory) * K.tanh(memory)
        return hidden, [hidden, memory]


class Place(keras.layers.Layer):  # type: ignore[misc]
    """Adds a learned vector to each step of (B, n, U)."""

    def build(self, shape: Shape) -> None:
        """Make the vectors."""
        self.kernel = self.add_weight(shape=tuple(shape[1:]), initializer="glorot_uniform", name="kernel")

    def call(self, inputs: Any) -> Any:
        """The sum."""
        return inputs + self.kernel


def _layer(cell: str, units: int, name: str) -> Any:
    kind = CELLS[cell].layer
    options = {"return_sequences": True, "return_state": True, "name": name}
    if kind == "PeepholeLSTM":
        return keras.layers.RNN(PeepholeCell(units, name=name), **options)
    return getattr(keras.layers, kind)(units, **options)


class KerasOps(Ops):
    """Makes a Keras functional graph; ``any_length``: the axis of time is left open; ``rows``: the batch's is not."""

    def __init__(self, any_length: bool, rows: int | None = None) -> None:
        self.inputs: dict[str, Any] = {}
        self._any_length, self._rows = any_length, rows

    def _input(self, name: str, shape: Shape) -> Any:
        length = (None, *shape[1:]) if name == "past" and self._any_length else shape
        self.inputs[name] = keras.Input(length, batch_size=self._rows, name=name)
        return self.inputs[name]

    def _dense(self, name: str, x: Any, shapes: Shapes, activation: str | None) -> Any:
        return keras.layers.Dense(shapes["bias"][0], activation=activation, name=name)(x)

    def _place(self, name: str, x: Any, shapes: Shapes) -> Any:
        return Place(name=name)(x)

    def _recur(
        self, name: str, x: Any, cell: str, shapes: Shapes, start: list[Any], backward: bool
    ) -> tuple[list[Any], Callable[[], Any]]:
        # Turned by hand: under JAX on a GPU, Keras 3.15 gives a backward LSTM's sequence the wrong way round.
        turned = K.flip(x, axis=1) if backward else x
        layer = _layer(cell, shapes["recurrent_kernel"][0], name)
        whole, *states = layer(turned, initial_state=start or None)
        return states, lambda: K.flip(whole, axis=1) if backward else whole

    def _convolve(self, name: str, x: Any, shapes: Shapes, size: Shape) -> tuple[Any, Callable[[], Any]]:
        filters, width = shapes["recurrent_kernel"][1], shapes["kernel"][0]
        layer = keras.layers.ConvLSTM1D(filters, width, padding="same", return_sequences=True, name=name)
        whole = layer(x)
        return whole[:, -1], lambda: whole

    def _dropout(self, x: Any, rate: float) -> Any:
        return keras.layers.Dropout(rate)(x)

    def _concat(self, parts: list[Any]) -> Any:
        return K.concatenate(parts, axis=-1)

    def _reshape(self, x: Any, shape: Shape) -> Any:
        return K.reshape(x, (-1, *shape))

    def _repeat(self, x: Any, n: int) -> Any:
        return K.repeat(K.expand_dims(x, 1), n, axis=1)

    def _each_step(self, one: Any, x: Any) -> Any:
        # Less as many zeros as there are steps: their number may be known only when the graph runs.
        return K.expand_dims(one, 1) - K.zeros_like(x[..., :1])

    def _binary(self, kind: str, a: Any, b: Any) -> Any:
        # Under TensorFlow, Keras 3.15's ``K.add`` takes what one row says of 7 steps for the biases of 7 quantiles.
        return K.multiply(a, b) if kind == "multiply" else K.subtract(a, K.negative(b))

    def _total(self, x: Any) -> Any:
        return K.sum(x, axis=-1, keepdims=True)

    def _attend(self, query: Any, memory: Any, seen: Any) -> Any:
        likeness = K.matmul(query, K.transpose(memory, (0, 2, 1)))
        unseen = (K.expand_dims(seen, 1) - 1.0) * 1e4
        return K.matmul(K.softmax(likeness + unseen, axis=-1), memory)


class Memory(keras.layers.Layer):  # type: ignore[misc]
    """States that outlive a batch, (lanes, U) each, and are no weights."""

    def __init__(self, lanes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._lanes = lanes
        self.states: list[Any] = []

    def build(self, said: Shape) -> None:
        """Nothing is left to make: states are added one by one."""

    def add(self, units: int) -> int:
        """Room for one more state; its number."""
        shape = (self._lanes, units)
        self.states.append(self.add_weight(shape=shape, initializer="zeros", trainable=False, name="state"))
        return len(self.states) - 1

    def call(self, said: Any, following: list[Any]) -> Any:
        """Keep ``following`` for the next batch; ``said`` as it is."""
        for state, value in zip(self.states, following, strict=True):
            state.assign(K.stop_gradient(value))
        return said


class Recall(keras.layers.Layer):  # type: ignore[misc]
    """The states of a ``Memory``, where ``keep`` (B, 1) is 1."""

    def __init__(self, memory: Memory, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._memory, self._number = memory, number

    def build(self, keep: Shape) -> None:
        """Nothing of its own to make."""

    def call(self, keep: Any) -> Any:
        """The state, (B, U)."""
        return K.convert_to_tensor(self._memory.states[self._number]) * keep


class TrainingOps(KerasOps):
    """Makes a graph whose states are not given, but remembered from the batch before."""

    def __init__(self, lanes: int) -> None:
        super().__init__(any_length=False, rows=lanes)
        self._memory = Memory(lanes, name="memory")

    def _input(self, name: str, shape: Shape) -> Any:
        if not name.startswith("state_"):
            return super()._input(name, shape)
        keep = self.inputs["keep"] if "keep" in self.inputs else super()._input("keep", (1,))
        return Recall(self._memory, self._memory.add(shape[0]))(keep)

    def keep(self, said: Any, states: list[Any]) -> Any:
        """``said``, once the states are kept."""
        return self._memory(said, states)
