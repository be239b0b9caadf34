"""Engines that must agree, and the check that refuses those that do not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.cells import CELLS
from models.engines.onnx import OnnxEngine, build_graph
from models.engines.parity import check_parity
from models.errors import EngineMismatch
from models.spec import CHANNELS
from tests.models.samples import Says, small_spec

SPEC = small_spec(units=3)


def weights_of(spec, seed=0):
    """Random weights without Keras, by the shapes that the cell tells."""
    rng = np.random.default_rng(seed)
    shapes = {"head/kernel": (spec.units, spec.outputs), "head/bias": (spec.outputs,)}
    for layer in range(spec.depth):
        own = CELLS[spec.cell].shapes(spec.units if layer else CHANNELS, spec.units)
        shapes |= {f"cell_{layer}/{name}": shape for name, shape in own.items()}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, kernel, recurrent, bias):
    """The equations in Keras' gate order i, f, c, o, written out."""
    h = c = np.zeros(recurrent.shape[0])
    for row in x:
        i, f, g, o = np.split(row @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def gru(x, kernel, recurrent, bias):
    """The equations in Keras' gate order z, r, h, with the reset after the matrix product."""
    h = np.zeros(recurrent.shape[0])
    for row in x:
        (xz, xr, xh), (hz, hr, hh) = (np.split(s, 3) for s in (row @ kernel + bias[0], h @ recurrent + bias[1]))
        z = sigmoid(xz + hz)
        h = z * h + (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh)
    return h


@pytest.mark.parametrize(("cell", "equations"), [("lstm", lstm), ("gru", gru)])
def test_the_graph_does_what_the_equations_say(cell, equations):
    spec = small_spec(cell=cell, units=3)
    weights = weights_of(spec)
    x = np.random.default_rng(1).normal(size=(1, spec.context, CHANNELS)).astype(np.float32)
    state = equations(x[0], *(weights[f"cell_0/{name}"] for name in ("kernel", "recurrent_kernel", "bias")))
    expected = state @ weights["head/kernel"] + weights["head/bias"]
    assert OnnxEngine(spec, weights).run(x)[0] == pytest.approx(expected, abs=1e-6)


def test_the_graph_holds_one_fused_operator_for_each_layer():
    spec = small_spec(depth=3, strategy="seq2seq")
    operators = [node.op_type for node in build_graph(spec, weights_of(spec)).graph.node]
    assert operators == ["GRU", "Squeeze", "GRU", "Squeeze", "GRU", "Squeeze", "Gemm"]


def test_a_missing_weight_is_named():
    weights = weights_of(SPEC)
    del weights["cell_0/bias"]
    with pytest.raises(KeyError, match="cell_0/bias"):
        OnnxEngine(SPEC, weights)


def test_an_engine_may_be_called_from_several_threads():
    engine = OnnxEngine(SPEC, weights_of(SPEC))
    batches = [np.random.default_rng(i).normal(size=(i % 5 + 1, 10, CHANNELS)).astype(np.float32) for i in range(40)]
    expected = [engine.run(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        assert all((a == b).all() for a, b in zip(expected, pool.map(engine.run, batches), strict=True))


def last_value(windows):
    return np.repeat(windows[:, -1, :1], SPEC.outputs, axis=1)


def test_parity_reports_the_largest_difference():
    close = Says(lambda windows: last_value(windows) + 5e-6)
    assert check_parity(SPEC, Says(last_value), close) == pytest.approx(5e-6, rel=0.1)
    assert close.runs == 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda windows: last_value(windows) + 1e-3,
        lambda windows: last_value(windows) * np.nan,
        lambda windows: np.full((len(windows), SPEC.outputs), np.inf),
        lambda windows: last_value(windows) + (1e-3 if len(windows) == 7 else 0),  # wrong in one batch size only
    ],
    ids=["a little off", "NaN", "infinite", "off in a batch"],
)
def test_an_engine_that_says_something_else_is_refused(wrong):
    with pytest.raises(EngineMismatch, match="the engines differ by"):
        check_parity(SPEC, Says(last_value), Says(wrong))
    with pytest.raises(EngineMismatch):
        check_parity(SPEC, Says(wrong), Says(last_value))
