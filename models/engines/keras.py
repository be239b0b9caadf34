"""Engine ``keras``: the network as it is trained, on any Keras 3 backend; the reference, and the engine for GPUs.

Importing this module imports Keras and its backend: processes that only serve on a CPU never do.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops as K  # noqa: N812 - the name in Keras' own documentation

from models.engines.batching import batch_sizes, run_in_passes, run_in_pieces, run_padded
from models.engines.keras_layers import OWN_CELLS, Memory, Place, Recall
from models.network.build import build_network
from models.network.cells import CELLS
from models.network.ops import Backend, Ops, Shape, Shapes
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Float32, Inputs, Outputs, Weights

MAX_ROWS = 512  # of one pass


def build(spec: Spec, every_step: bool = False) -> Any:
    """Return an untrained ``keras.Model`` of ``build_network``: a dict of inputs to a dict of outputs."""
    backend = KerasBackend(any_length=spec.carries)
    outputs = build_network(spec, Ops(backend), every_step)
    return keras.Model(backend.inputs, {name: node.value for name, node in outputs.items()})


def build_for_training(spec: Spec, stateful_rows: int = 0) -> Any:
    """Return the untrained network for training. Its output is the prediction after the last step or each step.

    ``stateful_rows``: for a spec that carries its state, the batch size whose states are kept from batch to batch; the
    input ``keep`` (B, 1) is 1 for the rows that continue and 0 for those that start without a state.
    """
    backend = StatefulBackend(stateful_rows) if stateful_rows else KerasBackend(any_length=False)
    outputs = build_network(spec, Ops(backend), STRATEGIES[spec.strategy].every_step)
    predicted = outputs.pop("predicted").value
    if isinstance(backend, StatefulBackend):
        predicted = backend.memory(predicted, [state.value for state in outputs.values()])
    return keras.Model(backend.inputs, predicted)


def get_weights(network: Any) -> dict[str, Float32]:
    """Return a copy of the weights by name, such as ``encoder_0/recurrent_kernel``, float32."""
    return {name: K.convert_to_numpy(variable).copy() for name, variable in _variables(network).items()}


def set_weights(network: Any, weights: Weights) -> None:
    """Set the weights of a network to those that ``get_weights`` gave for the same spec.

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

    Keras compiles a program for each shape, so the shapes are few: a batch is padded to 1, 8, 64 … ``max_rows`` rows,
    and a larger one runs in several passes. With a carried state, 1, 8, … or T points are read in one pass.
    ``models.engines.parity.warm_up`` runs all of them.

    Raises:
        KeyError: a weight is missing.
        ValueError, RuntimeError, AssertionError (torch): ``device`` is ``gpu``, but there is none.
    """

    def __init__(self, spec: Spec, weights: Weights, device: str = "cpu", max_rows: int = MAX_ROWS) -> None:
        # Without a number for the CPU: torch takes "cpu:0" for another device than the one that its tensors name.
        self._device, self._rows = "cpu" if device == "cpu" else f"{device}:0", batch_sizes(max_rows)
        self._points = batch_sizes(spec.context) if spec.carries else ()
        with keras.device(self._device):
            self.network = build(spec)
            # Keras takes cuDNN's kernels wherever a GPU is visible, also for a network that is kept on the CPU.
            for layer in self.network.layers if device == "cpu" else ():
                if hasattr(layer, "use_cudnn"):
                    layer.use_cudnn = False
            set_weights(self.network, weights)
            if device == "gpu" and not all(_on_gpu(variable.value) for variable in _variables(self.network).values()):
                raise ValueError("its weights are not on a GPU")  # TensorFlow falls back to the CPU without an error
            # "auto" on a GPU: cuDNN's kernels where there are any, XLA elsewhere. torch would compile for minutes.
            self.network.compile(jit_compile=False if backend() == "torch" else "auto")
        self._lock = threading.Lock()  # Keras' predict functions are not safe to call from several threads

    def run(self, inputs: Inputs) -> Outputs:
        """Return the network's outputs for a batch of any size and, with a carried state, any number of points."""
        return run_in_passes(self._run_pass, inputs, self._rows[-1])

    def _run_pass(self, inputs: Inputs) -> Outputs:
        return run_in_pieces(self._run_padded, inputs, self._points) if self._points else self._run_padded(inputs)

    def _run_padded(self, inputs: Inputs) -> Outputs:
        def predict(padded: Inputs) -> Outputs:
            with self._lock, keras.device(self._device):
                outputs = self.network.predict_on_batch(padded)
            return {name: np.asarray(value) for name, value in outputs.items()}

        return run_padded(predict, inputs, self._rows)


def sees_gpu() -> bool:
    """Return whether Keras computes on a GPU by default: the result of a sum tells where it was computed."""
    return _on_gpu(K.zeros((1,)) + 1.0)


def backend() -> str:
    """Return the Keras backend: tensorflow, jax or torch, as ``KERAS_BACKEND`` was set when Keras was imported."""
    return str(keras.backend.backend())


