"""Conformal intervals: ranks by hand, correct coverage."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.transforms import TRANSFORMS, Change
from models.errors import InputError
from models.evaluation.intervals import LEVELS, Basis, Prediction, Rolled, band, calibrate
from models.evaluation.prediction import interpolate_quantile

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


def test_without_errors_beyond_the_trained_steps_widths_grow_with_the_square_root_of_the_step():
    calibration = calibrated(ladder(9, horizon=4))
    (made,) = calibration.intervals(points(1, 16), [90]).values()
    assert made.hi[0, :4].tolist() == [9] * 4
    assert made.hi[0, 4:].tolist() == pytest.approx([9 * (step / 4) ** 0.5 for step in range(5, 17)])
    assert made.lo[0, 15] == pytest.approx(-18)


def test_errors_beyond_the_trained_steps_give_their_own_radii():
    """Radii 9 to step 4; errors of steps 5 and 6 are 3 times as large, of the others up to step 16 five times."""
    factor = np.array([1, 1, 1, 1, 3, 3, *[5] * 10])
    rolled = Rolled(points(20, 16), ladder(20, horizon=16) * factor, np.arange(20))
    calibration = calibrate(points(9, 4), ladder(9, horizon=4), rolled)
    (made,) = calibration.intervals(points(1, 32), [90]).values()
    assert made.hi[0, :5].tolist() == [9, 9, 9, 9, 57]  # ceil(41 * 0.9) of two steps: the 37th of 40 is 19, times 3
    assert made.hi[0, 7:14].tolist() == [95] * 7  # the middle of the range from 6 to 8 is 7: from there on 19 times 5
    assert made.hi[0, 31] == pytest.approx(95 * (32 / 14) ** 0.5)  # beyond the middle of the last range
    assert (np.diff(made.hi - made.lo)[0, 3:] >= 0).all()


def test_a_width_never_falls_below_that_of_the_last_trained_step():
    small = Rolled(points(20, 8), ladder(20, horizon=8) * 0.01, np.arange(20))
    (made,) = calibrate(points(9, 2), ladder(9, horizon=2), small).intervals(points(1, 8), [90]).values()
    assert made.hi[0].tolist() == [9] * 8


def test_levels_that_few_residuals_of_a_step_support_are_pooled_over_the_steps():
    """One wild value among 19 of a step is its 95th percentile; of 190 values of ten steps it is not."""
    rng = np.random.default_rng(5)
    residuals = rng.normal(size=(19, 10)) * np.arange(1, 11)
    residuals[3, 4] = 1000.0
    calibration = calibrated(residuals)
    ratio = calibration.radius(95, 10) / calibration.radius(80, 10)
    assert ((ratio > 1) & (ratio < 3)).all()
    assert calibration.radius(80, 10)[9] > 4 * calibration.radius(80, 10)[0]  # each step keeps its own unit


def test_a_step_with_many_residuals_is_calibrated_by_itself():
    residuals = np.concatenate([ladder(400), 7 * ladder(400)], axis=1)
    assert calibrated(residuals).radius(80, 2).tolist() == [321, 7 * 321]  # ceil(401 * 0.8)


def test_a_shorter_horizon_has_the_first_radii():
    assert calibrated(ladder(9, horizon=3) * [1, 2, 3]).radius(90, 2).tolist() == [9, 18]


def test_each_step_counts_its_observed_values():
    residuals = np.concatenate([ladder(9, horizon=2), [[NAN, 10.0], [np.inf, 11.0]]])
    calibration = calibrated(residuals)
    assert calibration.count == 9
    # The medians are 5 and 6. In these units the 19th of all 20 values, ceil(21 * 0.9), is 9 / 5.
    assert calibration.radius(90, 2).tolist() == pytest.approx([9, 10.8])


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


Z = 1.2816  # normal score of 90 percent: of the outermost quantiles
SHARE = 0.05  # window units for each unit of score, beside the quantiles


def test_calibration_widens_a_band_that_is_too_narrow():
    """Four values lie at 2 times their bands of different width: so does the interval of another width."""
    width = np.array([5.0, 6.0, 7.0, 8.0])
    calibration = calibrate(head(np.zeros(4), width), 2 * (width + SHARE * Z)[:, None])
    assert calibration.radius(80, 1) == pytest.approx([2 * Z], rel=1e-4)
    (made,) = calibration.intervals(head(np.zeros(1), np.array([10.0])), [80]).values()
    assert (made.lo.item(), made.hi.item()) == pytest.approx((-20 - 2 * SHARE * Z, 20 + 2 * SHARE * Z), rel=1e-4)


def test_calibration_narrows_a_band_that_is_too_wide_but_never_inside_out():
    width = np.full(9, 5.0)
    calibration = calibrate(head(np.zeros(9), width), np.linspace(-3, 3, 9)[:, None])
    # ceil(10 * 0.8): the second largest of |truth| is 3, 3 / 5 of the band
    assert calibration.radius(80, 1) == pytest.approx([3 / (5 + SHARE * Z) * Z], rel=1e-4)
    narrow = calibration.intervals(head(np.zeros(1), np.array([1.0])), [80])[80]
    assert (narrow.lo.item(), narrow.hi.item()) == pytest.approx((-0.63, 0.63), rel=0.01)


def test_an_exact_forecast_of_varying_data_keeps_a_width():
    calibration = calibrate(points(20, 2), np.zeros((20, 2)))
    (made,) = calibration.intervals(points(1, 2, spread=10.0), [80]).values()
    assert (made.hi > 0).all()
    assert (made.hi < 0.01).all()


def test_coinciding_quantiles_leave_a_width_and_the_median_inside():
    flat = head(np.zeros(40), np.zeros(40))
    calibration = calibrate(flat, np.random.default_rng(0).normal(size=(40, 1)))
    for lo, hi in calibration.intervals(flat, [50, 80]).values():
        assert ((lo < 0) & (hi > 0)).all()


def logarithms(median, unit):
    """Predictions of a network that sees the logarithms of its data."""
    rows = len(median)
    change = Change(TRANSFORMS["log"], np.ones((rows, 1), dtype=bool))
    basis = Basis(change, np.full((rows, 1), unit), np.ones((rows, 1), dtype=bool))
    return Prediction.of_points(median, np.full((rows, 1), unit), basis)


def test_intervals_of_logarithms_are_ratios():
    """The errors are factors from e to e^9: 80 percent are within e^8, on both sides."""
    actual = np.exp(np.arange(1.0, 10) * np.array([1, -1, 1, -1, 1, -1, 1, -1, 1]))[:, None]
    calibration = calibrate(logarithms(np.ones((9, 1)), 1.0), actual)
    assert calibration.radius(80, 1) == pytest.approx([8])
    (made,) = calibration.intervals(logarithms(np.array([[5.0]]), 1.0), [80]).values()
    assert (made.lo.item(), made.hi.item()) == pytest.approx((5 * np.exp(-8), 5 * np.exp(8)))


def test_the_width_of_a_falling_positive_forecast_does_not_fall_beyond_the_trained_steps():
    calibration = calibrate(logarithms(np.ones((9, 2)), 1.0), np.exp(ladder(9, horizon=2) / 10))
    falling = np.exp(-np.arange(8.0))[None]
    (made,) = calibration.intervals(logarithms(falling, 1.0), [80]).values()
    widths = (made.hi - made.lo)[0]
    assert (np.diff(widths[1:]) >= -1e-12).all()
    assert ((made.lo > 0) & (made.lo < falling) & (falling < made.hi)).all()


def test_windows_that_are_all_constant_have_any_level_without_width():
    nothing = calibrate(points(9, 2, spread=0.0), np.zeros((9, 2)))
    made = nothing.intervals(points(2, 3, spread=0.0), [80, 95])
    assert [interval.hi.tolist() for interval in made.values()] == [[[0.0] * 3] * 2] * 2
    with pytest.raises(InputError, match="needs more than the 0 calibration residuals"):
        nothing.intervals(points(2), [80])


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


def test_scales_widen_intervals_about_the_median():
    calibration = calibrated(ladder(9))
    stretch = np.ones(99)
    stretch[89] = 2
    made = calibration.with_scales(stretch).intervals(
        Prediction.of_points(np.array([[1.0]]), np.array([[1.0]])), [50, 90]
    )
    assert [(interval.lo.item(), interval.hi.item()) for interval in made.values()] == [(-4, 6), (-17, 19)]


def test_scales_by_part_widen_each_third_of_the_horizon_and_the_steps_beyond_it():
    calibration = calibrated(np.repeat(ladder(9), 3, axis=1))  # 80 %: a radius of 8 at each of three steps
    by_part = np.array([[0.5], [1.0], [2.0], [3.0]]) * np.ones(99)
    flat = Prediction.of_points(np.zeros((1, 4)), np.ones((1, 1)))
    [made] = calibration.with_scales(by_part).intervals(flat, [80]).values()
    # Nothing was measured beyond: there the last half-width grows with the root of the step.
    assert made.hi.tolist() == [pytest.approx([4, 8, 16, 3 * 8 * np.sqrt(4 / 3)])]


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
