"""Engines agree on every kind of network, and the parity check refuses those that do not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from models.engines.keras import KerasEngine, build, get_weights, set_weights
from models.engines.onnx import OnnxEngine, build_graph
from models.engines.parity import check_parity
from models.errors import EngineMismatch
from models.network.build import input_shapes, weight_shapes
from tests.models.kinds import KNOWN, name_of, pairs, spec_of
from tests.models.samples import FixedEngine, small_spec, weights_of

SPEC = small_spec(units=3)


def inputs_of(spec, rows, seed=0, **shapes):
    rng = np.random.default_rng(seed)
    wanted = input_shapes(spec) | shapes
    return {name: rng.normal(size=(rows, *shape)).astype(np.float32) for name, shape in wanted.items()}


@pytest.mark.parametrize("fields", pairs(), ids=name_of)
def test_both_engines_agree_on_the_same_weights(fields):
    spec = spec_of(fields)
    weights = weights_of(spec)
    assert check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights)) <= 1e-5


def test_a_carried_state_is_the_same_in_both_engines_for_any_number_of_points():
    spec = spec_of({"state": "carried", "strategy": "iterative", "cell": "lstm", "depth": 2, **KNOWN})
    weights = weights_of(spec)
    ours, reference = OnnxEngine(spec, weights), KerasEngine(spec, weights)
    for points in (1, 3, 25):
        inputs = inputs_of(spec, 2, past=(points, spec.channels))
        found, expected = ours.run(inputs), reference.run(inputs)
        assert found.keys() == expected.keys() == {"predicted", "next_0", "next_1", "next_2", "next_3"}
        assert all(value == pytest.approx(expected[name], abs=1e-5) for name, value in found.items())


def test_the_graph_holds_one_fused_operator_for_each_layer():
    spec = small_spec(depth=3, strategy="seq2seq", skip=False)
    operators = [node.op_type for node in onnx.load_model_from_string(build_graph(spec, weights_of(spec))).graph.node]
    assert operators.count("GRU") == 3
    assert operators.count("MatMul") == 1  # the head, once: it reads the last state only
    assert not {"Loop", "Scan", "If"} & set(operators)


def test_serving_has_no_dropout():
    one, other = (build_graph(small_spec(dropout=rate), weights_of(small_spec())) for rate in (0.0, 0.9))
    assert one == other


def test_a_missing_weight_is_named():
    weights = weights_of(SPEC)
    del weights["encoder_0/bias"]
    with pytest.raises(KeyError, match="encoder_0/bias"):
        OnnxEngine(SPEC, weights)


@pytest.mark.parametrize("fields", [{"depth": 2}, {"strategy": "parallel", "cell": "peephole"}], ids=name_of)
def test_weights_set_in_a_network_are_read_back(fields):
    spec = spec_of(fields)
    network, weights = build(spec), weights_of(spec)
    assert {name: weight.shape for name, weight in get_weights(network).items()} == weight_shapes(spec)
    set_weights(network, weights)
    assert all((weight == weights[name]).all() for name, weight in get_weights(network).items())
    with pytest.raises(KeyError):
        set_weights(network, {})


def test_an_engine_may_be_called_from_several_threads():
    engine = OnnxEngine(SPEC, weights_of(SPEC))
    batches = [inputs_of(SPEC, i % 5 + 1, seed=i) for i in range(40)]
    expected = [engine.run(batch)["predicted"] for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(engine.run, batches))
    assert all((a == b["predicted"]).all() for a, b in zip(expected, found, strict=True))


def last_value(inputs):
    return np.repeat(inputs["past"][:, -1, :1], SPEC.outputs, axis=1)


def test_parity_reports_the_largest_difference():
    close = FixedEngine(lambda inputs: last_value(inputs) + 5e-6)
    assert check_parity(SPEC, FixedEngine(last_value), close) == pytest.approx(5e-6, rel=0.1)
    assert len(close.given) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda inputs: last_value(inputs) + 1e-3,
        lambda inputs: last_value(inputs) * np.nan,
        lambda inputs: np.full((len(inputs["past"]), SPEC.outputs), np.inf),
        lambda inputs: last_value(inputs) + (1e-3 if len(inputs["past"]) == 7 else 0),  # wrong in one batch size only
    ],
    ids=["a little off", "NaN", "infinite", "off in a batch"],
)
def test_an_engine_with_other_outputs_is_refused(wrong):
    with pytest.raises(EngineMismatch, match="the engines differ by"):
        check_parity(SPEC, FixedEngine(last_value), FixedEngine(wrong))
    with pytest.raises(EngineMismatch):
        check_parity(SPEC, FixedEngine(wrong), FixedEngine(last_value))
