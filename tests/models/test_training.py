"""Teaching a network: it learns, repeats itself, reports, stops, and refuses to go on with nonsense."""

from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from models.backtest import Plan, evaluate, origins_of
from models.engines.onnx import OnnxEngine
from models.errors import Cancelled, Diverged, InputError
from models.forecaster import predict
from models.network import build
from models.spec import Training
from models.strategies import STRATEGIES, Direct
from models.training import fit
from models.windows import split
from tests.models.samples import panel_of, small_spec

SPEC = small_spec(season=12, context=24, horizon=6, units=16)
QUICK = Training(max_epochs=3, steps_per_epoch=4, batch_size=16, clip_norm=0.01)


def noisy_sines():
    rng = np.random.default_rng(7)
    t = np.arange(300)
    return panel_of(*(a * np.sin(2 * np.pi * t / 12 + a) + rng.normal(0, 0.1 * a, 300) for a in (1, 5, 20)), freq="MS")


PANEL = noisy_sines()


class Quick(NamedTuple):
    """One quick training: its weights, what it reported, the optimizer that it used."""

    weights: Any
    told: list[Any]
    optimizer: Any


@pytest.fixture(scope="module")
def quick():
    told, made, original = [], [], keras.optimizers.AdamW
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.optimizers, "AdamW", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
        weights = fit(SPEC, QUICK, PANEL, told.append)
    return Quick(weights, told, *made)


def test_a_noisy_sine_is_learnt_much_better_than_naive():
    plan = Plan(horizon=6, origins=20, stride=1)
    training = Training(max_epochs=5, steps_per_epoch=40, batch_size=64, learning_rate=1e-2)
    weights = fit(SPEC, training, PANEL.cut(plan.held_out))
    found = evaluate(SPEC, OnnxEngine(SPEC, weights), origins_of(PANEL, plan, SPEC.context, SPEC.season))
    errors = {name: scores["mase"] for name, scores in found.report["scores"].items()}
    assert errors["model"] < 0.3 * errors["naive"]
    # with noise of one standard deviation s, seasonal naive errs by s * sqrt(2) and the truth by s
    assert found.skill > 0.15


def test_equal_seeds_give_equal_weights_bit_for_bit(quick):
    again = fit(SPEC, QUICK, PANEL)
    assert all((again[name] == weight).all() for name, weight in quick.weights.items())


def test_progress_goes_up_batch_by_batch_to_the_end(quick):
    told = quick.told
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1 / 12, 1.0)
    assert {(progress.epoch, progress.epochs) for progress in told} == {(1, 3), (2, 3), (3, 3)}
    assert told[0].validation_loss is None
    assert all(np.isfinite(progress.loss) for progress in told)
    assert told[-1].validation_loss > 0


def test_training_that_is_cancelled_stops_within_one_batch_and_another_seed_differs_from_the_first(quick):
    told, other = [], replace(QUICK, seed=1)
    with pytest.raises(Cancelled):
        fit(SPEC, other, PANEL, told.append, should_stop=lambda: len(told) >= 3)
    assert len(told) == 3
    assert told[0].loss != quick.told[0].loss


def test_training_that_is_cancelled_before_it_begins_does_nothing():
    told = []
    with pytest.raises(Cancelled):
        fit(SPEC, QUICK, PANEL, told.append, should_stop=lambda: True)
    assert told == []


class Poisoned(Direct):
    """Teaches the horizon, but NaN in the calls numbered; the first call makes the validation windows."""

    def __init__(self, calls):
        self.calls, self.call = calls, 0

    def targets(self, past, future):
        self.call += 1
        return future * np.nan if self.call in self.calls else future


@pytest.mark.parametrize("calls", [range(3, 100), [1]], ids=["teaching", "validation"])
def test_a_loss_that_is_no_number_ends_training_and_says_what_to_change(monkeypatch, calls):
    monkeypatch.setitem(STRATEGIES, "poisoned", Poisoned(calls))
    with pytest.raises(Diverged, match=r"nan in epoch 1; lower learning_rate"):
        fit(small_spec(strategy="poisoned"), QUICK, PANEL)


def test_a_series_of_extremes_does_not_upset_the_others():
    rng = np.random.default_rng(0)
    jump = np.where(np.arange(300) < 150, 0.0, 1e99)
    blip = np.zeros(300)
    blip[::40] = rng.random(8) * 1e-90
    told = []
    fit(SPEC, QUICK, panel_of(*(y for _, y in PANEL), jump, blip, np.zeros(300)), told.append)
    assert told[-1].validation_loss < 100


def test_patience_ends_training_and_the_best_epoch_is_kept():
    """A learning rate of 1 makes things worse, so that training ends early; what is kept is not what came last."""
    training = Training(max_epochs=30, steps_per_epoch=2, batch_size=16, learning_rate=1.0, clip_norm=1e3, patience=2)
    told = []
    kept = fit(SPEC, training, PANEL, told.append)
    losses = {progress.epoch: progress.validation_loss for progress in told}  # the last word of each epoch
    assert told[-1].share == 1.0
    assert told[-1].epoch < 30
    best = min(losses, key=losses.get)
    assert best == told[-1].epoch - 2
    assert _validation_loss(kept) == pytest.approx(losses[best], rel=1e-3)


def _validation_loss(weights):
    """Worked anew, without Keras: mean absolute error in window units on the windows held back."""
    _, held = split(PANEL, SPEC.context, SPEC.horizon)
    rows = np.linspace(0, len(held) - 1, 16 * min(8, len(held) // 16)).astype(int)
    past, future = held.take(rows)
    mean, spread = predict(SPEC, OnnxEngine(SPEC, weights), past, SPEC.horizon)
    return float((np.abs(mean - future) / spread).mean())


def test_gradients_are_clipped(quick):
    """The first moment is a mean of clipped gradients: no longer than the clip norm, and here about as long."""
    assert quick.optimizer.get_config()["clipnorm"] == QUICK.clip_norm
    lengths = [float(np.linalg.norm(keras.ops.convert_to_numpy(moment))) for moment in quick.optimizer._momentums]
    assert QUICK.clip_norm / 3 < max(lengths) <= QUICK.clip_norm


def test_too_short_a_history_says_what_it_needs():
    with pytest.raises(InputError, match=r"longest series has 30 .* context 24 and horizon 6 need 36"):
        fit(SPEC, QUICK, panel_of(range(30), range(20)))


def test_a_head_at_every_step_shares_its_weights_over_time():
    direct, every = (build(small_spec(strategy=name)).count_params() for name in ("direct", "seq2seq"))
    assert direct == every
