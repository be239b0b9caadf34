"""Training of a network: it learns, is reproducible, reports progress, stops, and refuses NaN."""

from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from models.data.windows import split
from models.engines.onnx import OnnxEngine
from models.errors import Cancelled, Diverged, InputError
from models.evaluation.backtest import evaluate
from models.evaluation.origins import BacktestPlan, origins_of
from models.forecasting.forecaster import predict
from models.forecasting.rollout import roll
from models.network.inputs import Reader, facts_of
from models.network.spec import Training
from models.training import fit as fit_module
from models.training.compile import Cosine
from models.training.fit import fit
from tests.models.samples import panel_of, ready_of, small_spec, with_covariates

SPEC = small_spec(season=12, context=24, horizon=6, units=16)
TINY = replace(SPEC, cell="rnn", units=4)  # compiled sooner
QUICK = Training(max_epochs=3, steps_per_epoch=4, batch_size=16, clip_norm=0.01, patience=3)


def noisy_sines():
    rng = np.random.default_rng(7)
    t = np.arange(300)
    return panel_of(*(a * np.sin(2 * np.pi * t / 12 + a) + rng.normal(0, 0.1 * a, 300) for a in (1, 5, 20)), freq="MS")


PANEL = noisy_sines()


class Quick(NamedTuple):
    """One short training: its weights, its reports, and the optimizer's first moments (means of clipped gradients)."""

    weights: Any
    reports: list[Any]
    moments: list[np.ndarray]


def train_with(training, spec=TINY, **options):
    reports, made, original = [], [], keras.optimizers.AdamW
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.optimizers, "AdamW", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
        weights = fit(spec, training, PANEL, reports.append, **options)
    (optimizer,) = made
    # Copied at once: later trainings with the same graph reuse the optimizer.
    moments = [keras.ops.convert_to_numpy(moment).copy() for moment in optimizer._momentums]
    return Quick(weights, reports, moments)


@pytest.fixture(scope="module")
def quick():
    return train_with(QUICK)


def test_a_noisy_sine_is_learned_much_better_than_naive_and_better_than_seasonal_naive():
    plan = BacktestPlan(horizon=6, origins=20, stride=1)
    training = Training(max_epochs=4, steps_per_epoch=50, batch_size=64, learning_rate=1e-2)
    networks = ready_of(SPEC, fit(SPEC, training, PANEL.cut(plan.held_out)))
    found = evaluate(lambda *asked: predict(networks, *asked), origins_of(PANEL, plan, 12))
    errors = {name: scores["mase"] for name, scores in found.report.scores.items()}
    assert errors["model"] < 0.3 * errors["naive"]
    # with noise of one standard deviation s, seasonal naive errs by s * sqrt(2) and the truth by s
    assert found.skill > 0.15


def test_equal_seeds_give_equal_weights_bit_for_bit(quick):
    again = fit(TINY, QUICK, PANEL)
    assert all((again[name] == weight).all() for name, weight in quick.weights.items())


def test_progress_increases_batch_by_batch_to_the_end(quick):
    reports = quick.reports
    shares = [progress.share for progress in reports]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1 / 12, 1.0)
    assert {(progress.epoch, progress.epochs) for progress in reports} == {(1, 3), (2, 3), (3, 3)}
    assert reports[0].validation_loss is None
    assert all(np.isfinite(progress.loss) for progress in reports)
    assert reports[-1].validation_loss > 0


def test_training_that_is_cancelled_stops_within_one_batch_and_another_seed_differs_from_the_first(quick):
    reports, other = [], replace(QUICK, seed=1)
    with pytest.raises(Cancelled):
        fit(TINY, other, PANEL, reports.append, should_stop=lambda: len(reports) >= 3)
    assert len(reports) == 3
    assert reports[0].loss != quick.reports[0].loss


def test_training_that_is_cancelled_before_it_begins_does_nothing():
    reports = []
    with pytest.raises(Cancelled):
        fit(TINY, QUICK, PANEL, reports.append, should_stop=lambda: True)
    assert reports == []


def test_training_continues_from_the_initial_weights(quick):
    """With a tiny learning rate the weights, and so the loss, stay where they began."""
    still = replace(QUICK, max_epochs=1, steps_per_epoch=1, learning_rate=1e-6, weight_decay=0.0)
    on = fit(TINY, still, PANEL, initial_weights=quick.weights)
    assert on.keys() == quick.weights.keys()
    assert all(weight == pytest.approx(quick.weights[name], abs=1e-5) for name, weight in on.items())


def test_a_loss_of_nan_ends_training_with_a_remedy(quick):
    broken = {**quick.weights, "head/bias": np.full(6, np.inf, dtype=np.float32)}
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) in epoch 1; lower learning_rate"):
        fit(TINY, QUICK, PANEL, initial_weights=broken)


def test_a_validation_loss_of_nan_ends_training_too(monkeypatch):
    original = fit_module.window_examples

    def poisoned(reader, moments, past=None):
        inputs, targets = original(reader, moments, past)
        return inputs, targets + np.float32(np.inf if past is None else 0)  # training passes shortened windows

    monkeypatch.setattr(fit_module, "window_examples", poisoned)
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) in epoch 1; lower learning_rate"):
        fit(TINY, QUICK, PANEL)


