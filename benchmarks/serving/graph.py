"""The network of all contestants as one ONNX file: a window in data units to a forecast in data units.

The normalisation, which ``models.network.scaling`` computes outside of the service's own graph, is part of this one: so
the peers need nothing but ONNX Runtime, and all contestants compute the same.
"""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.engines.onnx import build_graph
from models.network.spec import Spec
from models.types import Weights

MIN_SPREAD = 1e-30  # a constant window is all zeros in whatever unit


def whole_graph(spec: Spec, weights: Weights) -> ModelProto:
    """Return a graph from ``y`` (N, T) without gaps to ``mean`` (N, H), for scaling ``last`` without covariates."""
    own = onnx.load_model_from_string(build_graph(spec, weights))
    inner = own.graph
    constants = {
        "last": np.array([spec.context - 1]),
        "axis1": np.array([1]),
        "axis2": np.array([2]),
        "least": np.array(MIN_SPREAD, dtype=np.float32),
    }
    graph = helper.make_graph(
        [*_before(), *inner.node, *_behind()],
        "forecaster",
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", spec.context])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["N", spec.horizon])],
        [*inner.initializer, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    model = helper.make_model(graph, opset_imports=own.opset_import, ir_version=own.ir_version)
    onnx.checker.check_model(model)
    return model


def _before() -> list[NodeProto]:
    """Scale as ``models.network.scaling``: level = last value, unit = mean distance from it; then value and "seen"."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    return [
        helper.make_node("Gather", ["y", "last"], ["level"], axis=1),
        helper.make_node("Sub", ["y", "level"], ["away"]),
        helper.make_node("Abs", ["away"], ["distance"]),
        helper.make_node("ReduceMean", ["distance", "axis1"], ["spread"], keepdims=1),
        helper.make_node("Max", ["spread", "least"], ["unit"]),
        helper.make_node("Div", ["away", "unit"], ["value"]),
        helper.make_node("Shape", ["y"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["seen"], value=one),
        helper.make_node("Unsqueeze", ["value", "axis2"], ["value_channel"]),
        helper.make_node("Unsqueeze", ["seen", "axis2"], ["seen_channel"]),
        helper.make_node("Concat", ["value_channel", "seen_channel"], ["past"], axis=2),
    ]


def _behind() -> list[NodeProto]:
    """Return the nodes that scale back to data units."""
    return [
        helper.make_node("Squeeze", ["predicted", "axis2"], ["steps"]),
        helper.make_node("Mul", ["steps", "spread"], ["added"]),
        helper.make_node("Add", ["level", "added"], ["mean"]),
    ]
