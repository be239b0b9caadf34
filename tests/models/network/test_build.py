"""The network of a spec: its inputs and weights are known without any engine."""

import pytest

from models.network.build import input_shapes, weight_shapes
from models.network.ops import Node, Ops, ShapeBackend
from tests.models.samples import small_spec


def test_the_weights_of_a_plain_network():
    assert weight_shapes(small_spec(units=6, skip=False)) == {
        "encoder_0/kernel": (3, 18),  # value, observed, lag; three gates of 6 units
        "encoder_0/recurrent_kernel": (6, 18),
        "encoder_0/bias": (2, 18),
        "head/kernel": (6, 4),
        "head/bias": (4,),
    }


def test_a_head_at_every_step_is_one_head():
    assert weight_shapes(small_spec(strategy="seq2seq")) == weight_shapes(small_spec(strategy="direct"))


def test_the_output_has_a_number_for_each_quantile_and_a_gate_for_each_naive_forecast():
    shapes = weight_shapes(small_spec(units=6, loss="quantile", quantiles=(0.1, 0.5, 0.9)))
    assert shapes["head/kernel"] == (6, 4 * 3)
    assert shapes["gate/kernel"] == (6, 4 * 2)
    shapes = weight_shapes(small_spec(units=6, loss="normal"))
    assert (shapes["head/kernel"], shapes["shape/kernel"]) == ((6, 4), (6, 4))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_carried_state_is_an_input_for_each_part_of_each_layer(cell):
    spec = small_spec(state="carried", strategy="iterative", cell=cell, depth=2, skip=False)
    states = {f"state_{i}": (6,) for i in range(2 if cell == "gru" else 4)}
    assert input_shapes(spec) == {"past": (10, 3), **states}


def test_seasonal_naive_has_no_network():
    spec = small_spec(strategy="seasonal_naive")
    assert (input_shapes(spec), weight_shapes(spec)) == ({}, {})


def test_operations_know_the_shapes_of_their_results():
    backend = ShapeBackend()
    ops = Ops(backend)
    x, one = ops.input("x", (5, 3)), ops.input("one", (2,))
    assert ops.beside(x, one).shape == (5, 5)
    assert ops.repeat(one, 4).shape == (4, 2)
    assert ops.fold(x).shape == (3,)
    assert ops.unfold(ops.fold(x), 5).shape == (5, 3)
    assert ops.multiply(Node((5, 1), None), x).shape == (5, 3)
    assert ops.reshape(x, (15,)).shape == (15,)
    assert ops.recur("cell", x, "lstm", 7).sequence().shape == (5, 7)
    assert ops.convolve("convolution", Node((4, 5, 3), None), 2, 3).state[0].shape == (5, 2)
    assert ops.attend(Node((2, 7), None), Node((5, 7), None), Node((5,), None)).shape == (2, 7)
    assert backend.weights["cell/kernel"] == (3, 28)
    assert backend.inputs == {"x": (5, 3), "one": (2,)}
