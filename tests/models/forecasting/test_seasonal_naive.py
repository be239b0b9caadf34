"""Seasonal naive as a member: to the digit the baseline of that name, however far back a value must be read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.windows import take
from models.engines.onnx import OnnxEngine
from models.evaluation.backtest import baseline_errors, evaluate
from models.evaluation.baselines import seasonal_naive
from models.evaluation.origins import BacktestPlan, origins_of
from models.forecasting.forecaster import make_runnable, predict
from models.forecasting.seasonal_naive import points_read
from models.training.blending import seasonal_naive_for
from tests.models.samples import panel_of, small_spec

NAN = float("nan")


def member(season, horizon=4):
    return make_runnable([seasonal_naive_for(small_spec(season=season, horizon=horizon))], OnnxEngine)


def forecast_of(y, season, horizon):
    panel = panel_of(y)
    return predict(member(season, horizon), panel, np.array([0]), panel.observed_lengths, horizon).median[0].tolist()


def test_a_history_shorter_than_a_season_repeats_its_last_value():
    assert forecast_of([100, 200, 300], 7, 3) == [300, 300, 300]


def test_after_an_outage_of_two_seasons_the_season_before_it_is_repeated():
    week = [10.0, 12, 14, 16, 18, 30, 28]
    assert forecast_of([*week * 4, *[NAN] * 18, 18], 7, 7) == [30, 28, 10, 12, 14, 16, 18]


@st.composite
def panels(draw):
    """Up to three series of up to 60 points, with gaps of any length; the last point of each is observed."""
    rng, made = np.random.default_rng(draw(st.integers(0, 2**32))), []
    for length in draw(st.lists(st.integers(2, 60), min_size=1, max_size=3)):
        y = 1e5 + rng.normal(size=length)
        y[:-1][rng.random(length - 1) < draw(st.sampled_from([0, 0.2, 0.9]))] = NAN
        made.append(y)
    return panel_of(*made)


@given(panels(), st.integers(1, 8), st.integers(1, 20))
def test_the_member_equals_the_baseline_to_the_digit(panel, season, horizon):
    at, rows = panel.observed_lengths, np.arange(len(panel))
    found = predict(member(season, horizon), panel, rows, at, horizon).median
    width = int(at.max())
    assert found.tolist() == seasonal_naive(take(panel.y, panel, rows, at - width, width), horizon, season).tolist()


@given(panels(), st.integers(1, 8))
def test_the_forecast_depends_on_the_points_read_alone(panel, season):
    at, rows, networks = panel.observed_lengths, np.arange(len(panel)), member(season)
    tail = panel.tail(points_read([networks[0].member.spec], panel))
    found = predict(networks, tail, rows, tail.observed_lengths, 9).median
    assert found.tolist() == predict(networks, panel, rows, at, 9).median.tolist()


@pytest.mark.parametrize("gap", [0, 25])
def test_the_mase_of_the_member_is_that_of_the_baseline(gap):
    y = 1e6 + np.random.default_rng(0).normal(size=120)
    y[60 : 60 + gap] = NAN
    origins = origins_of(panel_of(y), BacktestPlan(horizon=4, origins=15, stride=3), 7)
    networks = member(7)
    report = evaluate(lambda *window: predict(networks, *window), origins).report
    assert report.scores["model"]["mase"] == report.scores["seasonal_naive"]["mase"]
    assert report.skill == 0
    assert baseline_errors(origins, np.arange(len(origins))).score()["mase"] == report.scores["model"]["mase"]
