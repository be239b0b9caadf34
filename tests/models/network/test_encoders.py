"""Encoders and decoders, worked by hand on a few units; ``test_cells`` tests the cells."""

import numpy as np
import pytest

from models.engines.onnx import OnnxEngine
from models.network.build import input_shapes, weight_shapes
from tests.models.network.test_cells import run, sigmoid
from tests.models.samples import small_spec, weights_of


def random_inputs(spec, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(1, *s)).astype(np.float32) for name, s in input_shapes(spec).items()}


def dense(weights, name, x):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def predicted(spec, weights, inputs):
    return OnnxEngine(spec, weights).run(inputs)["predicted"][0]


def test_a_bidirectional_encoder_reads_from_both_ends():
    spec = small_spec(encoder="bidirectional", units=3, skip=False)
    weights, inputs = weights_of(spec), random_inputs(spec)
    onward = run("gru", inputs["past"][0], [np.zeros(3)], weights)[0]
    back = run("gru", inputs["past"][0][::-1], [np.zeros(3)], weights, "encoder_0_back")[0]
    expected = dense(weights, "head", np.concatenate([onward, back]))
    assert predicted(spec, weights, inputs)[:, 0] == pytest.approx(expected, abs=1e-6)


def test_segments_pass_through_one_layer_one_at_a_time():
    spec = small_spec(segment=5, units=3, skip=False)
    weights, inputs = weights_of(spec), random_inputs(spec)
    segments = np.maximum(dense(weights, "read", inputs["past"][0].reshape(2, -1)), 0)
    state = run("gru", segments, [np.zeros(3)], weights)[0]
    assert predicted(spec, weights, inputs)[:, 0] == pytest.approx(dense(weights, "head", state), abs=1e-6)


def test_a_gate_adds_a_share_of_the_naive_forecasts():
    spec = small_spec(units=3)
    weights, inputs = weights_of(spec), random_inputs(spec)
    state = run("gru", inputs["past"][0], [np.zeros(3)], weights)[0]
    share = sigmoid(dense(weights, "gate", state)).reshape(4, 2)
    expected = dense(weights, "head", state) + (share * inputs["skip"][0]).sum(axis=1)
    assert predicted(spec, weights, inputs)[:, 0] == pytest.approx(expected, abs=1e-6)


def convolve(x, kernel):
    """Convolve (L, D) with (3, D, K); zeros beyond both ends keep the width."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    return np.array([sum(padded[place + k] @ kernel[k] for k in range(3)) for place in range(len(x))])


def test_a_convolutional_lstm_reads_a_season_per_step_and_neighbouring_places():
    spec = small_spec(encoder="convlstm", cell="lstm", season=5, units=2, skip=False)
    weights, inputs = weights_of(spec), random_inputs(spec)
    h = c = np.zeros((5, 2))
    for season in inputs["past"][0].reshape(2, 5, -1):
        gates = convolve(season, weights["encoder_0/kernel"]) + convolve(h, weights["encoder_0/recurrent_kernel"])
        i, f, g, o = np.split(gates + weights["encoder_0/bias"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    expected = dense(weights, "head", np.tanh(dense(weights, "fold", h.ravel())))
    assert predicted(spec, weights, inputs)[:, 0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("chained", [True, False])
def test_a_decoder_takes_one_step_of_its_cell_for_each_segment_ahead(chained):
    """Chained: each starts from the one before; parallel: each starts from the encoder's last state."""
    spec = small_spec(strategy="decoder" if chained else "parallel", segment=2, units=3, skip=False)
    weights, inputs = weights_of(spec), random_inputs(spec)
    segments = np.maximum(dense(weights, "read", inputs["past"][0].reshape(5, -1)), 0)
    state = run("gru", segments, [np.zeros(3)], weights)[0]
    known = np.maximum(dense(weights, "known", state), 0)
    first = run("gru", [known + weights["place/kernel"][0]], [state], weights, "decoder")[0]
    second = run("gru", [known + weights["place/kernel"][1]], [first if chained else state], weights, "decoder")[0]
    expected = np.concatenate([dense(weights, "head", first), dense(weights, "head", second)])
    assert predicted(spec, weights, inputs)[:, 0] == pytest.approx(expected, abs=1e-6)


def test_attention_is_a_mean_of_the_seen_steps_weighted_by_likeness():
    spec = small_spec(strategy="decoder", attention=True, units=3, skip=False, horizon=1)
    weights, inputs = weights_of(spec), random_inputs(spec)
    inputs["seen"] = np.float32([[0, 0, 0, 0, 0, 0, 0, 1, 1, 1]])
    steps = [run("gru", inputs["past"][0][: n + 1], [np.zeros(3)], weights)[0] for n in range(10)]
    known = np.maximum(dense(weights, "known", steps[-1]), 0)
    state = run("gru", [known + weights["place/kernel"][0]], [steps[-1]], weights, "decoder")[0]
    memory = dense(weights, "keys", np.array(steps[7:]))
    likeness = np.exp(memory @ state)
    mean = (likeness / likeness.sum()) @ memory
    expected = dense(weights, "head", np.concatenate([state, mean]))
    assert predicted(spec, weights, inputs)[0] == pytest.approx(expected, abs=1e-5)


def test_a_series_without_past_is_forecast_from_its_attributes_alone():
    spec = small_spec(context=0, static_covariates=("size", "age"), units=3)
    weights, inputs = weights_of(spec), random_inputs(spec)
    assert inputs.keys() == {"static"}
    expected = dense(weights, "head", np.tanh(dense(weights, "attributes", inputs["static"][0])))
    assert predicted(spec, weights, inputs)[:, 0] == pytest.approx(expected, abs=1e-6)


def test_the_depth_of_an_encoder_is_the_number_of_its_layers():
    layers = {name.split("/")[0] for name in weight_shapes(small_spec(depth=3, encoder="bidirectional"))}
    assert layers == {f"encoder_{i}{side}" for i in range(3) for side in ("", "_back")} | {"head", "gate"}
