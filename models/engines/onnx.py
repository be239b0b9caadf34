"""Engine ``onnx``: our own graph of fused recurrent operators, on ONNX Runtime; for CPUs.

The graph is written node by node from spec and weights: a fused LSTM or GRU needs a hundredth of the time of the loop
that an exporter would write. A time-distributed output layer is applied to the last state only, because a forecast
reads nothing else.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from models.engines import onnx_proto
from models.engines.batching import run_in_passes
from models.network.build import build_network
from models.network.cells import CELLS
from models.network.ops import Backend, Ops, Shape, Shapes
from models.network.spec import Spec
from models.types import Inputs, Outputs, Weights

MAX_ROWS = 64  # of one pass, so that its arrays stay in the processor's cache: a tenth faster than all rows at once


class OnnxEngine:
    """A network on ONNX Runtime's CPU provider with ``threads`` threads."""

    def __init__(self, spec: Spec, weights: Weights, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # With an arena each session would keep the memory of its largest batch forever: 33 MB for a small network.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        # The graph is small and written by hand: the extended rewrites change no output bit and only cost loading time.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._session = onnxruntime.InferenceSession(
            build_graph(spec, weights), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Inputs) -> Outputs:
        """Return the network's outputs for a batch of any size and, with a carried state, any number of points."""
        return run_in_passes(self._run_pass, inputs, MAX_ROWS)

    def _run_pass(self, inputs: Inputs) -> Outputs:
        values = self._session.run(self._outputs, {name: np.ascontiguousarray(x) for name, x in inputs.items()})
        return dict(zip(self._outputs, values, strict=True))


def build_graph(spec: Spec, weights: Weights) -> bytes:
    """Return the graph of ``build_network`` with ``weights`` in it, as the bytes of an ONNX model.

    Raises:
        KeyError: a weight is missing.
    """
    backend = OnnxBackend(weights, any_length=spec.carries)
    outputs = build_network(spec, Ops(backend))
    for name, node in outputs.items():
        backend.emit("Identity", [node.value], output=name)
    infos = [onnx_proto.value_info(name, ["B", *node.shape]) for name, node in outputs.items()]
    return onnx_proto.model(
        onnx_proto.graph("forecaster", backend.nodes, backend.constants.values(), backend.input_infos, infos)
    )


