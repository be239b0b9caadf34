"""Errors of the linear prediction of new values from those before them."""

import numpy as np
import pytest

from models.evaluation.pattern import pattern_errors

WEEK = np.resize([3.0, 1, 4, 1, 5, 9, 2], 140)
NOISE = np.random.default_rng(0).normal(size=140)


def mean_error(values: np.ndarray, known: int = 100, season: int = 7) -> float:
    return float(np.nanmean(np.abs(pattern_errors(values, known, season)[known:])))


def test_a_repeated_week_is_predicted_and_a_shuffled_one_is_not() -> None:
    shuffled = np.concatenate([WEEK[:100], np.random.default_rng(1).permutation(WEEK[100:])])
    assert mean_error(WEEK) < 0.1
    assert mean_error(shuffled) > np.abs(shuffled[100:] - np.median(WEEK)).mean()


def test_a_trend_is_predicted_from_the_last_values() -> None:
    assert mean_error(np.arange(140.0), season=1) < 1


def test_a_random_walk_is_predicted_as_well_as_its_steps_are_large() -> None:
    assert mean_error(NOISE.cumsum(), season=1) == pytest.approx(np.abs(NOISE[100:]).mean(), rel=0.1)


def test_what_follows_the_known_values_does_not_change_the_prediction() -> None:
    other = np.concatenate([WEEK[:100] + NOISE[:100], np.full(40, 1e9)])
    assert np.array_equal(
        pattern_errors(WEEK + NOISE, 100, 7)[:100], pattern_errors(other, 100, 7)[:100], equal_nan=True
    )


def test_one_outlier_does_not_decide_the_prediction() -> None:
    wild = WEEK + 0.1 * NOISE
    wild[50] = 1_000
    assert mean_error(wild) < 0.5


def test_values_without_a_value_before_them_have_no_error() -> None:
    gap = WEEK.copy()
    gap[110] = np.nan
    errors = pattern_errors(gap, 100, 7)
    assert np.flatnonzero(np.isnan(errors[100:])).tolist() == [10, 11, 12, 17, 18]
    assert np.isnan(errors[:8]).all()


@pytest.mark.parametrize(
    "known", [np.zeros(60), np.full(60, np.nan), np.arange(5.0), np.array([]), np.where(np.arange(60) % 2, 1.0, np.nan)]
)
def test_a_past_that_teaches_nothing_gives_no_error(known: np.ndarray) -> None:
    values = np.concatenate([known, np.ones(20)])
    errors = pattern_errors(values, len(known), 1)
    assert len(errors) == len(values)
    assert not np.isinf(errors).any()


def test_the_unit_of_the_values_is_that_of_the_errors() -> None:
    usual, large = (pattern_errors(unit * (WEEK + NOISE), 100, 7) for unit in (1.0, 2.0**40))
    assert np.array_equal(large, 2.0**40 * usual, equal_nan=True)
