"""What holds for every cell with every strategy, whatever they are; networks of random weights, none trained."""

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest

from models import bundle
from models.cells import CELLS
from models.engines.keras import KerasEngine
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.forecaster import Forecaster, forecast, predict
from models.network import Weights, build, get_weights, set_weights
from models.spec import CHANNELS, Spec, Training
from models.strategies import STRATEGIES
from models.training import fit
from tests.models.samples import forecaster_of, panel_of, small_spec

# context 10 is no multiple of horizon 4; in the second shape the horizon is longer than the context
SHAPES = [(10, 4, 1), (10, 4, 2), (3, 5, 1)]
KINDS = [(*kind, *shape) for kind in product(CELLS, STRATEGIES) for shape in SHAPES]


class Built(NamedTuple):
    spec: Spec
    weights: Weights
    engine: OnnxEngine
    forecaster: Forecaster


def random_weights(spec: Spec, seed: int = 0) -> Weights:
    """Weights of which none is zero, biases included: a swapped gate or a lost bias shows."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.4, w.shape).astype(np.float32) for name, w in get_weights(build(spec)).items()}


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(map(str, kind)))
def built(request):
    cell, strategy, context, horizon, depth = request.param
    spec = small_spec(cell=cell, strategy=strategy, context=context, horizon=horizon, depth=depth, season=2)
    weights = random_weights(spec)
    return Built(spec, weights, OnnxEngine(spec, weights), forecaster_of(spec, weights))


def windows(rows, spec, seed=0):
    return np.random.default_rng(seed).normal(50, 5, (rows, spec.context))


def test_the_output_of_the_network_fits_its_targets(built):
    strategy, spec = STRATEGIES[built.spec.strategy], built.spec
    past, future = np.zeros((2, spec.context), np.float32), np.zeros((2, spec.horizon), np.float32)
    said = build(spec)(np.zeros((2, spec.context, CHANNELS), np.float32))
    assert tuple(said.shape) == strategy.targets(past, future).shape


def test_forecasts_of_any_horizon_are_finite_and_begin_alike(built):
    longest = predict(built.spec, built.engine, windows(3, built.spec), 3 * built.spec.horizon + 1).mean
    for horizon in (1, built.spec.horizon, 3 * built.spec.horizon + 1):
        mean = predict(built.spec, built.engine, windows(3, built.spec), horizon).mean
        assert mean.shape == (3, horizon)
        assert np.isfinite(mean).all()
        assert mean == pytest.approx(longest[:, :horizon], rel=1e-6)


def test_a_series_is_forecast_alike_alone_and_in_a_batch(built):
    past = windows(7, built.spec)
    together = predict(built.spec, built.engine, past, 9).mean
    alone = np.concatenate([predict(built.spec, built.engine, row[None], 9).mean for row in past])
    assert alone == pytest.approx(together, rel=1e-6)


def test_only_the_last_context_points_are_read(built):
    past = windows(2, built.spec)
    longer = np.concatenate([np.full((2, 5), 1e6), past], axis=1)
    expected = predict(built.spec, built.engine, past, 4).mean
    assert predict(built.spec, built.engine, longer, 4).mean.tolist() == expected.tolist()


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1.0, -700.0), (0.01, 12.0), (1e6, 1e7)])
def test_scale_and_shift_of_the_history_come_out_in_the_forecast(built, scale, shift):
    past = windows(4, built.spec)
    mean, spread = predict(built.spec, built.engine, past, 6)
    other, wider = predict(built.spec, built.engine, scale * past + shift, 6)
    assert other == pytest.approx(scale * mean + shift, abs=1e-4 * scale * float(spread.max()))
    assert wider == pytest.approx(scale * spread, rel=1e-6)


def test_a_constant_history_is_repeated(built):
    mean, spread = predict(built.spec, built.engine, np.full((1, built.spec.context), 42.0), 5)
    assert (mean.tolist(), spread.tolist()) == ([[42.0] * 5], [[0.0]])


def test_both_engines_say_the_same(built):
    reference = KerasEngine(built.spec, built.weights)
    assert check_parity(built.spec, reference, built.engine) <= 1e-5
    past = windows(7, built.spec)
    for rows in (past[:1], past):
        expected = predict(built.spec, reference, rows, 9).mean
        assert predict(built.spec, built.engine, rows, 9).mean == pytest.approx(expected, rel=1e-5)


def test_a_bundle_gives_back_the_same_forecaster_bit_for_bit(built):
    data = bundle.to_bytes(built.forecaster)
    back = bundle.from_bytes(data)
    assert back.spec == built.spec
    assert bundle.to_bytes(back) == data
    panel = panel_of(*windows(3, built.spec))
    one = forecast(built.forecaster, built.engine, panel, 7, [80])
    other = forecast(back, OnnxEngine(back.spec, back.weights), panel, 7, [80])
    assert one.mean.tolist() == other.mean.tolist()
    assert one.radii[80].tolist() == other.radii[80].tolist()


def test_weights_put_into_a_network_come_out_again(built):
    network = build(built.spec)
    set_weights(network, built.weights)
    assert all((w == built.weights[name]).all() for name, w in get_weights(network).items())
    with pytest.raises(KeyError):
        set_weights(network, {})


@pytest.mark.parametrize("cell", CELLS)
def test_gates_keep_their_order_through_three_layers(cell):
    spec = small_spec(cell=cell, depth=3, units=5)
    for seed in range(3):
        weights = random_weights(spec, seed)
        assert check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights)) <= 1e-5


def test_a_new_cell_is_one_entry(monkeypatch):
    monkeypatch.setitem(CELLS, "gru2", CELLS["gru"])
    spec = small_spec(cell="gru2", season=1)
    weights = fit(spec, Training(max_epochs=1, steps_per_epoch=2, batch_size=8), panel_of(np.sin(np.arange(60))))
    assert check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights)) <= 1e-5
    assert bundle.from_bytes(bundle.to_bytes(forecaster_of(spec, weights))).spec.cell == "gru2"


def test_a_new_strategy_is_one_entry(monkeypatch):
    class TwoSteps:
        every_step = False

        def outputs(self, horizon):
            return 2

        def targets(self, past, future):
            return future[:, :2]

    monkeypatch.setitem(STRATEGIES, "two_steps", TwoSteps())
    spec = small_spec(strategy="two_steps")
    weights = random_weights(spec)
    engine = OnnxEngine(spec, weights)
    assert check_parity(spec, KerasEngine(spec, weights), engine) <= 1e-5
    assert engine.run(np.zeros((3, 10, CHANNELS), np.float32)).shape == (3, 2)
    assert predict(spec, engine, windows(3, spec), 5).mean.shape == (3, 5)
