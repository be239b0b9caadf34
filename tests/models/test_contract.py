"""Properties of every cell with every encoder and every strategy; random weights, none trained."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from models.engines.keras import KerasEngine, build
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.errors import EngineMismatch, InputError, SpecError
from models.forecasting import bundle
from models.forecasting.forecaster import RunnableMember, check_covariates, forecast, predict
from models.network.build import input_shapes, weight_shapes
from models.network.cells import CELLS, Cell
from models.network.covariate_roles import ROLES, Role
from models.network.spec import Spec
from models.network.strategies import STRATEGIES, Vector
from tests.models.kinds import OPTIONS, PARTS, name_of, spec_of
from tests.models.samples import forecaster_of, known_panel, ready_of, weights_of


class Built(NamedTuple):
    spec: Spec
    weights: Any
    networks: tuple[RunnableMember, ...]

    def forecast(self, panel, horizon, rows=None):
        """Return mean and quantiles after every series' last value, (B, horizon, 1 + Q), and the spread (B, 1)."""
        series = np.arange(len(panel)) if rows is None else rows
        predicted = predict(self.networks, panel, series, panel.observed_lengths[series], horizon)
        quantiles = [] if predicted.quantiles is None else [predicted.quantiles]
        return np.concatenate([predicted.median[..., None], *quantiles], axis=2), predicted.spread


@pytest.fixture(scope="module", params=[*PARTS, *OPTIONS], ids=name_of)
def built(request):
    spec = spec_of(request.param)
    weights = weights_of(spec)
    return Built(spec, weights, ready_of(spec, weights))


AHEAD = 20


def panel(change=lambda y: y, lengths=(30, 12, 17, 3, 2)):
    """Return long, short and very short series; two values are missing; covariates are known ``AHEAD`` steps on."""
    rng = np.random.default_rng(0)
    histories = [rng.normal(50, 5, length) for length in lengths]
    histories[0][[25, 28]] = np.nan
    return known_panel(rng, AHEAD, *map(change, histories))


PANEL = panel()


def test_forecasts_of_any_horizon_are_finite_and_agree_on_their_first_steps(built):
    longest, _ = built.forecast(PANEL, 2 * built.spec.horizon + 1)
    assert longest.shape == (5, 2 * built.spec.horizon + 1, 1 if built.spec.loss in ("mae", "mse", "huber") else 8)
    assert np.isfinite(longest).all()
    for horizon in (1, built.spec.horizon):
        assert built.forecast(PANEL, horizon)[0] == pytest.approx(longest[:, :horizon], rel=1e-6)


def test_a_series_has_the_same_forecast_alone_and_in_a_batch(built):
    together, _ = built.forecast(PANEL, 9)
    alone = [built.forecast(PANEL, 9, np.array([i]))[0] for i in range(len(PANEL))]
    assert np.concatenate(alone) == pytest.approx(together, rel=1e-5)


def test_nothing_before_the_context_and_nothing_after_the_origin_is_read(built):
    load = PANEL.covariates["load"].copy()  # known in the past only
    other = replace(PANEL, y=PANEL.y.copy(), covariates={**PANEL.covariates, "load": load})
    for i, at in enumerate(PANEL.observed_lengths):
        other.series(i)[: max(at - built.spec.context, 0)] = 1e6
        other.series(i)[at:] = load[PANEL.indptr[i] + at : PANEL.indptr[i + 1]] = -1e6
    series, at = np.arange(len(PANEL)), PANEL.observed_lengths
    found, expected = (predict(built.networks, one, series, at, 9).median for one in (other, PANEL))
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (0.01, 12.0), (1e6, -1e7)])
def test_the_forecast_scales_and_shifts_with_its_history(built, scale, shift):
    """Values are missing too: a gap that was read as 0 would not be shifted."""
    if built.spec.transform != "none" or built.spec.by_panel:
        pytest.skip("transforms, and normalisation by panel, have a zero of their own")
    predicted, spread = built.forecast(PANEL, 6)
    other, wider = built.forecast(panel(lambda y: scale * y + shift), 6)
    assert other == pytest.approx(scale * predicted + shift, abs=2e-4 * scale * float(spread.max()))
    assert wider == pytest.approx(scale * spread, rel=1e-6)


def test_a_constant_history_is_repeated(built):
    if built.spec.by_panel:
        pytest.skip("the window is not normalised by itself")
    enough = np.array([1, 2])  # the others have few values or gaps in a short window, which show no constant
    predicted, spread = built.forecast(panel(lambda y: np.where(np.isnan(y), np.nan, 42.0)), 5, enough)
    assert predicted == pytest.approx(np.full(predicted.shape, 42.0), rel=1e-12)
    assert not spread.any()


def test_quantiles_never_cross_and_the_mean_lies_among_them(built):
    predicted, _ = built.forecast(PANEL, 9)
    assert (np.diff(predicted[..., 1:], axis=2) >= 0).all()
    if predicted.shape[2] > 1:
        assert predicted[..., 0] == pytest.approx(predicted[..., 1 + built.spec.quantiles.index(0.5)], rel=1e-6)


def test_a_bundle_gives_back_the_same_forecaster_bit_for_bit(built):
    forecaster = forecaster_of((built.spec, built.weights))
    data = bundle.to_bytes(forecaster)
    back = bundle.from_bytes(data)
    assert back.spec == built.spec
    assert bundle.to_bytes(back) == data
    one = forecast(built.networks, forecaster.calibration, PANEL, 7, [80])
    other = forecast(ready_of(back.spec, back.members[0].weights), back.calibration, PANEL, 7, [80])
    assert one.median.tolist() == other.median.tolist()
    assert one.intervals[80].lo.tolist() == other.intervals[80].lo.tolist()


