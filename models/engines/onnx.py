"""Engine ``onnx``: our own graph of fused recurrent operators, on ONNX Runtime; for CPUs.

The graph is written node by node from spec and weights: a fused LSTM or GRU needs a hundredth of the time of the loop
that an exporter would write. Time-distributed heads are applied to the last state only: all that a forecast reads.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from models.cells import CELLS
from models.spec import CHANNELS, Spec

OPSET = 20
IR_VERSION = 10

Weights = Mapping[str, NDArray[np.float32]]


class OnnxEngine:
    """A network on ONNX Runtime's CPU provider with ``threads`` threads."""

    def __init__(self, spec: Spec, weights: Weights, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        graph = build_graph(spec, weights).SerializeToString()
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network says after ``windows`` (B, T, C): (B, O)."""
        steps_first = np.ascontiguousarray(windows.transpose(1, 0, 2))
        said: NDArray[np.float32] = self._session.run(["said"], {"past": steps_first})[0]
        return said


def build_graph(spec: Spec, weights: Weights) -> ModelProto:
    """The graph from ``past`` (T, B, C) to ``said`` (B, O).

    Raises:
        KeyError: a weight is missing.
    """
    cell = CELLS[spec.cell]
    nodes, constants, sequence = [], {"axis_0": np.array([0]), "axis_1": np.array([1])}, "past"
    for layer in range(spec.depth):
        names = [f"{part}_{layer}" for part in "WRB"]
        own = {part: weights[f"cell_{layer}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")}
        constants.update(zip(names, cell.onnx_weights(own), strict=True))
        outputs = [f"all_{layer}", f"last_{layer}"]
        attributes: dict[str, Any] = {"hidden_size": spec.units, **cell.attributes}
        nodes.append(helper.make_node(cell.operator, [sequence, *names], outputs, **attributes))
        sequence = f"sequence_{layer}"
        if layer < spec.depth - 1:  # (T, 1, B, U) -> (T, B, U)
            nodes.append(helper.make_node("Squeeze", [f"all_{layer}", "axis_1"], [sequence]))
    constants |= {"head_kernel": weights["head/kernel"], "head_bias": weights["head/bias"]}
    nodes.append(helper.make_node("Squeeze", [f"last_{spec.depth - 1}", "axis_0"], ["state"]))  # (1, B, U) -> (B, U)
    nodes.append(helper.make_node("Gemm", ["state", "head_kernel", "head_bias"], ["said"]))
    graph = helper.make_graph(
        nodes,
        "forecaster",
        [helper.make_tensor_value_info("past", TensorProto.FLOAT, [spec.context, "B", CHANNELS])],
        [helper.make_tensor_value_info("said", TensorProto.FLOAT, ["B", spec.outputs])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
