"""Conformal intervals: ranks by hand, correct coverage."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.evaluation.intervals import LEVELS, Prediction, band, calibrate, interpolate_quantile

NAN = np.nan


def points(count, horizon=1, spread=1.0):
    """Predictions of a model without quantiles: always 0."""
    return Prediction.of_points(np.zeros((count, horizon)), np.full((count, 1), spread))


def calibrated(residuals):
    residuals = np.asarray(residuals, dtype=float)
    return calibrate(points(*residuals.shape), residuals)


def coverage(actual, calibration, level):
    lo, hi = calibration.intervals(points(*actual.shape), [level])[level]
    return float(((lo <= actual) & (actual <= hi)).mean())


def ladder(count, horizon=1):
    """Residuals of sizes 1 to count, in random order and of both signs."""
    sizes = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    return np.repeat((sizes * np.where(sizes % 2, 1, -1))[:, None], horizon, axis=1)


@pytest.mark.parametrize(
    ("count", "level", "rank"),
    [
        (4, 20, 1),  # 5 * 0.2 = 1
        (4, 21, 2),  # 5 * 0.21 = 1.05, so the second
        (4, 50, 3),
        (4, 80, 4),
        (9, 10, 1),
        (9, 75, 8),
        (9, 90, 9),
        (19, 80, 16),
        (19, 95, 19),
        (99, 99, 99),
    ],
)
def test_the_radius_is_the_residual_of_the_rank_worked_by_hand(count, level, rank):
    assert calibrated(ladder(count)).radius(level, 1).tolist() == [rank]


@pytest.mark.parametrize(
    ("count", "highest"), [(0, 0), (1, 50), (4, 80), (9, 90), (19, 95), (24, 96), (99, 99), (10**6, 99)]
)
def test_few_residuals_allow_no_high_level(count, highest):
    calibration = calibrated(ladder(count))
    assert calibration.highest_level == highest
    assert np.isfinite(calibration.radii).all(axis=0).tolist() == (highest >= LEVELS).tolist()


def test_a_level_that_is_too_high_is_refused_with_the_highest_possible_one():
    with pytest.raises(InputError) as caught:
        calibrated(ladder(4)).intervals(points(1), [50, 81])
    (fault,) = caught.value.faults
    assert (fault.code, fault.field) == ("level_too_high", "levels")
    assert fault.hint.startswith("ask for at most 80")


@pytest.mark.parametrize("level", [-1, 0, 100, 101, 10**9])
def test_a_level_that_is_not_a_percentage_is_refused(level):
    with pytest.raises(InputError, match="not a percentage from 1 to 99"):
        calibrated(ladder(200)).radius(level, 1)


def test_steps_beyond_the_calibrated_ones_grow_with_the_square_root():
    radii = calibrated(ladder(9, horizon=4)).radius(90, 16)
    assert radii[:4].tolist() == [9] * 4
    assert radii[4:].tolist() == pytest.approx([9 * (step / 4) ** 0.5 for step in range(5, 17)])
    assert radii[15] == pytest.approx(18)


def test_a_shorter_horizon_has_the_first_radii():
    assert calibrated(ladder(9, horizon=3) * [1, 2, 3]).radius(90, 2).tolist() == [9, 18]


def test_each_step_counts_its_observed_values():
    residuals = np.concatenate([ladder(9, horizon=2), [[NAN, 10.0], [np.inf, 11.0]]])
    calibration = calibrated(residuals)
    assert calibration.count == 9
    # the second step has 1 to 11, of which the eleventh: ceil(12 * 0.9)
    assert calibration.radius(90, 2).tolist() == [9, 11]


def test_constant_windows_are_left_out_and_the_others_scaled_by_their_spread():
    spread = np.array([[0.0], *[[2.0]] * 4])
    calibration = calibrate(
        Prediction.of_points(np.zeros((5, 1)), spread), np.array([[99.0], [2.0], [4.0], [6.0], [8.0]])
    )
    assert (calibration.count, calibration.radius(80, 1).tolist()) == (4, [4])
    (made,) = calibration.intervals(Prediction.of_points(np.array([[1.0]]), np.array([[10.0]])), [80]).values()
    assert (made.lo.item(), made.hi.item()) == (-39, 41)


def test_huge_residuals_give_finite_radii():
    assert np.isfinite(calibrated(ladder(9) * 1e300).radii[:, :90]).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 30))
def test_a_higher_level_is_never_narrower(residuals, horizon):
    calibration = calibrated(np.array(residuals)[:, None])
    radii = [calibration.radius(level, horizon) for level in range(1, calibration.highest_level + 1)]
    assert all((a <= b).all() for a, b in pairwise(radii))


# A model with quantiles


def predicted(*quantiles, levels=(0.1, 0.5, 0.9)):
    """Return the prediction of one window and one step with these quantiles."""
    return Prediction.of_quantiles(np.array([[0.0]]), np.array([[1.0]]), np.array([[quantiles]], dtype=float), levels)


def test_a_band_is_interpolated_between_the_predicted_quantiles():
    assert band(predicted(-10, 0, 20), 80) == (-10, 20)
    # 0.3 and 0.7 lie half way
    assert [edge.item() for edge in band(predicted(-10, 0, 20), 40)] == pytest.approx([-5, 10])


def test_beyond_the_outermost_quantile_a_band_grows_like_a_normal_distribution():
    # 95 percent of a normal distribution lie within 1.96 deviations, 80 within 1.2816
    assert [edge.item() for edge in band(predicted(-10, 0, 20), 95)] == pytest.approx([-15.294, 30.587], abs=0.01)
    normal = predicted(*[5 + 2 * z for z in (-1.2816, 0, 1.2816)])
    assert [edge.item() for edge in band(normal, 99)] == pytest.approx([5 - 2 * 2.5758, 5 + 2 * 2.5758], abs=0.001)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (predicted(7, levels=(0.5,)), (7, 7)),
        (predicted(7, 9, levels=(0.5, 0.75)), (7, 9 + 2 * 0.9)),  # the normal score of 0.9 is 1.9 times that of 0.75
    ],
)
def test_a_side_without_quantiles_has_no_width(prediction, expected):
    assert [edge.item() for edge in band(prediction, 80)] == pytest.approx(expected, abs=0.01)


def test_a_model_with_the_median_only_is_calibrated_as_one_without_quantiles():
    alone = Prediction.of_quantiles(np.zeros((4, 1)), np.ones((4, 1)), np.zeros((4, 1, 1)), (0.5,))
    assert calibrate(alone, ladder(4)).radii.tolist() == pytest.approx(calibrated(ladder(4)).radii, nan_ok=True)


def head(centre, width):
    """Windows whose 80 percent band is ``centre`` plus or minus ``width`` (N,)."""
    quantiles = np.stack([centre - width, centre, centre + width], axis=1)[:, None, :]
    return Prediction.of_quantiles(centre[:, None], np.ones((len(centre), 1)), quantiles, (0.1, 0.5, 0.9))


def test_calibration_widens_a_band_that_is_too_narrow():
    """Four values lie 1, 2, 3 and 4 above bands of different width: the fourth of four is the radius for 80 percent."""
    width = np.array([5.0, 6.0, 7.0, 8.0])
    calibration = calibrate(head(np.zeros(4), width), (width + np.arange(1, 5))[:, None])
    assert calibration.radius(80, 1).tolist() == [4]
    (made,) = calibration.intervals(head(np.zeros(1), np.array([10.0])), [80]).values()
    assert (made.lo.item(), made.hi.item()) == (-14, 14)


def test_calibration_narrows_a_band_that_is_too_wide_but_never_inside_out():
    width = np.full(9, 5.0)
    calibration = calibrate(head(np.zeros(9), width), np.linspace(-3, 3, 9)[:, None])
    assert calibration.radius(80, 1).tolist() == [-2]  # ceil(10 * 0.8): the second largest of |truth| is 3, less 5
    narrow = calibration.intervals(head(np.zeros(1), np.array([1.0])), [80])[80]
    assert narrow.lo.item() == narrow.hi.item() == 0
    assert calibration.radius(80, 4).tolist() == [-2] * 4  # nor does it narrow more and more beyond


@given(st.integers(0, 99), st.lists(st.integers(1, 99), min_size=2, max_size=6))
def test_a_higher_level_contains_every_lower_one_for_any_quantiles(seed, levels):
    rng = np.random.default_rng(seed)
    calibration = calibrate(head(rng.normal(size=120), rng.exponential(size=120)), rng.standard_cauchy((120, 1)))
    made = calibration.intervals(head(rng.normal(size=20), rng.exponential(size=20)), levels)
    assert list(made) == sorted(set(levels))
    assert all((made[a].lo >= made[b].lo).all() and (made[a].hi <= made[b].hi).all() for a, b in pairwise(made))
    assert all((interval.lo <= interval.hi).all() for interval in made.values())


@pytest.mark.parametrize("claimed", [0.5, 1.0, 3.0])
def test_bands_of_any_width_are_calibrated_to_their_level(claimed):
    """The deviation differs between windows; the model knows it up to a factor."""
    rng = np.random.default_rng(3)

    def draw(count):
        own = rng.uniform(0.5, 2, count)
        return head(np.zeros(count), claimed * 1.2816 * own), rng.normal(size=(count, 1)) * own[:, None]

    calibration = calibrate(*draw(1000))
    prediction, actual = draw(5000)
    for level, (lo, hi) in calibration.intervals(prediction, [50, 80, 95]).items():
        assert ((lo <= actual) & (actual <= hi)).mean() == pytest.approx(level / 100, abs=0.03)


def test_scales_widen_intervals_about_the_mean():
    calibration = calibrated(ladder(9))
    stretch = np.ones(99)
    stretch[89] = 2
    made = calibration.with_scales(stretch).intervals(
        Prediction.of_points(np.array([[1.0]]), np.array([[1.0]])), [50, 90]
    )
    assert [(interval.lo.item(), interval.hi.item()) for interval in made.values()] == [(-4, 6), (-17, 19)]


# Honesty


@pytest.mark.parametrize("noise", ["standard_normal", "standard_cauchy", "standard_exponential"])
def test_intervals_cover_their_level_of_exchangeable_residuals(noise):
    draw = getattr(np.random.default_rng(1), noise)
    calibration = calibrated(draw((1000, 6)))
    for level in (50, 80, 95):
        assert coverage(draw((5000, 6)), calibration, level) == pytest.approx(level / 100, abs=0.03)


def test_coverage_over_many_small_calibrations_is_exact_on_average():
    """With n = 9 and level 80 the rank is 8, so that 8 of 10 exchangeable residuals are covered."""
    rng = np.random.default_rng(2)
    shares = [coverage(rng.normal(size=(50, 1)), calibrated(rng.normal(size=(9, 1))), 80) for _ in range(2000)]
    assert np.mean(shares) == pytest.approx(0.8, abs=0.01)


def test_correlated_residuals_still_cover_on_average():
    """A random walk forecast by its last value: a year of origins one step apart, then another year."""
    rng, shares = np.random.default_rng(4), []
    for _ in range(300):
        walk = np.cumsum(rng.normal(size=760))
        ahead = np.stack([walk[step : step + 700] - walk[:700] for step in range(1, 8)], axis=1)
        shares.append(coverage(ahead[370:], calibrated(ahead[:365]), 80))
    assert np.mean(shares) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    "levels", [(0.1, 0.5, 0.9), (0.05, 0.2, 0.5, 0.8, 0.95), (0.25, 0.4, 0.75), (0.6, 0.9), (0.5,)]
)
def test_the_mean_of_quantiles_is_the_integral_of_the_bounds_that_are_read_from_them(levels):
    quantiles = np.sort(np.random.default_rng(1).lognormal(size=(1, 1, len(levels))))
    made = Prediction.of_quantiles(np.zeros((1, 1)), np.ones((1, 1)), quantiles, levels)
    at = (np.arange(100_000) + 0.5) / 100_000
    read = [interpolate_quantile(made, float(one))[0, 0] for one in at[::10]]
    assert made.mean[0, 0] == pytest.approx(np.mean(read), rel=2e-3)


def test_the_mean_of_a_symmetric_distribution_is_its_median_and_a_long_tail_moves_it():
    even = Prediction.of_quantiles(np.zeros((1, 1)), np.ones((1, 1)), np.array([[[-2.0, 0.0, 2.0]]]), (0.1, 0.5, 0.9))
    assert even.mean[0, 0] == pytest.approx(0)
    skewed = Prediction.of_quantiles(np.zeros((1, 1)), np.ones((1, 1)), np.array([[[0.0, 0.0, 9.0]]]), (0.1, 0.5, 0.9))
    # Trapezium from the median to 90 %: 0.4 * 4.5. Beyond it: 9 / 1.2816 times the normal density there, 0.1755.
    assert skewed.mean[0, 0] == pytest.approx(1.8 + 9 / 1.2816 * 0.1755, rel=1e-3)
