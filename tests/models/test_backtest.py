"""Rolling origins, counted and scored by hand with hand-written engines."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backtest import MOST_WINDOWS, Plan, evaluate, origins_of, plan_for, score, skill
from models.errors import InputError
from tests.models.samples import Says, panel_of, small_spec

TWO_STEPS = Plan(horizon=2, origins=3, stride=2)


def test_a_plan_holds_out_the_horizon_and_every_stride_before_it():
    assert TWO_STEPS.held_out == 2 + 2 * 2


def test_origins_are_counted_from_the_end_of_each_series():
    #                    series 0 is 0..9, series 1 is 100..107, series 2 is too short for 2 + 6 points
    origins = origins_of(panel_of(range(10), range(100, 108), range(7)), TWO_STEPS, width=2, season=1)
    assert origins.past.tolist() == [[2, 3], [100, 101], [4, 5], [102, 103], [6, 7], [104, 105]]
    assert origins.actual.tolist() == [[4, 5], [102, 103], [6, 7], [104, 105], [8, 9], [106, 107]]
    assert origins.origin.tolist() == [0, 0, 1, 1, 2, 2]
    assert origins.scale.tolist() == [1] * 6  # each value is one above the one before
    assert origins.left_out == 1


def test_the_unit_of_mase_is_taken_before_the_first_origin():
    y = [0.0, 1, 0, 1, 0, 1, 50, -50, 50, -50, 50, -50]
    assert origins_of(panel_of(y), TWO_STEPS, 2, season=1).scale.tolist() == [1.0] * 3


@given(st.lists(st.integers(1, 80), min_size=1, max_size=5), st.integers(1, 6), st.integers(1, 9), st.integers(1, 12))
def test_no_window_sees_its_future_nor_a_model_what_it_is_scored_on(lengths, horizon, width, season):
    panel = panel_of(*(np.arange(n) + 1000 * i for i, n in enumerate(lengths)))
    plan = plan_for(panel, horizon, season)
    taught = {name: y[-1] for name, y in panel.cut(plan.held_out)}
    if max(lengths) < width + plan.held_out:
        with pytest.raises(InputError, match="longest series has"):
            origins_of(panel, plan, width, season)
        return
    origins = origins_of(panel, plan, width, season)
    assert len(origins.origin) == plan.origins * (len(panel) - origins.left_out)
    for past, actual in zip(origins.past, origins.actual, strict=True):
        run = [*past, *actual]
        assert run == list(range(int(run[0]), int(run[0]) + width + horizon))
        assert actual[0] > taught[f"s{int(run[0]) // 1000}"]


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(1, 400))
def test_a_plan_meets_every_phase_of_the_season_in_a_bounded_number_of_origins(length, horizon, season):
    plan = plan_for(panel_of(np.zeros(length)), horizon, season)
    assert math.gcd(plan.stride, season) == 1
    assert 1 <= plan.origins <= MOST_WINDOWS
    assert plan.held_out <= max(2 * horizon, length // 3)


def test_a_plan_by_hand():
    # a fifth of 1000 is 200; 200 - 24 leaves 176 for 29 strides of 6, of which 5 is the next without a factor of 24
    assert plan_for(panel_of(*[np.zeros(1000)] * 8), 24, 24) == Plan(horizon=24, origins=30, stride=5)
    # one series alone may have 200 origins: 176 strides of 1
    assert plan_for(panel_of(np.zeros(1000)), 24, 24) == Plan(horizon=24, origins=177, stride=1)
    # 19 residuals of a horizon of 6 would need 24 points, of which a third of 50 gives 16: eleven origins, one by one
    assert plan_for(panel_of(np.zeros(50)), 6, 1) == Plan(horizon=6, origins=11, stride=1)
    # with 100 points there is room for all 19, and 95 % can be asked for
    assert plan_for(panel_of(np.zeros(100)), 12, 1) == Plan(horizon=12, origins=19, stride=1)


def test_series_too_short_for_a_backtest_are_refused_with_what_it_needs():
    with pytest.raises(InputError) as caught:
        origins_of(panel_of(range(7), range(5)), TWO_STEPS, 2, 1)
    (fault,) = caught.value.faults
    assert (fault.code, fault.message) == ("too_short", "the longest series has 7 points")
    assert "a past of 2 and a backtest of 6 points need 8" in fault.hint


def test_scores_by_hand():
    origins = origins_of(panel_of([4.0, 2, 4, 2, 4, 2, 4, 2, 4, 2]), TWO_STEPS, 2, 1)
    assert origins.actual.tolist() == [[4, 2]] * 3
    assert score(origins, np.array([[5.0, 5.0]] * 3)) == {
        "mase": pytest.approx(1),  # errors 1 and 3, and naive errs by 2
        "smape": pytest.approx((200 / 9 + 600 / 7) / 2),
        "rmse": pytest.approx(5**0.5),
        "mse": pytest.approx(5),
    }


def test_constant_series_do_not_count_in_mase():
    origins = origins_of(panel_of(range(10), [5] * 10), TWO_STEPS, 2, 1)
    assert score(origins, origins.actual + 1)["mase"] == 1.0
    only = origins_of(panel_of([5] * 10), TWO_STEPS, 2, 1)
    assert score(only, only.actual + 1)["mase"] is None


@pytest.mark.parametrize(
    ("model", "baseline", "expected"),
    [(1.0, 2.0, 0.5), (3.0, 2.0, -0.5), (None, 2.0, None), (1.0, None, None), (1.0, 0.0, None)],
)
def test_skill_is_the_share_of_the_error_that_is_gone(model, baseline, expected):
    assert skill({"mase": model}, {"mase": baseline}) == expected


SPEC = small_spec(season=1, context=4, horizon=2)
RISING = panel_of(np.arange(40.0), 5 * np.arange(40.0))
# A window 0, 1, 2, 3 is measured from 3 in units of (3 + 2 + 1 + 0) / 4 = 1.5: what follows is 1 / 1.5 and 2 / 1.5.
TRUTH = [1 / 1.5, 2 / 1.5]


def knows(error):
    return Says(lambda windows: np.tile(np.float32(TRUTH) + np.float32(error), (len(windows), 1)))


def test_an_engine_that_knows_the_future_scores_zero_error_and_full_skill():
    found = evaluate(SPEC, knows(0), origins_of(RISING, plan_for(RISING, 2, 1), 4, 1))
    assert found.skill == pytest.approx(1, abs=1e-6)
    assert found.report["scores"]["model"]["mase"] == pytest.approx(0, abs=1e-6)
    # naive errs by 1 and 2 on a series that rises by 1
    assert found.report["scores"]["naive"]["mase"] == pytest.approx(1.5)
    # a third of 40 is 13 held out, less the horizon 11, so 12 origins of 2 series
    expected = {"horizon": 2, "season": 1, "origins": 12, "windows": 24, "series_left_out": 0}
    assert {name: found.report[name] for name in expected} == expected
    assert found.calibration.count == 24


def test_an_error_of_half_a_unit_is_three_quarters_of_mase_and_the_radius():
    found = evaluate(SPEC, knows(0.5), origins_of(RISING, plan_for(RISING, 2, 1), 4, 1))
    assert found.report["scores"]["model"]["mase"] == pytest.approx(0.75)  # 0.5 * 1.5
    assert found.skill == pytest.approx(0.5)
    assert found.calibration.radius(80, 2) == pytest.approx([0.5, 0.5])


def test_coverage_is_measured_on_the_later_half_with_intervals_of_the_earlier():
    """Errors grow after the middle: what is calibrated on the earlier origins covers nothing of the later ones."""
    plan = Plan(horizon=2, origins=10, stride=1)
    panel = panel_of(*(np.arange(40.0) + i for i in range(8)))
    grows = Says(lambda windows: np.float32(TRUTH) + np.where(np.arange(len(windows)) < 40, 0.1, 0.9)[:, None])
    found = evaluate(SPEC, grows, origins_of(panel, plan, 4, 1))
    assert found.report["coverage"] == {"80": 0.0, "95": 0.0}
    # the calibration returned has seen both halves
    assert found.calibration.radius(80, 2) == pytest.approx([0.9, 0.9])
    assert found.calibration.radius(45, 2) == pytest.approx([0.1, 0.1])


def test_coverage_of_one_origin_or_few_residuals_is_not_said():
    one = evaluate(SPEC, knows(0.1), origins_of(RISING, Plan(horizon=2, origins=1, stride=1), 4, 1))
    assert one.report["coverage"] == {"80": None, "95": None}
    # twelve windows; the six of the later origins err less than the six before, which vouch for 85 percent
    better = Says(lambda windows: np.float32(TRUTH) + np.linspace(0.2, 0.1, len(windows))[:, None])
    few = evaluate(SPEC, better, origins_of(RISING, Plan(horizon=2, origins=6, stride=1), 4, 1))
    assert few.report["coverage"] == {"80": 1.0, "95": None}


def test_a_panel_of_constants_is_evaluated_without_numbers():
    panel = panel_of([3.0] * 40)
    found = evaluate(SPEC, knows(0), origins_of(panel, plan_for(panel, 2, 1), 4, 1))
    assert found.skill is None
    assert found.calibration.count == 0
    assert found.calibration.highest_level == 0
