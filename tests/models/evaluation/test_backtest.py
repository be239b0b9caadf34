"""Rolling origins, counted and scored by hand with simple predictors."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.windows import take
from models.engines.onnx import OnnxEngine
from models.errors import InputError, ModelBroken
from models.evaluation.backtest import CHUNK, MIN_STATISTICAL, evaluate
from models.evaluation.baselines import FITTED, fitting_cost_s
from models.evaluation.intervals import Prediction
from models.evaluation.origins import MAX_TOTAL_WINDOWS, MAX_WINDOWS, BacktestPlan, origins_of, plan_for
from models.evaluation.report import BacktestReport
from models.forecasting.forecaster import make_runnable, predict
from models.network.spec import Spec
from models.training.blending import seasonal_naive_for
from tests.models.samples import panel_of

NAN = math.nan
TWO_STEPS = BacktestPlan(horizon=2, origins=3, stride=2)


def test_a_plan_holds_out_the_horizon_and_every_stride_before_it():
    assert TWO_STEPS.held_out == 2 + 2 * 2


def all_actuals(origins):
    return origins.actuals(np.arange(len(origins)))


def test_origins_are_counted_from_the_end_of_each_series():
    # series 0 is 0..9 and series 1 is 100..107; series 2 is too short but for the last origin, series 3 for any
    panel = panel_of(range(10), range(100, 108), range(200, 203), range(2))
    origins = origins_of(panel, TWO_STEPS, season=1)
    assert list(zip(origins.origin, origins.series, origins.at, strict=True)) == [
        (0, 0, 4),
        (0, 1, 2),
        (1, 0, 6),
        (1, 1, 4),
        (2, 0, 8),
        (2, 1, 6),
        (2, 2, 1),
    ]
    assert all_actuals(origins).actual.tolist() == [
        [4, 5],
        [102, 103],
        [6, 7],
        [104, 105],
        [8, 9],
        [106, 107],
        [201, 202],
    ]
    # each value is one above the one before; of the single point 200 the size is the unit; the last has no origin
    assert origins.scale.tolist() == [1, 1, 200, 1]
    assert origins.left_out == 1


def test_short_pasts_are_padded_on_the_left():
    origins = origins_of(panel_of(range(10), range(100, 108)), TWO_STEPS, season=1)
    ((rows, histories),) = origins.histories(np.array([0, 1]))
    assert rows.tolist() == [0, 1]
    assert histories.tolist() == pytest.approx(np.array([[0, 1, 2, 3], [NAN, NAN, 100, 101]]), nan_ok=True)


def test_origins_are_counted_from_the_last_value_where_rows_without_one_follow():
    known_ahead = panel_of([*range(10), NAN, NAN])
    assert origins_of(known_ahead, TWO_STEPS, 1).at.tolist() == [4, 6, 8]


def test_an_origin_needs_a_value_before_and_after_it():
    nothing_before = panel_of([NAN, NAN, NAN, NAN, 4.0, 5, 6, 7, 8, 9])
    assert origins_of(nothing_before, TWO_STEPS, 1).at.tolist() == [6, 8]
    nothing_after = panel_of([0.0, 1, 2, 3, NAN, NAN, 6, 7, NAN, 9])
    origins = origins_of(nothing_after, TWO_STEPS, 1)
    assert origins.at.tolist() == [8]
    assert all_actuals(origins).actual.tolist() == pytest.approx(np.array([[NAN, 9]]), nan_ok=True)


def test_a_horizon_that_never_reaches_the_next_value_is_refused_with_the_reason():
    every_third = np.where(np.arange(30) % 3 == 0, 1.0, NAN)
    with pytest.raises(InputError, match="the gaps are as long as the horizon"):
        origins_of(panel_of(every_third), TWO_STEPS, 1)


def test_a_forecast_begins_after_a_value_as_in_serving_and_no_moment_counts_twice():
    # from the end the origins are 3, 4 and 5; two values before the last of them are missing
    panel = panel_of([0, 1, 2, NAN, NAN, 5, 6, 7], [10, 11, 12, 13, NAN, 15, 16, 17])
    origins = origins_of(panel, BacktestPlan(horizon=3, origins=3, stride=1), season=1)
    assert list(zip(origins.origin, origins.series, origins.at, strict=True)) == [(0, 1, 3), (2, 0, 3), (2, 1, 4)]
    truth = [[13, NAN, 15], [NAN, NAN, 5], [NAN, 15, 16]]
    assert all_actuals(origins).actual == pytest.approx(np.array(truth), nan_ok=True)


def test_a_gap_longer_than_a_member_reads_does_not_break_a_backtest():
    values = np.sin(np.arange(120.0))
    values[40:100] = NAN
    origins = origins_of(panel_of(values), BacktestPlan(horizon=4, origins=20, stride=4), season=4)
    naive = seasonal_naive_for(Spec(freq="h", season=4, context=16, horizon=4))  # reads two seasons
    prediction = predict(make_runnable([naive], OnnxEngine), origins.panel, origins.series, origins.at, 4)
    assert np.isfinite(prediction.median).all()


def test_exactly_periodic_series_are_measured_in_their_step_from_value_to_value():
    origins = origins_of(panel_of([0.0, 4, 2] * 10, np.zeros(30)), BacktestPlan(horizon=3, origins=4, stride=2), 3)
    # steps of 4, -2 and -2; a series of zeros has the usual unit of the others
    assert origins.scale.tolist() == pytest.approx([2.7, 2.7])
    found = evaluate(knows(1.35, spread=1.0), origins)
    assert found.report.scores["seasonal_naive"]["mase"] == 0
    assert found.report.scores["model"]["mase"] == pytest.approx(0.5)
    assert found.skill == pytest.approx(1 - 0.5e6)  # an exact baseline counts as a millionth of the unit


def test_the_scale_of_mase_is_computed_before_the_first_origin():
    y = [0.0, 1, 0, 1, 0, 1, 50, -50, 50, -50, 50, -50]
    origins = origins_of(panel_of(y), TWO_STEPS, season=1)
    assert (origins.scale.tolist(), origins.squared_scale.tolist()) == ([1.0], [1.0])


@given(st.lists(st.integers(1, 80), min_size=1, max_size=5), st.integers(1, 6), st.integers(1, 12))
def test_no_window_overlaps_the_training_data(lengths, horizon, season):
    panel = panel_of(*(np.arange(n) + 1000 * i for i, n in enumerate(lengths)))
    plan = plan_for(panel, horizon, season)
    last_trained = {name: y[-1] for name, y in panel.cut(plan.held_out)}
    if max(lengths) <= horizon:
        with pytest.raises(InputError, match="longest series has"):
            origins_of(panel, plan, season)
    else:
        origins = origins_of(panel, plan, season)
        assert origins.left_out == sum(n <= horizon for n in lengths)
        for actual in all_actuals(origins).actual:
            assert actual.tolist() == list(range(int(actual[0]), int(actual[0]) + horizon))
            assert actual[0] > last_trained.get(f"s{int(actual[0]) // 1000}", -1)


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(1, 400))
def test_a_plan_meets_every_phase_of_the_season_in_a_bounded_number_of_origins(length, horizon, season):
    plan = plan_for(panel_of(np.zeros(length)), horizon, season)
    assert math.gcd(plan.stride, season) == 1
    assert 1 <= plan.origins <= MAX_WINDOWS
    assert plan.held_out <= max(2 * horizon, length // 3)


def test_a_plan_by_hand():
    # a fifth of 1000 is 200; 200 - 24 leaves 176 for 29 strides of 6, of which 5 is the next without a factor of 24
    assert plan_for(panel_of(*[np.zeros(1000)] * 8), 24, 24) == BacktestPlan(horizon=24, origins=30, stride=5)
    # one series alone may have 200 origins: 176 strides of 1
    assert plan_for(panel_of(np.zeros(1000)), 24, 24) == BacktestPlan(horizon=24, origins=177, stride=1)
    # 19 residuals of a horizon of 6 would need 24 points, of which a third of 50 gives 16: eleven origins, one by one
    assert plan_for(panel_of(np.zeros(50)), 6, 1) == BacktestPlan(horizon=6, origins=11, stride=1)
    # with 100 points there is room for all 19, and 95 % can be asked for
    assert plan_for(panel_of(np.zeros(100)), 12, 1) == BacktestPlan(horizon=12, origins=19, stride=1)


def test_very_many_series_have_fewer_origins():
    many = plan_for(panel_of(*[np.zeros(300)] * 1000), 2, 1)
    assert many.origins * 1000 == MAX_TOTAL_WINDOWS


def test_series_too_short_for_a_backtest_are_refused_with_what_it_needs():
    with pytest.raises(InputError) as caught:
        origins_of(panel_of(range(2), [NAN, NAN, 5.0, NAN]), TWO_STEPS, 1)
    (fault,) = caught.value.faults
    assert (fault.code, fault.message) == ("too_short", "the longest series has 3 points")
    assert "needs 3" in fault.hint


def knows(error, spread=1.5):
    """Return a predictor that knows the future except for ``error``: a number, or one for each moment."""

    def predict(panel, series, at, horizon):
        truth = take(panel.y, panel, series, at, horizon)
        wrong = error(panel, series, at) if callable(error) else np.full(len(at), error)
        return Prediction.of_points(np.nan_to_num(truth) + spread * wrong[:, None], np.full((len(at), 1), spread))

    return predict


RISING = panel_of(np.arange(40.0), 5 * np.arange(40.0))
PLAN = plan_for(RISING, 2, 1)


def test_a_predictor_that_knows_the_future_scores_zero_error_and_full_skill():
    found = evaluate(knows(0), origins_of(RISING, PLAN, 1))
    assert found.skill == 1
    assert found.report.scores["model"]["mase"] == 0
    # naive errs by 1 and 2 on a series that rises by 1, and drift by nothing
    assert found.report.scores["naive"]["mase"] == pytest.approx(1.5)
    assert found.report.scores["drift"]["mase"] == pytest.approx(0)
    assert found.report.steps["seasonal_naive"]["mase"] == pytest.approx([1, 2])
    # a third of 40 is 13 held out, less the horizon 11, so 12 origins of 2 series
    expected = {"horizon": 2, "season": 1, "origins": 12, "windows": 24, "series_left_out": 0}
    assert {name: getattr(found.report, name) for name in expected} == expected
    assert found.calibration.count == 24


def test_an_error_of_half_a_unit_is_three_quarters_of_mase_and_the_radius():
    panel = panel_of(np.arange(40.0))
    found = evaluate(knows(0.5), origins_of(panel, plan_for(panel, 2, 1), 1))
    assert found.report.scores["model"]["mase"] == pytest.approx(0.75)  # 0.5 * 1.5
    assert found.skill == pytest.approx(0.5)
    assert found.calibration.radius(80, 2) == pytest.approx([0.5, 0.5])


def test_coverage_is_measured_on_the_later_half_with_intervals_of_the_earlier():
    """Errors grow after the middle: intervals calibrated on the earlier origins cover none of the later ones."""
    panel = panel_of(*(np.arange(40.0) + i for i in range(8)))
    plan = BacktestPlan(horizon=2, origins=10, stride=1)  # at 29 to 38
    found = evaluate(knows(lambda _, __, at: np.where(at < 34, 0.1, 0.9)), origins_of(panel, plan, 1))
    assert found.report.coverage == {"80": 0.0, "95": 0.0}
    # the calibration returned has seen both halves
    assert found.calibration.radius(80, 2) == pytest.approx([0.9, 0.9])
    assert found.calibration.radius(45, 2) == pytest.approx([0.1, 0.1])


def test_a_model_of_constant_series_is_measured_in_their_size_and_as_good_as_seasonal_naive_if_exact():
    panel = panel_of([3.0] * 40)
    where = origins_of(panel, plan_for(panel, 2, 1), 1)
    found = evaluate(knows(0, spread=0.0), where)
    assert (found.skill, found.report.scores["model"]["mase"]) == (0, 0)
    assert evaluate(knows(1.5, spread=1.0), where).report.scores["model"]["mase"] == 0.5
    assert found.calibration.count == 0
    assert found.calibration.highest_level == 0


def test_a_model_that_breaks_on_some_windows_is_not_scored_on_the_others():
    broken = knows(lambda _, __, at: np.where(at == 30, np.nan, 0.1))
    with pytest.raises(ModelBroken, match="NaN or infinity in its backtest"):
        evaluate(broken, origins_of(RISING, PLAN, 1))


def noisy(count, length=200, season=12, missing=0.0):
    rng = np.random.default_rng(0)
    series = [20 + 5 * np.sin(np.arange(length) * 2 * np.pi / season) + rng.normal(size=length) for _ in range(count)]
    return panel_of(*(np.where(rng.random(length) < missing, NAN, y) for y in series))


def test_a_report_of_a_panel_with_gaps_is_json():
    panel = noisy(3, missing=0.5)
    found = evaluate(knows(0.1), origins_of(panel, plan_for(panel, 6, 12), 12))
    written = json.loads(json.dumps(found.report.to_json(), allow_nan=False))
    assert BacktestReport.from_json(written) == found.report
    assert 0 < found.calibration.count < found.report.windows


def test_a_model_with_quantiles_is_calibrated_on_its_own_bands():
    panel, levels = noisy(5), (0.1, 0.5, 0.9)

    def predict(panel, series, at, horizon):
        known = knows(0)(panel, series, at, horizon)
        return Prediction.of_quantiles(known.median, known.spread, known.median[:, :, None] + [-3.0, 0.0, 3.0], levels)

    found = evaluate(predict, origins_of(panel, plan_for(panel, 6, 12), 12))
    assert found.calibration.radius(80, 6) == pytest.approx([0] * 6)  # all truths are the median
    assert found.report.coverage == {"80": 1.0, "95": 1.0}


def test_statistical_baselines_and_the_model_are_compared_on_the_same_windows():
    pytest.importorskip("statsforecast", reason="Theta and ETS are in the extra `worker`")
    panel = noisy(1)
    origins = origins_of(panel, BacktestPlan(horizon=6, origins=4, stride=5), 12)
    sample = evaluate(knows(0.1), origins, ["theta"]).report.sample
    assert sample["windows"] == 4
    assert sample["left_out"] == {}
    assert list(sample["scores"]) == ["model", "seasonal_naive", "naive", "drift", "naive2", "theta"]
    assert sample["scores"]["naive2"]["owa"] == 1
    assert sample["scores"]["theta"]["owa"] < sample["scores"]["seasonal_naive"]["owa"]


def test_a_baseline_that_cannot_be_fitted_is_left_out_with_the_reason():
    panel = noisy(1)
    sample = evaluate(knows(0.1), origins_of(panel, TWO_STEPS, 25), ["ets"]).report.sample
    assert sample["left_out"] == {"ets": "a season of 25 is over 24, which takes minutes to fit"}
    assert "ets" not in sample["scores"]


def test_moments_are_forecast_in_chunks_and_scored_as_one():
    panel, sizes = noisy(100), []

    def predict(panel, series, at, horizon):
        if horizon == 6:  # not those rolled beyond the horizon
            sizes.append(len(at))
        return knows(lambda _, series, __: series / 100.0)(panel, series, at, horizon)

    origins = origins_of(panel, plan_for(panel, 6, 12), 12)
    found = evaluate(predict, origins)
    assert (sum(sizes), max(sizes) <= CHUNK, len(sizes)) == (len(origins), True, math.ceil(len(origins) / CHUNK))
    assert found.report.scores["model"]["rmse"] == pytest.approx(1.5 * np.sqrt(np.mean((np.arange(100) / 100) ** 2)))


def test_errors_beyond_the_horizon_are_those_of_rolled_forecasts_from_the_same_origins():
    """The forecast errs by the number of the step: 80 % of the errors at 2 H to 3 H are within their steps."""
    panel, asked = noisy(5), []

    def predict(panel, series, at, horizon):
        asked.append(horizon)
        truth = take(panel.y, panel, series, at, horizon)
        return Prediction.of_points(np.nan_to_num(truth) + np.arange(1.0, horizon + 1), np.ones((len(at), 1)))

    found = evaluate(predict, origins_of(panel, plan_for(panel, 6, 12), 12))
    assert sorted(set(asked)) == [6, 24]
    known = found.calibration.beyond[:, 79]
    assert ((known >= [6 * 1, 6 * 1.5, 6 * 2, 6 * 3]) & (known <= [6 * 1.5, 6 * 2, 6 * 3, 6 * 4])).all()
    by_steps = found.report.intervals["model"]["coverage_by_steps"]
    assert by_steps["first"]["80"] > 0.9  # equal errors, but for rounding
    assert 0.7 <= by_steps["beyond"]["80"] <= 1


def test_a_backtest_without_values_beyond_the_horizon_measures_none():
    panel = panel_of(np.arange(12.0) ** 2)
    found = evaluate(knows(0.5), origins_of(panel, BacktestPlan(horizon=2, origins=1, stride=1), 1))
    assert found.calibration.beyond is None
    assert not found.calibration.measured_beyond


def test_memory_grows_with_the_panel_and_not_with_the_windows_of_it():
    panel = panel_of(*np.random.default_rng(0).normal(size=(100, 2000)))
    origins = origins_of(panel, plan_for(panel, 4, 1), 1)
    tracemalloc.start()
    evaluate(knows(0.1), origins)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < len(origins) * panel.median_length * 8 / 2 == 24_000_000


def test_the_statistical_baselines_are_fitted_to_as_many_windows_as_an_estimate_allows_on_any_machine(monkeypatch):
    """A Theta fit to 1,000 points is estimated at 0.12 s: of 200 windows, 10 s allow 83; 10 windows are the least."""
    fitted = []
    monkeypatch.setitem(FITTED, "theta", lambda history, horizon, season: fitted.append(1) or np.zeros(horizon))
    panel = panel_of(*(np.random.default_rng(i).normal(size=1_500) for i in range(20)))
    origins = origins_of(panel, plan_for(panel, 3, 1), 1)
    assert evaluate(knows(0.1), origins, ("theta",)).report.sample["windows"] == len(fitted) == 83
    assert fitting_cost_s("theta", 1_500, 1) == pytest.approx(0.12)
    sample = evaluate(knows(0.1), origins, ("theta",), 0.1).report.sample
    assert sample["windows"] == MIN_STATISTICAL
    assert {"theta", "naive2", "model"} <= set(sample["scores"])