def test_a_series_of_extremes_and_one_of_gaps_do_not_disturb_the_others():
    rng = np.random.default_rng(0)
    jump = np.where(np.arange(300) < 150, 0.0, 1e99)
    blip = np.zeros(300)
    blip[::40] = rng.random(8) * 1e-90
    gaps = np.where(rng.random(300) < 0.7, np.nan, 5.0 + rng.random(300))
    long_gap = np.where((np.arange(300) > 50) & (np.arange(300) < 250), np.nan, np.arange(300.0))
    reports = []
    fit(TINY, QUICK, panel_of(*(y for _, y in PANEL), jump, blip, gaps, long_gap, np.zeros(300)), reports.append)
    assert reports[-1].validation_loss < 100


def test_patience_ends_training_and_the_best_epoch_is_kept():
    """A learning rate of 1 makes the loss worse, so that training ends early; the best epoch is kept, not the last."""
    training = Training(max_epochs=30, steps_per_epoch=2, batch_size=16, learning_rate=1.0, clip_norm=1e3, patience=2)
    reports = []
    kept = fit(TINY, training, PANEL, reports.append)
    losses = {progress.epoch: progress.validation_loss for progress in reports}  # the last word of each epoch
    assert reports[-1].share == 1.0
    assert reports[-1].epoch < 30
    best = min(losses, key=losses.get)
    assert best == reports[-1].epoch - 2
    assert _validation_loss(kept) == pytest.approx(losses[best], rel=1e-3)


def _validation_loss(weights):
    """Compute the validation loss without Keras: mean absolute error in window units on the held-out windows."""
    _, held = split(PANEL, TINY.context, TINY.horizon, hold=True)
    reader = Reader(TINY, facts_of(TINY, PANEL), PANEL)
    series, at = held.spread(16 * min(8, len(held) // 16))
    predicted = roll(reader, OnnxEngine(TINY, weights), series, at, TINY.horizon)
    away = np.abs(predicted.median - reader.future(series, at, TINY.horizon))
    return float((away / predicted.spread).mean())


def test_gradients_are_clipped_by_their_global_norm(quick):
    """A mean of clipped gradients is no longer than the clip norm, and here about as long."""
    length = np.sqrt(sum(np.square(moment).sum() for moment in quick.moments))
    assert QUICK.clip_norm / 3 < length <= QUICK.clip_norm * 1.001


def test_gradients_are_clipped_by_value():
    training = replace(QUICK, max_epochs=1, patience=0, clip_value=0.001)
    highest = max(np.abs(moment).max() for moment in train_with(training).moments)
    assert 0.0003 < highest <= 0.001001


def test_a_history_that_is_too_short_is_refused_with_the_length_it_needs():
    with pytest.raises(InputError, match=r"longest series has 12 .* horizon of 6 needs at least 13"):
        fit(TINY, QUICK, panel_of(range(12), range(3)))


def test_a_strategy_that_cannot_learn_needs_no_training():
    spec = replace(TINY, strategy="seasonal_naive", skip=False)
    reports = []
    facts = {f"facts/{name}" for name in ("mean", "deviation", "prior", "unit")}
    assert set(fit(spec, QUICK, PANEL, reports.append)) == facts
    assert reports == []


def test_the_level_of_a_series_without_history_is_learned_from_static_covariates():
    """Level 10 in the north, 50 in the south: a new series in the south is forecast near 50."""
    rng = np.random.default_rng(1)
    places = [0, 1] * 6
    histories = [(10, 50)[place] + rng.normal(0, 1, 40) for place in places]
    panel = with_covariates(panel_of(*histories), {"place": ("north", "south")}, place=np.repeat(places, 40))
    spec = small_spec(context=0, horizon=3, static_covariates=("place",), categories=(("place", ("north", "south")),))
    training = Training(max_epochs=2, steps_per_epoch=60, batch_size=32, learning_rate=1e-2)
    networks = ready_of(spec, fit(spec, training, panel))
    new = with_covariates(panel_of([np.nan] * 3, [np.nan] * 3), {"place": ("north", "south")}, place=[0] * 3 + [1] * 3)
    said = predict(networks, new, np.array([0, 1]), np.array([0, 0]), 3).median
    assert said == pytest.approx(np.array([[10.0] * 3, [50.0] * 3]), abs=3)


def test_the_effect_of_a_future_covariate_is_learned():
    """A promotion adds 10 on its day, and only the plan announces it."""
    rng = np.random.default_rng(2)
    promoted = (rng.random(400) < 0.3).astype(float)
    y = 20 + 10 * promoted + rng.normal(0, 0.5, 400)
    y[-4:] = np.nan
    panel = with_covariates(panel_of(y), promotion=promoted)
    spec = small_spec(season=1, context=8, future_covariates=("promotion",), units=16, cell="rnn")
    training = Training(max_epochs=3, steps_per_epoch=60, batch_size=32, learning_rate=1e-2)
    networks = ready_of(spec, fit(spec, training, panel))
    said = predict(networks, panel, np.array([0]), np.array([396]), 4).median
    assert said == pytest.approx(20 + 10 * promoted[None, 396:], abs=3)


def test_the_first_step_has_a_rate_and_the_last_of_the_warm_up_has_the_peak_rate():
    """Of 100 steps 3 warm up; then a cosine falls to 1 % of the peak."""
    schedule = Cosine()
    schedule.set(Training(max_epochs=10, steps_per_epoch=10, learning_rate=0.3))
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.3])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[100] == pytest.approx(0.003)


def test_a_training_of_one_batch_changes_the_weights(quick):
    once = replace(QUICK, max_epochs=1, steps_per_epoch=1, patience=0, weight_decay=0.0)
    taught = fit(TINY, once, PANEL, initial_weights=quick.weights)
    assert (taught["head/kernel"] != quick.weights["head/kernel"]).any()
