"""Training with a state carried from batch to batch reads the same inputs as serving."""

import numpy as np
import pytest

from models.engines.keras import build_for_training, set_weights
from models.engines.onnx import OnnxEngine
from models.forecasting.rollout import advance, begin
from models.network.inputs import OPTIONAL_FACTS, Reader
from models.network.spec import Training
from models.training.fit import fit, state_examples
from tests.models.samples import panel_of, reader_of, small_spec, weights_of, with_covariates

NAN = np.nan
ONE = np.array([0])
SPEC = small_spec(state="carried", strategy="iterative", season=3, context=4, cell="lstm", depth=2, horizon=2)


class Watched:
    """An engine that records its inputs."""

    def __init__(self, engine):
        self._engine, self.given = engine, []

    def run(self, inputs):
        self.given.append(inputs)
        return self._engine.run(inputs)


def history():
    y = np.random.default_rng(0).normal(50, 5, 30)
    y[[9, 14]] = NAN
    return with_covariates(panel_of(y), price=np.arange(30.0) % 7)


@pytest.mark.parametrize("strategy", ["iterative", "direct", "seq2seq"])
def test_training_reads_the_windows_of_a_segment_as_serving_does(strategy):
    spec = small_spec(state="carried", strategy=strategy, season=3, context=4, horizon=2, future_covariates=("price",))
    panel = history()
    reader, engine = reader_of(spec, panel), Watched(OnnxEngine(spec, weights_of(spec)))
    network_state = begin(spec, engine, reader.read(ONE, np.array([12]), 10))
    for at in (12, 16):
        network_state = advance(spec, engine, network_state, network_state.batch.to_window(panel.y[None, at : at + 4]))
    for before, served in enumerate(engine.given):
        training_inputs, targets = state_examples(reader, (ONE, np.array([12 + 4 * before])), before)
        assert training_inputs["past"] == pytest.approx(served["past"], abs=1e-6)
        for name in ("ahead", "skip"):
            newest = training_inputs[name][:, -1] if strategy == "seq2seq" else training_inputs[name]
            assert newest == pytest.approx(served[name], abs=1e-6)
        assert training_inputs["keep"].tolist() == [[float(before > 0)]]
        assert not [name for name in training_inputs if name.startswith("state_")]
        future = network_state.batch.to_window(panel.y[None, 12 + 4 * before :][:, : spec.outputs])
        newest = targets[:, -1, :, 0] if strategy == "seq2seq" else targets[..., 0]
        assert newest == pytest.approx(future, abs=1e-6, nan_ok=True)
    assert targets.shape == ((1, 4, 2, 1) if strategy == "seq2seq" else (1, spec.outputs, 1))


def test_a_segment_begins_with_the_first_window_that_holds_a_value():
    reader = reader_of(SPEC, panel_of(np.arange(10.0)))
    for before, keep in enumerate([0.0, 0.0, 1.0]):
        inputs, _ = state_examples(reader, (ONE, np.array([4 * before])), before)
        assert inputs["keep"].tolist() == [[keep]]
    # in units of the window 0, 1, 2, 3: from the mean of the last season, 2, each 1 away on average
    assert inputs["past"][0, :, 0].tolist() == [2, 3, 4, 5]
    assert inputs["past"][0, :, 2].tolist() == [0, 1, 2, 3]  # the lags reach back into the window before


def test_the_training_network_keeps_its_states_where_keep_is_set():
    weights, reader = weights_of(SPEC), Reader(SPEC, reader_of(SPEC, history()).facts, history())
    network, engine = build_for_training(SPEC, stateful_rows=2), OnnxEngine(SPEC, weights)
    set_weights(network, weights)
    batch = reader.read(np.array([0, 0]), np.array([12, 20]), 9)
    first = begin(SPEC, engine, batch)
    more = np.float32([[0.5, -1, 2, 0], [1, 1, -1, NAN]])
    second = advance(SPEC, engine, first, more)
    watched = Watched(engine)
    advance(SPEC, watched, first, more)
    training_inputs = [
        {name: value for name, value in given.items() if not name.startswith("state_")}
        for given in (given_first(batch), watched.given[0])
    ]
    keep = np.float32([[0], [0]])
    assert outputs_of(network, training_inputs[0], keep) == pytest.approx(first.prediction.median, abs=1e-5)
    assert outputs_of(network, training_inputs[1], keep + 1) == pytest.approx(second.prediction.median, abs=1e-5)
    outputs_of(network, training_inputs[0], keep)
    mixed = outputs_of(network, training_inputs[1], np.float32([[1], [0]]))
    assert mixed[0] == pytest.approx(second.prediction.median[0], abs=1e-5)
    assert np.abs(mixed[1] - second.prediction.median[1]).max() > 1e-3  # begins at zero again


def given_first(batch):
    engine = Watched(OnnxEngine(SPEC, weights_of(SPEC)))
    begin(SPEC, engine, batch)
    return engine.given[0]


def outputs_of(network, inputs, keep):
    return np.asarray(network({**inputs, "keep": keep}))[..., 0]


def test_a_state_carried_in_training_is_not_a_weight():
    t = np.arange(200)
    panel = panel_of(np.sin(t), np.cos(t / 2), np.where(t % 17 == 0, NAN, t % 5))
    reports = []
    weights = fit(SPEC, Training(max_epochs=2, steps_per_epoch=5, batch_size=8, carry=3), panel, reports.append)
    expected = {name: weight.shape for name, weight in weights_of(SPEC).items()} | OPTIONAL_FACTS
    assert {name: weight.shape for name, weight in weights.items()} == expected
    assert len(reports) >= 10
    assert all(np.isfinite(progress.loss) for progress in reports)
    OnnxEngine(SPEC, weights)  # it can be served
