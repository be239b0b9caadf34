"""Confidence that one forecaster is better: by hand, and correct on average for every overlap."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.significance import confidence, student_t

SEEDS = st.integers(0, 2**32 - 1)


def test_students_t_agrees_with_tables() -> None:
    assert student_t(0.0, 3) == 0.5
    for degrees, t in {1: 3.078, 2: 1.886, 3: 1.638, 4: 1.533, 10: 1.372, 13: 1.350}.items():
        assert student_t(t, degrees) == pytest.approx(0.9, abs=1e-4)
        assert student_t(-t, degrees) == pytest.approx(0.1, abs=1e-4)


def test_five_origins_have_one_cosine_by_hand() -> None:
    # cos(pi (t - 1/2) / 5) of gains that rise from 0 to 4: the projection is its slope on a half wave.
    wave = [math.cos(math.pi * (t + 0.5) / 5) for t in range(5)]
    projection = math.sqrt(2 / 5) * sum(w * t for w, t in zip(wave, range(5), strict=True))
    t = math.sqrt(5) * 2 / abs(projection)
    assert confidence(np.arange(5.0)) == pytest.approx(0.5 + math.atan(t) / math.pi)  # Student's t of one degree


def test_fewer_than_five_origins_give_no_confidence() -> None:
    assert confidence(np.ones(4)) is None


@pytest.mark.parametrize(("gain", "sure"), [(0.5, 1.0), (0.0, 0.5), (-0.5, 0.0)])
def test_a_gain_that_is_the_same_everywhere_is_certain(gain: float, sure: float) -> None:
    assert confidence(np.full(20, gain)) == sure


@pytest.mark.parametrize("sign", [1, -1])
def test_one_gain_among_ties_gives_little_confidence(sign: int) -> None:
    # By hand: a mean of 1/5 with a variance of 1/5 is t = sqrt(5) * 0.2 / sqrt(0.2) = 1, of one degree: 3/4.
    gains = np.zeros(5)
    gains[2] = sign
    assert confidence(gains) == pytest.approx(0.5 + sign * 0.25)


@pytest.mark.parametrize("overlap", [1, 3])
def test_symmetric_gains_give_no_certainty(overlap: int) -> None:
    sure = confidence(np.array([-10.0, 3.0, 15.0, 3.0, -10.0]), overlap)
    assert sure is not None
    assert 0.5 < sure < 0.6


@given(SEEDS, st.integers(5, 60), st.integers(1, 30))
def test_confidence_is_symmetric_and_independent_of_the_unit(seed: int, n: int, overlap: int) -> None:
    gains = np.random.default_rng(seed).normal(size=n)
    sure = confidence(gains, overlap)
    assert sure is not None
    assert confidence(-gains, overlap) == pytest.approx(1 - sure)
    assert confidence(gains * 1e6, overlap) == pytest.approx(sure)
    assert confidence(gains[::-1], overlap) == pytest.approx(sure)


@given(SEEDS, st.integers(5, 60), st.floats(0.1, 10))
def test_a_larger_gain_gives_more_confidence(seed: int, n: int, more: float) -> None:
    gains = np.random.default_rng(seed).normal(size=n)
    least, most = confidence(gains), confidence(gains + more)
    assert least is not None
    assert most is not None
    assert least <= most


def overlapping(n: int, overlap: int, tied: float = 0.0, cases: int = 2_000) -> np.ndarray:
    """Gains of equal forecasters: each is the mean of ``overlap`` errors, and neighbours share all but one of them."""
    errors = np.random.default_rng(n).normal(size=(cases, n + overlap + 50))
    for t in range(1, errors.shape[1]):
        errors[:, t] += tied * errors[:, t - 1]
    sums = np.cumsum(errors[:, 50:], axis=1)
    return (sums[:, overlap:] - sums[:, :-overlap]) / overlap


@pytest.mark.parametrize(("n", "overlap"), [(5, 1), (10, 4), (19, 4), (19, 24), (30, 12), (60, 24), (60, 1)])
@pytest.mark.parametrize("asked", [0.8, 0.9])
def test_equal_forecasters_differ_no_more_often_than_the_level_allows(n: int, overlap: int, asked: float) -> None:
    wrong = np.mean([confidence(gains, overlap) >= asked for gains in overlapping(n, overlap)])
    three_sigma = 3 * math.sqrt(asked * (1 - asked) / 2_000)
    assert wrong <= 1 - asked + three_sigma


def test_errors_correlated_beyond_the_overlap_cost_little() -> None:
    wrong = np.mean([confidence(gains, 7) >= 0.9 for gains in overlapping(19, 7, tied=0.7)])
    assert wrong <= 0.14


def test_without_the_overlap_equal_forecasters_would_differ_too_often() -> None:
    wrong = np.mean([confidence(gains, 1) >= 0.9 for gains in overlapping(19, 24)])
    assert wrong >= 0.15


def test_a_forecaster_that_is_better_by_a_standard_deviation_is_found() -> None:
    gains = overlapping(60, 4) + 0.5  # the mean of four errors has half the spread of one
    assert np.mean([confidence(one, 4) >= 0.9 for one in gains]) >= 0.9


@given(st.integers(-40, 40), st.integers(5, 40), st.integers(1, 12), st.integers(0, 9))
def test_the_confidence_does_not_depend_on_the_unit_of_the_gains(power: int, n: int, overlap: int, seed: int) -> None:
    gains = np.random.default_rng(seed).normal(0.2, 1, size=n)
    assert confidence(2.0**power * gains, overlap) == confidence(gains, overlap)
