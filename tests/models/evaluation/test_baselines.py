"""Baselines, computed by hand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.baselines import (
    MAX_FITTED,
    QUICK,
    CannotFit,
    drift,
    ets,
    interpolate_gaps,
    naive,
    naive2,
    seasonal_naive,
    theta,
)

NAN = np.nan


def past_of(*values):
    return np.array([values], dtype=float)


def test_naive_repeats_the_last_value():
    assert naive(np.array([[1.0, 2.0], [3.0, 4.0]]), 3).tolist() == [[2, 2, 2], [4, 4, 4]]


def test_naive_repeats_the_last_value_that_was_observed():
    assert naive(past_of(1, 2, NAN), 2).tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("season", "expected"),
    [(1, [4, 4, 4, 4, 4]), (2, [3, 4, 3, 4, 3]), (4, [1, 2, 3, 4, 1]), (5, [4, 1, 2, 3, 4]), (9, [4, 4, 4, 4, 4])],
)
def test_seasonal_naive_repeats_the_last_season_and_is_naive_for_phases_without_a_value(season, expected):
    assert seasonal_naive(past_of(1, 2, 3, 4), 5, season).tolist() == [expected]


def test_seasonal_naive_replaces_a_gap_from_the_season_before():
    # phases of 3: the first is missing in the newest season, the third in both
    assert seasonal_naive(past_of(1, 2, NAN, NAN, 5, NAN), 4, 3).tolist() == [[1, 5, 5, 1]]


def test_drift_extends_the_line_from_the_first_to_the_last_value():
    assert drift(past_of(1, 9, 9, 7), 3).tolist() == [[9, 11, 13]]


def test_drift_counts_the_steps_between_its_values():
    # from 1 at the second place to 5 at the fourth: 2 a step, and one step was missed
    assert drift(past_of(NAN, 1, NAN, 5, NAN), 2).tolist() == [[9, 11]]
    assert drift(past_of(NAN, 3, NAN), 2).tolist() == [[3, 3]]


@pytest.mark.parametrize("name", QUICK)
def test_without_observed_values_there_is_no_forecast(name):
    assert np.isnan(QUICK[name](past_of(NAN, NAN, NAN), 2, 2)).all()


@given(st.data(), st.sampled_from(sorted(QUICK)), st.integers(1, 7), st.integers(1, 9))
def test_padding_on_the_left_changes_nothing(data, name, season, padding):
    past = np.array([data.draw(st.lists(st.floats(-9, 9) | st.just(NAN), min_size=1, max_size=20))])
    wide = np.pad(past, ((0, 0), (padding, 0)), constant_values=NAN)
    assert QUICK[name](wide, 5, season) == pytest.approx(QUICK[name](past, 5, season), nan_ok=True)


def test_gaps_are_filled_on_a_line_and_begin_with_the_first_value():
    assert interpolate_gaps(np.array([NAN, 1.0, NAN, NAN, 4.0, NAN])).tolist() == [1, 2, 3, 4, 4]
    with pytest.raises(CannotFit, match="no value of the history was observed"):
        interpolate_gaps(np.array([NAN, NAN]))


def test_naive2_finds_the_factors_of_a_season():
    season = np.array([0.5, 1.0, 1.5])
    # ends with the factor 1.5 at level 10: the adjusted last value is 10, and the season starts again
    assert naive2(np.tile(10 * season, 8), 4, 3) == pytest.approx([5, 10, 15, 5])
    # ends in the middle of a season
    assert naive2(np.tile(10 * season, 8)[:-1], 3, 3) == pytest.approx([15, 5, 10])


@pytest.mark.parametrize(
    ("history", "season"),
    [
        (np.tile([1.0, 5.0, 9.0], 2), 3),  # two seasons are too few to see one
        (np.full(30, 7.0), 3),
        (np.tile([-1.0, 0.0, 4.0], 10), 3),  # factors of 0 and less
        (np.arange(30.0), 1),
    ],
)
def test_naive2_is_naive_if_no_season_is_found(history, season):
    assert naive2(history, 2, season).tolist() == [history[-1]] * 2


SEASONAL = 20 + 5 * np.sin(np.arange(96) * np.pi / 6) + np.random.default_rng(0).normal(0, 0.5, 96)


@pytest.mark.parametrize("fit", [theta, ets])
def test_statistical_baselines_continue_a_season(fit):
    pytest.importorskip("statsforecast", reason="Theta and ETS are in the extra `worker`")
    expected = 20 + 5 * np.sin(np.arange(96, 108) * np.pi / 6)
    assert fit(SEASONAL, 12, 12) == pytest.approx(expected, abs=1.5)
    gaps = SEASONAL.copy()
    gaps[[3, 40, 41]] = NAN
    assert fit(gaps, 12, 12) == pytest.approx(expected, abs=1.5)


def test_statistical_baselines_see_the_last_thousand_points():
    pytest.importorskip("statsforecast", reason="Theta and ETS are in the extra `worker`")
    noise = np.random.default_rng(0).normal(10, 1, MAX_FITTED)
    assert theta(np.concatenate([np.full(500, 1e6), noise]), 3, 1).tolist() == theta(noise, 3, 1).tolist()


@pytest.mark.parametrize(("fit", "season"), [(theta, 61), (ets, 25)])
def test_statistical_baselines_refuse_a_long_season_with_the_reason(fit, season):
    with pytest.raises(CannotFit, match=f"a season of {season} is over"):
        fit(np.arange(200.0), 2, season)


@pytest.mark.parametrize("fit", [theta, ets])
def test_a_history_that_statsforecast_cannot_fit_gives_a_reason(fit):
    pytest.importorskip("statsforecast", reason="Theta and ETS are in the extra `worker`")
    with pytest.raises(CannotFit, match="statsforecast"):
        fit(np.array([1.0, NAN]), 2, 12)


def test_without_statsforecast_its_baselines_name_the_package_to_install():
    script = """
import sys
sys.modules["statsforecast"] = None
import numpy as np
from models.evaluation.baselines import CannotFit, theta
try:
    theta(np.arange(50.0), 2, 1)
except CannotFit as error:
    print(error)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "statsforecast is not installed; install the extra `worker`\n"