def _on_gpu(value: Any) -> bool:
    device = str(value.device).lower()
    return "gpu" in device or "cuda" in device


class KerasBackend(Backend):
    """Operations as a Keras functional graph; ``any_length`` leaves the time axis of ``past`` open."""

    def __init__(self, any_length: bool, rows: int | None = None) -> None:
        self.inputs: dict[str, Any] = {}
        self._any_length, self._rows = any_length, rows
        self._dense: dict[str, Any] = {}

    def input(self, name: str, shape: Shape) -> Any:
        axes = (None, *shape[1:]) if name == "past" and self._any_length else shape
        self.inputs[name] = keras.Input(axes, batch_size=self._rows, name=name)
        return self.inputs[name]

    def dense(self, name: str, x: Any, shapes: Shapes, activation: str | None) -> Any:
        if name not in self._dense:
            self._dense[name] = keras.layers.Dense(shapes["bias"][0], activation=activation, name=name)
        return self._dense[name](x)

    def place(self, name: str, x: Any, shapes: Shapes) -> Any:
        return Place(name=name)(x)

    def recur(
        self, name: str, x: Any, cell: str, shapes: Shapes, start: list[Any], backward: bool
    ) -> tuple[list[Any], Callable[[], Any]]:
        kind, units = CELLS[cell], shapes["recurrent_kernel"][0]
        returned = {"return_sequences": True, "return_state": True, "name": name}
        if kind.layer in OWN_CELLS:
            layer = keras.layers.RNN(OWN_CELLS[kind.layer](units, name=name, **kind.layer_options), **returned)
        else:
            layer = getattr(keras.layers, kind.layer)(units, **kind.layer_options, **returned)
        # Flipped here: under JAX on a GPU, Keras 3.15 returns a backward LSTM's sequence in the wrong order.
        sequence, *states = layer(K.flip(x, axis=1) if backward else x, initial_state=start or None)
        return states, lambda: K.flip(sequence, axis=1) if backward else sequence

    def convolve(self, name: str, x: Any, shapes: Shapes, size: Shape) -> tuple[Any, Callable[[], Any]]:
        filters, width = shapes["recurrent_kernel"][1], shapes["kernel"][0]
        layer = keras.layers.ConvLSTM1D(filters, width, padding="same", return_sequences=True, name=name)
        sequence = layer(x)
        return sequence[:, -1], lambda: sequence

    def dropout(self, x: Any, rate: float) -> Any:
        # As Keras draws it; but without a seed in its arguments, a layer under torch uses torch's generator instead.
        return keras.layers.Dropout(rate, seed=random.randint(1, 10**9))(x)  # noqa: S311 - no secret

    def concat(self, parts: list[Any]) -> Any:
        return K.concatenate(parts, axis=-1)

    def reshape(self, x: Any, shape: Shape) -> Any:
        return K.reshape(x, (-1, *shape))

    def repeat(self, x: Any, n: int) -> Any:
        return K.repeat(K.expand_dims(x, 1), n, axis=1)

    def each_step(self, one: Any, x: Any) -> Any:
        # Subtracts a zero per step: the number of steps may be unknown until the graph runs.
        return K.expand_dims(one, 1) - K.zeros_like(x[..., :1])

    def at_step(self, x: Any, step: int) -> Any:
        return x[:, step]

    def stack(self, steps: list[Any]) -> Any:
        return K.stack(steps, axis=1)

    def zeros(self, x: Any, units: int) -> Any:
        return K.repeat(K.zeros_like(x[:, 0, :1]), units, axis=1)

    def binary(self, kind: str, a: Any, b: Any) -> Any:
        # Under TensorFlow, Keras 3.15's ``K.add`` takes one row's values of 7 steps for the biases of 7 quantiles.
        return K.multiply(a, b) if kind == "multiply" else K.subtract(a, K.negative(b) if kind == "add" else b)

    def total(self, x: Any) -> Any:
        return K.sum(x, axis=-1, keepdims=True)

    def attend(self, query: Any, memory: Any, seen: Any) -> Any:
        likeness = K.matmul(query, K.transpose(memory, (0, 2, 1)))
        unseen = (K.expand_dims(seen, 1) - 1.0) * 1e4
        return K.matmul(K.softmax(likeness + unseen, axis=-1), memory)


class StatefulBackend(KerasBackend):
    """Operations as a graph whose initial states are the final states of the batch before, kept in ``memory``."""

    def __init__(self, rows: int) -> None:
        super().__init__(any_length=False, rows=rows)
        self.memory = Memory(rows, name="memory")

    def input(self, name: str, shape: Shape) -> Any:
        if not name.startswith("state_"):
            return super().input(name, shape)
        keep = self.inputs["keep"] if "keep" in self.inputs else super().input("keep", (1,))
        return Recall(self.memory, self.memory.add(shape[0]))(keep)