class OnnxBackend(Backend):
    """Operations as nodes of an ONNX graph; a value is the name of a tensor.

    ``any_length``: the time axis of ``past`` is left open.
    """

    def __init__(self, weights: Weights, any_length: bool) -> None:
        self.nodes: list[bytes] = []
        self.input_infos: list[bytes] = []
        self.constants: dict[str, bytes] = {}
        self._weights, self._any_length = weights, any_length

    def emit(self, operator: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(onnx_proto.node(operator, inputs, [name], attributes))
        return name

    def constant(self, name: str, value: Any) -> str:
        """Add a constant tensor and return its name."""
        self.constants[name] = onnx_proto.tensor(name, np.asarray(value))
        return name

    def _ints(self, *values: int) -> str:
        return self.constant(f"ints{values}", np.array(values, dtype=np.int64))

    def _weight(self, name: str, part: str) -> str:
        return self.constant(f"{name}/{part}", self._weights[f"{name}/{part}"])

    def input(self, name: str, shape: Shape) -> Any:
        length = "T" if name == "past" and self._any_length else shape[0]
        self.input_infos.append(onnx_proto.value_info(name, ["B", length, *shape[1:]]))
        return name

    def dense(self, name: str, x: Any, shapes: Shapes, activation: str | None) -> Any:
        y = self.emit("MatMul", [x, self._weight(name, "kernel")])
        y = self.emit("Add", [y, self._weight(name, "bias")])
        return self.emit(activation.capitalize(), [y]) if activation else y

    def place(self, name: str, x: Any, shapes: Shapes) -> Any:
        return self.emit("Add", [x, self._weight(name, "kernel")])

    def recur(
        self, name: str, x: Any, cell: str, shapes: Shapes, start: list[Any], backward: bool
    ) -> tuple[list[Any], Callable[[], Any]]:
        kind = CELLS[cell]
        weights = kind.onnx_weights({part: self._weights[f"{name}/{part}"] for part in shapes})
        own = {part: self.constant(f"{name}/{part}", value) for part, value in weights.items()}
        first = [self.emit("Unsqueeze", [state, self._ints(0)]) for state in start] or [""] * kind.states
        steps_first = self.emit("Transpose", [x], perm=[1, 0, 2])
        inputs = [steps_first, own["W"], own["R"], own["B"], "", *first, *([own["P"]] if "P" in own else [])]
        outputs = [f"{name}/Y", *(f"{name}/Y{i}" for i in range(kind.states))]
        direction = "reverse" if backward else "forward"
        attributes: dict[str, onnx_proto.Attribute] = {
            "hidden_size": shapes["recurrent_kernel"][0],
            "direction": direction,
            **kind.attributes,
        }
        self.nodes.append(onnx_proto.node(kind.operator, inputs, outputs, attributes))
        states = [self.emit("Squeeze", [state, self._ints(0)]) for state in outputs[1:]]

        def sequence() -> str:  # (n, 1, B, U) -> (B, n, U)
            return self.emit("Transpose", [self.emit("Squeeze", [outputs[0], self._ints(1)])], perm=[1, 0, 2])

        return states, sequence

    def convolve(self, name: str, x: Any, shapes: Shapes, size: Shape) -> tuple[Any, Callable[[], Any]]:
        """Unroll the steps: one convolution of all steps' inputs, then one of the state for each step."""
        steps, places, read = size
        width, filters = shapes["kernel"][0], shapes["recurrent_kernel"][1]
        pads = [(width - 1) // 2, width - 1 - (width - 1) // 2]
        kernel = {  # (width, D, 4F) -> (4F, D, width)
            part: self.constant(f"{name}/{part}", self._weights[f"{name}/{part}"].transpose(2, 1, 0))
            for part in ("kernel", "recurrent_kernel")
        }
        space_last = self.emit("Transpose", [x], perm=[0, 1, 3, 2])  # (B, n, D, L)
        folded = self.reshape(space_last, (read, places))
        from_inputs = self.emit("Conv", [folded, kernel["kernel"], self._weight(name, "bias")], pads=pads)
        from_inputs = self.reshape(from_inputs, (steps, 4 * filters, places))
        hidden, memory, every = "", "", []
        for step in range(steps):
            gates = self.at_step(from_inputs, step)
            if hidden:
                gates = self.emit("Add", [gates, self.emit("Conv", [hidden, kernel["recurrent_kernel"]], pads=pads)])
            hidden, memory = self._gates(gates, memory)
            every.append(hidden)

        def filters_last(state: str) -> str:  # (B, F, L) -> (B, L, F)
            return self.emit("Transpose", [state], perm=[0, 2, 1])

        def sequence() -> str:
            separate = [self.emit("Unsqueeze", [filters_last(state), self._ints(1)]) for state in every]
            return self.emit("Concat", separate, axis=1)

        return filters_last(hidden), sequence

    def _gates(self, gates: str, memory: str) -> tuple[str, str]:
        """Add one step of an LSTM whose gates (B, 4F, L) are in Keras' order i, f, c, o; return h and c."""
        i, f, c, o = (f"{gates}/{gate}" for gate in "ifco")
        self.nodes.append(onnx_proto.node("Split", [gates], [i, f, c, o], {"axis": 1, "num_outputs": 4}))
        new = self.emit("Mul", [self.emit("Sigmoid", [i]), self.emit("Tanh", [c])])
        if memory:
            new = self.emit("Add", [new, self.emit("Mul", [self.emit("Sigmoid", [f]), memory])])
        return self.emit("Mul", [self.emit("Sigmoid", [o]), self.emit("Tanh", [new])]), new

    def dropout(self, x: Any, rate: float) -> Any:
        return x

    def concat(self, parts: list[Any]) -> Any:
        return self.emit("Concat", parts, axis=-1)

    def reshape(self, x: Any, shape: Shape) -> Any:
        return self.emit("Reshape", [x, self._ints(-1, *shape)])

    def repeat(self, x: Any, n: int) -> Any:
        return self.emit("Expand", [self.emit("Unsqueeze", [x, self._ints(1)]), self._ints(1, n, 1)])

    def each_step(self, one: Any, x: Any) -> Any:
        shape = [self._ints(1), self.emit("Shape", [x], start=1, end=2), self._ints(1)]
        return self.emit("Expand", [self.emit("Unsqueeze", [one, self._ints(1)]), self.emit("Concat", shape, axis=0)])

    def at_step(self, x: Any, step: int) -> Any:
        return self.emit("Gather", [x, self.constant(f"step{step}", np.array(step))], axis=1)

    def stack(self, steps: list[Any]) -> Any:
        return self.emit("Concat", [self.emit("Unsqueeze", [step, self._ints(1)]) for step in steps], axis=1)

    def zeros(self, x: Any, units: int) -> Any:
        nothing = self.emit("Mul", [self.total(self.at_step(x, 0)), self.constant("zero", np.float32(0))])
        return self.emit("Expand", [nothing, self._ints(1, units)])

    def binary(self, kind: str, a: Any, b: Any) -> Any:
        return self.emit({"add": "Add", "subtract": "Sub", "multiply": "Mul"}[kind], [a, b])

    def total(self, x: Any) -> Any:
        return self.emit("ReduceSum", [x, self._ints(-1)], keepdims=1)

    def attend(self, query: Any, memory: Any, seen: Any) -> Any:
        likeness = self.emit("MatMul", [query, self.emit("Transpose", [memory], perm=[0, 2, 1])])
        one, far = self.constant("one", np.float32(1)), self.constant("far", np.float32(1e4))
        unseen = self.emit("Mul", [self.emit("Sub", [self.emit("Unsqueeze", [seen, self._ints(1)]), one]), far])
        weight = self.emit("Softmax", [self.emit("Add", [likeness, unseen])], axis=-1)
        return self.emit("MatMul", [weight, memory])
