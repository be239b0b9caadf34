"""Seasonal naive in place of a model, for series unlike those that it was trained on."""

import numpy as np
import pytest

from models.forecasting import bundle
from models.forecasting.forecaster import forecast, forecast_together
from models.forecasting.split import ForecastInput
from models.network.inputs import facts_of
from tests.models.samples import flat_calibration, forecaster_of, panel_of, ready_of, small_spec, weights_of

NAN = float("nan")
SPEC = small_spec(season=6, context=18, horizon=6)
STEPS = np.arange(72)
EXACT = 1000.0 + 10 * (STEPS % 6)


def training_panel():
    rng, t = np.random.default_rng(0), np.arange(300)
    return panel_of(*(10 * np.sin(2 * np.pi * t / 6) + 4 * rng.normal(size=300) for _ in range(3)))


FACTS = facts_of(SPEC, training_panel()).to_weights()
WEIGHTS = weights_of(SPEC) | FACTS  # random, so that it forecasts nothing well
NETWORKS, BARE = ready_of(SPEC, WEIGHTS), ready_of(SPEC, weights_of(SPEC))


def forecast_of(y, networks=NETWORKS, horizon=6, levels=(50, 80, 95)):
    return forecast(networks, flat_calibration(6), panel_of(y), horizon, levels)


def codes(found):
    return [note.code for note in found.notes]


def test_a_series_with_an_exact_season_is_forecast_by_seasonal_naive():
    found = forecast_of(EXACT)
    assert found.median.tolist() == found.mean.tolist() == [[1000, 1010, 1020, 1030, 1040, 1050]]
    assert codes(found) == ["seasonal_naive_instead"]
    assert "worse than seasonal naive" in found.notes[0].message
    for lo, hi in found.intervals.values():
        assert (lo < found.median).all()
        assert (hi > found.median).all()


def test_its_intervals_come_from_the_errors_of_seasonal_naive_in_the_history():
    y = EXACT + np.where(STEPS < 36, 0.0, 1.0)  # six of 66 seasonal differences are 1, no two seasons apart are 2
    found = forecast_of(y, horizon=12)
    width = {level: (hi - lo)[0] / 2 for level, (lo, hi) in found.intervals.items()}
    # the errors beside which one of the mean distance from the mean, about 15, counts; that over 68 is the least
    spread = np.abs(y - y.mean()).mean()
    assert width[50] == pytest.approx([spread / 68] * 6 + [spread / 62] * 6)
    assert width[95] == pytest.approx(np.ones(12))


def test_a_usual_series_and_one_of_a_model_without_a_known_range_are_left_to_the_model():
    usual = training_panel().series(0)[-72:]
    assert forecast_of(usual).median.tolist() == forecast_of(usual, BARE).median.tolist()
    assert codes(forecast_of(usual)) == codes(forecast_of(EXACT, BARE)) == []


def test_an_unlike_series_that_seasonal_naive_forecasts_no_better_keeps_the_model():
    noise = np.random.default_rng(5).normal(50, 5, 72)
    weights = {**weights_of(SPEC), **zero_head()}
    found, plain = (forecast_of(noise, ready_of(SPEC, own)) for own in (weights | FACTS, weights))
    assert codes(found) == ["unlike_training"]
    assert found.median.tolist() == plain.median.tolist()
    # the errors at two origins, six steps each: of twelve the 95 % quantile is the largest
    ends = [noise[:66], noise[:60]]
    errors = [np.abs(forecast_of(y, ready_of(SPEC, weights)).median[0] - noise[len(y) :][:6]) for y in ends]
    assert (found.intervals[95].hi - found.median).min() >= np.max(errors) - 1e-9
    assert (found.intervals[95].lo <= plain.intervals[95].lo).all()


def test_steps_far_ahead_have_wider_intervals():
    lo, hi = forecast_of(EXACT, horizon=240).intervals[80]
    assert (np.diff(hi - lo) >= -1e-9).all()
    assert (hi - lo)[0, -1] == pytest.approx((hi - lo)[0, 119] * np.sqrt(2))


def zero_head():
    """Return output weights by which the network forecasts the level of its window."""
    return {name: 0 * weight for name, weight in weights_of(SPEC).items() if name.split("/")[0] in ("head", "gate")} | {
        "gate/bias": np.full_like(weights_of(SPEC)["gate/bias"], -30)
    }


@pytest.mark.parametrize("points", [2, 7, 9, 13, 30])
def test_a_short_or_constant_history_can_be_judged_without_a_fault(points):
    for y in (EXACT[:points], np.full(points, 5.0), np.append([NAN] * 30, EXACT[:points])):
        assert np.isfinite(forecast_of(y).median).all()


def test_a_series_has_the_same_forecast_alone_and_in_a_batch():
    series = [EXACT, training_panel().series(0)[-72:], EXACT[:40] + 7, np.where(STEPS == 60, NAN, EXACT)]
    inputs = [ForecastInput(panel_of(*series[:2]), 3, [80]), ForecastInput(panel_of(*series[2:]), 12, [50, 80])]
    first, second = forecast_together(NETWORKS, flat_calibration(6), inputs)
    together = [*first.median, *second.median]
    for y, median, horizon in zip(series, together, (3, 3, 12, 12), strict=True):
        assert forecast_of(y, horizon=horizon).median[0] == pytest.approx(median, rel=1e-6)
    assert [note.unique_id for note in first.notes if note.code == "seasonal_naive_instead"] == ["s0"]
    replaced = [note.unique_id for note in second.notes if note.code == "seasonal_naive_instead"]
    assert replaced == ["s0", "s1"]
    assert second.intervals[50].lo.shape == (2, 12)
    assert (second.intervals[80].hi >= second.intervals[50].hi).all()


def test_the_prediction_that_is_scored_later_stays_the_models():
    assert forecast_of(EXACT).prediction.median.tolist() == forecast_of(EXACT, BARE).median.tolist()


def test_the_usual_range_is_part_of_a_bundle_and_may_be_absent():
    for weights in (WEIGHTS, weights_of(SPEC)):
        back = bundle.from_bytes(bundle.to_bytes(forecaster_of((SPEC, weights))))
        assert back.members[0].weights.keys() == weights.keys()
        assert [codes(forecast_of(EXACT, ready_of(*back.members[0][:2])))] == [
            ["seasonal_naive_instead"] if "facts/usual" in weights else []
        ]
