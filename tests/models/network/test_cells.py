"""Every cell computes its equations, written out here in NumPy, and starts from the given state."""

import numpy as np
import pytest

from models.engines.onnx import OnnxEngine
from models.network.build import input_shapes
from models.network.cells import CELLS
from tests.models.samples import small_spec, weights_of


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(row, states, w):
    (h,) = states
    return [np.tanh(row @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"])]


def lstm(row, states, w):
    """Compute one step; the gates are in the layer's order i, f, c, o."""
    h, c = states
    i, f, g, o = np.split(row @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def gru(row, states, w):
    """Compute one step; the gates are in the layer's order z, r, h, with the reset after the matrix product."""
    (h,) = states
    given, own = row @ w["kernel"] + w["bias"][0], h @ w["recurrent_kernel"] + w["bias"][1]
    (xz, xr, xh), (hz, hr, hh) = np.split(given, 3), np.split(own, 3)
    z = sigmoid(xz + hz)
    return [z * h + (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh)]


def peephole(row, states, w):
    """Compute one step (Gers et al., 2002): gates i and f see the memory before the step, o the one after it."""
    h, c = states
    i, f, g, o = np.split(row @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4)
    see_i, see_f, see_o = w["peephole"]
    c = sigmoid(f + see_f * c) * c + sigmoid(i + see_i * c) * np.tanh(g)
    return [sigmoid(o + see_o * c) * np.tanh(c), c]


EQUATIONS = {"rnn": rnn, "lstm": lstm, "gru": gru, "peephole": peephole}


def run(cell, x, states, weights, name="encoder_0"):
    """Return the states after the rows of ``x`` (n, D)."""
    own = {part.split("/")[1]: w for part, w in weights.items() if part.startswith(f"{name}/")}
    for row in x:
        states = EQUATIONS[cell](row, states, own)
    return states


@pytest.mark.parametrize("cell", CELLS)
def test_the_graph_computes_the_equations_of_the_cell(cell):
    spec = small_spec(cell=cell, units=3, skip=False, state="carried", strategy="direct")
    weights, rng = weights_of(spec), np.random.default_rng(1)
    inputs = {name: rng.normal(size=(1, *s)).astype(np.float32) for name, s in input_shapes(spec).items()}
    states = [inputs[name][0] for name in sorted(inputs) if name.startswith("state_")]
    after = run(cell, inputs["past"][0], states, weights)
    found = OnnxEngine(spec, weights).run(inputs)
    assert found["predicted"][0, :, 0] == pytest.approx(
        after[0] @ weights["head/kernel"] + weights["head/bias"], abs=1e-6
    )
    assert [found[f"next_{i}"][0] for i in range(len(after))] == [pytest.approx(state, abs=1e-6) for state in after]


@pytest.mark.parametrize("cell", CELLS)
def test_the_operators_weights_are_the_layers_in_another_order(cell):
    shapes = CELLS[cell].shapes(2, 3)
    weights = {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for name, shape in shapes.items()}
    gates = CELLS[cell].gates
    converted = CELLS[cell].onnx_weights(weights)
    expected = {"W": (1, gates * 3, 2), "R": (1, gates * 3, 3), "B": (1, 2 * gates * 3)}
    expected |= {"P": (1, 9)} if cell == "peephole" else {}
    assert {name: value.shape for name, value in converted.items()} == expected
    for theirs, ours in (("W", "kernel"), ("R", "recurrent_kernel")):
        assert sorted(converted[theirs].ravel()) == sorted(weights[ours].ravel())  # each is moved, none is lost