def test_a_new_cell_is_one_entry(monkeypatch):
    """Rectified linear units (Le, Jaitly & Hinton, 2015): h' = max(0, x W + h R + b), in both engines."""
    rectified = Cell(
        layer="SimpleRNN",
        operator="RNN",
        gate_order=(0,),
        layer_options={"activation": "relu"},
        attributes={"activations": ("Relu",)},
    )
    monkeypatch.setitem(CELLS, "rectified", rectified)
    spec = spec_of({"cell": "rectified", "strategy": "decoder"})
    weights = weights_of(spec)
    assert check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights)) <= 1e-5
    with pytest.raises(EngineMismatch):
        check_parity(spec, OnnxEngine(spec, weights), OnnxEngine(replace(spec, cell="rnn"), weights))
    assert bundle.from_bytes(bundle.to_bytes(forecaster_of((spec, weights)))).spec.cell == "rectified"


def minimal_gated_unit(ops, name, x, state, units):
    """Zhou et al. (2016): f = sigmoid(W [x, h] + b), c = tanh(V [x, f h] + d), h' = h + f (c - h)."""
    (hidden,) = state
    gate = ops.dense(f"{name}_gate", ops.concat([x, hidden]), units, "sigmoid")
    candidate = ops.dense(f"{name}_candidate", ops.concat([x, ops.multiply(gate, hidden)]), units, "tanh")
    return (ops.add(hidden, ops.multiply(gate, ops.subtract(candidate, hidden))),)


@pytest.mark.parametrize("options", [{"strategy": "seq2seq"}, {"encoder": "bidirectional", "strategy": "decoder"}])
def test_a_new_cell_without_a_fused_operator_is_one_function_and_one_entry(monkeypatch, options):
    monkeypatch.setitem(CELLS, "mgu", Cell(gate_order=(0, 1), step=minimal_gated_unit))
    spec = spec_of({"cell": "mgu", "depth": 2, **options})
    weights = weights_of(spec)
    assert {name for name in weights if name.startswith("encoder_0_gate")} == {
        "encoder_0_gate/kernel",
        "encoder_0_gate/bias",
    }
    assert check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights)) <= 1e-5
    built = Built(spec, weights, ready_of(spec, weights))
    assert np.isfinite(built.forecast(PANEL, 9)[0]).all()
    with pytest.raises(SpecError, match="cell mgu is unrolled"):
        replace(spec, state="carried", encoder="forward", strategy="direct")


def test_an_unrolled_cell_computes_its_step_at_every_point(monkeypatch):
    monkeypatch.setitem(CELLS, "mgu", Cell(gate_order=(0, 1), step=minimal_gated_unit))
    spec = spec_of({"cell": "mgu", "skip": False})
    weights, rng = weights_of(spec), np.random.default_rng(1)
    inputs = {name: rng.normal(size=(1, *s)).astype(np.float32) for name, s in input_shapes(spec).items()}

    def layer(name, row):
        return row @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    hidden = np.zeros(spec.units)
    for x in inputs["past"][0]:
        gate = 1 / (1 + np.exp(-layer("encoder_0_gate", np.append(x, hidden))))
        hidden = hidden + gate * (np.tanh(layer("encoder_0_candidate", np.append(x, gate * hidden))) - hidden)
    found = OnnxEngine(spec, weights).run(inputs)["predicted"]
    assert found[0, :, 0] == pytest.approx(layer("head", hidden), abs=1e-6)


def test_a_new_strategy_is_one_entry(monkeypatch):
    class TwoSteps(Vector):
        def outputs(self, horizon, segment):
            return 2

    monkeypatch.setitem(STRATEGIES, "two_steps", TwoSteps(whole=True))
    spec = spec_of({"strategy": "two_steps"})
    assert weight_shapes(spec)["head/kernel"] == (4, 2)
    assert tuple(build(spec).output["predicted"].shape) == (None, 2, 1)
    assert Built(spec, None, ready_of(spec, weights_of(spec))).forecast(PANEL, 5)[0].shape == (5, 5, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecWithPlans(Spec):
    """A spec with one more covariate role, known ahead as future covariates are."""

    plan_covariates: tuple[str, ...] = ()


def test_a_new_covariate_role_is_one_field_and_one_entry(monkeypatch):
    """Under the new role a covariate is read, validated and required ahead as under ``future_covariates``."""
    known = spec_of({"future_covariates": ("load",)})
    shapes, weights = weight_shapes(known), weights_of(known)
    expected = Built(known, weights, ready_of(known, weights)).forecast(PANEL, 9)[0]
    monkeypatch.setitem(ROLES, "plan_covariates", Role(varies=True, known_ahead=True))
    fields = {**known.to_json(), "future_covariates": [], "plan_covariates": ["load"]}
    planned = SpecWithPlans.from_json(fields)
    assert weight_shapes(planned) == shapes
    assert Built(planned, weights, ready_of(planned, weights)).forecast(PANEL, 9)[0].tolist() == expected.tolist()
    with pytest.raises(InputError, match="there is no covariate 'load'"):
        check_covariates(planned, replace(PANEL, covariates={}, categories={}))
    with pytest.raises(SpecError, match="'load' is given in two roles"):
        replace(planned, past_covariates=("load",))
