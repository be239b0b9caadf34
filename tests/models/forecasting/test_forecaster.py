"""From a panel to a forecast: rollout, timestamps, intervals, notes and refusals."""

from dataclasses import replace

import numpy as np
import pytest

from models.data.panel import panel_from_columns
from models.engines.onnx import OnnxEngine
from models.errors import InputError, ModelBroken
from models.evaluation.intervals import Prediction
from models.forecasting.combination import combine
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import (
    Member,
    RunnableMember,
    check_finite,
    forecast,
    forecast_together,
    make_runnable,
    predict,
)
from models.forecasting.split import ForecastInput
from tests.models.samples import (
    FixedEngine,
    faults_of,
    flat_calibration,
    helpful,
    panel_of,
    ready_of,
    small_spec,
    weights_of,
    with_covariates,
)

NAN = np.nan
SPEC = small_spec(season=1, context=4, horizon=2, skip=False)
# outputs the last value plus one, in window units
AND_ONE = FixedEngine(lambda inputs: inputs["past"][:, -1:, 0] + [[1, 2]])
PANEL = panel_of([9, 0, 1, 2, 3], [5, 5, 5, 5, 5])


def networks(*engines, spec=SPEC, shares=None):
    shares = shares or [1.0] * len(engines)
    return tuple(RunnableMember(Member(spec, weights_of(spec), n), e) for e, n in zip(engines, shares, strict=True))


def forecast_of(panel, horizon, levels=(), spec=SPEC, engine=AND_ONE) -> Forecast:
    return forecast(networks(engine, spec=spec), flat_calibration(spec.horizon), panel, horizon, levels)


def lines(height):
    """A network with the same output, in window units, at each step."""
    return FixedEngine(lambda inputs: np.full((len(inputs["past"]), 2), height))


def test_a_forecast_in_data_units_by_hand():
    # 0, 1, 2, 3 is measured from 3 in units of 1.5, so 3 + 1 * 1.5 and 3 + 2 * 1.5; radius 0.8 * 1.5
    found = forecast_of(PANEL, 2, [80, 50])
    assert found.median.tolist() == [[4.5, 6.0], [5.0, 5.0]]
    assert found.intervals[80].lo.tolist() == [[pytest.approx(3.3), pytest.approx(4.8)], [5, 5]]
    assert found.intervals[80].hi.tolist() == [[pytest.approx(5.7), pytest.approx(7.2)], [5, 5]]
    assert set(found.intervals) == {50, 80}
    assert found.times(0).astype("datetime64[D]").astype(str).tolist() == ["2024-01-06", "2024-01-07"]


def test_several_networks_forecast_the_mean_weighted_by_their_shares():
    predicted = predict(networks(lines(0), lines(2), shares=[3.0, 1.0]), PANEL, np.array([0]), np.array([5]), 2)
    assert predicted.median.tolist() == [[3.75, 3.75]]  # 3 and 3 + 2 * 1.5, three to one
    assert predicted.spread.tolist() == [[1.5]]


def prediction(mean, quantiles=None, levels=()):
    median, spread = np.array([[mean]]), np.array([[1.0]])
    if quantiles is None:
        return Prediction.of_points(median, spread)
    return Prediction.of_quantiles(median, spread, np.array([[quantiles]]), levels)


def test_quantiles_are_averaged_level_by_level_and_a_point_counts_as_each_of_them():
    levels = (0.1, 0.5, 0.9)
    both = combine([prediction(2.0, [0.0, 2.0, 4.0], levels), prediction(6.0, [4.0, 6.0, 10.0], levels)], [1.0, 1.0])
    assert (both.median.tolist(), both.quantiles.tolist(), both.levels) == ([[4]], [[[2, 4, 7]]], levels)
    mixed = combine([prediction(2.0, [0.0, 2.0, 4.0], levels), prediction(6.0)], [1.0, 3.0])
    assert (mixed.median.tolist(), mixed.quantiles.tolist()) == ([[5]], [[[4.5, 5.0, 5.5]]])


def test_the_mean_of_a_forecaster_is_the_mean_of_its_members_means():
    skewed = Prediction.of_quantiles(np.array([[1.0]]), np.ones((1, 1)), np.array([[[0.0, 1.0, 6.0]]]), (0.1, 0.5, 0.9))
    both = combine([skewed, prediction(2.0)], [1.0, 3.0])
    assert both.mean[0, 0] == pytest.approx((skewed.mean[0, 0] + 3 * 2.0) / 4)
    assert both.mean[0, 0] > both.median[0, 0] == 1.75


def test_quantiles_of_different_levels_cannot_be_averaged():
    one, other = prediction(2.0, [1.0, 3.0], (0.1, 0.9)), prediction(4.0, [1.0, 3.0], (0.2, 0.8))
    assert combine([one, other], [1.0, 1.0]).quantiles is None
    assert combine([one, other], [1.0, 1.0]).median.tolist() == [[3]]


def test_series_with_different_ends_continue_from_their_own_end():
    panel = panel_of([0, 1, 2, 3], [0, 1, 2, 3, 4, 5])
    found = forecast_of(panel, 1)
    assert [str(found.times(i)[0])[:10] for i in range(2)] == ["2024-01-05", "2024-01-07"]
    assert found.median.tolist() == [[4.5], [6.5]]


def test_month_ends_continue_over_a_leap_year():
    spec = small_spec(season=1, context=4, horizon=2, freq="ME", skip=False)
    panel = panel_of([1, 2, 3, 4], freq="ME", start="2023-09-30")
    found = forecast_of(panel, 3, spec=spec)
    assert [str(t)[:10] for t in found.times(0)] == ["2024-01-31", "2024-02-29", "2024-03-31"]


def test_a_forecast_follows_the_last_value_even_with_future_covariates():
    found = forecast_of(panel_of([9, 0, 1, 2, 3, NAN, NAN]), 1)
    assert (found.median.tolist(), str(found.times(0)[0])[:10]) == ([[4.5]], "2024-01-06")


def test_a_forecast_has_notes_for_its_reader():
    panel = panel_of([9, 0, 1, 2, 3], [5, 5, 5, 5, 5], [1, 2], [1, NAN, 3, NAN, 5, 6])
    notes = forecast_of(panel, 3, [80]).notes
    assert [(note.code, note.unique_id) for note in notes] == [
        ("beyond_trained_horizon", None),
        ("short_history", "s2"),
        ("missing_values", "s3"),
        ("constant_history", "s1"),
    ]
    assert "2 values are missing" in notes[2].message
    assert forecast_of(panel.select(["s0"]), 2, [80]).notes == ()


def test_intervals_are_nested_and_grow_beyond_the_trained_horizon():
    intervals = forecast_of(PANEL, 8, [50, 80, 95]).intervals
    for inner, outer in ((50, 80), (80, 95)):
        assert (intervals[outer].lo <= intervals[inner].lo).all()
        assert (intervals[inner].hi <= intervals[outer].hi).all()
    width = intervals[80].hi - intervals[80].lo
    assert width[0, 7] == pytest.approx(2 * width[0, 1])  # step 8 against step 2


@pytest.mark.parametrize("horizon", [0, -1])
def test_a_horizon_below_one_is_refused(horizon):
    with pytest.raises(InputError) as caught:
        forecast_of(PANEL, horizon)
    assert caught.value.faults[0].field == "horizon"


def test_history_of_another_frequency_is_refused():
    with pytest.raises(InputError, match="the history has frequency h, the model was trained on D"):
        forecast_of(panel_of(range(9), freq="h"), 2)


def test_every_series_without_a_value_is_named():
    panel = panel_of([NAN, NAN], range(9), [NAN])
    with pytest.raises(InputError) as caught:
        forecast_of(panel, 2)
    assert faults_of(caught.value) == [("no_history", "s0", None), ("no_history", "s2", None)]
    assert all(map(helpful, caught.value.faults))


def test_a_network_that_reads_no_past_forecasts_a_series_without_a_value():
    spec = small_spec(context=0, horizon=2, static_covariates=("size",))
    panel = with_covariates(panel_of([NAN, NAN, NAN], [4, 5, 6]), size=[1, 1, 1, 2, 2, 2])
    found = forecast(ready_of(spec, weights_of(spec)), flat_calibration(2), panel, 2, [])
    assert np.isfinite(found.median).all()
    assert [str(found.times(i)[0])[:10] for i in range(2)] == ["2024-01-01", "2024-01-04"]
    assert found.notes == ()


def cold_and_naive(**fields):
    """A network of context 0 with three quarters, seasonal naive with a quarter; ``fields`` are those of both specs."""
    cold = small_spec(context=0, horizon=2, static_covariates=("size",), loss="quantile", **fields)
    naive = small_spec(strategy="seasonal_naive", season=2, context=4, horizon=2, **fields)
    members = [Member(cold, weights_of(cold), 0.75), Member(naive, weights_of(naive), 0.25)]
    return make_runnable(members, OnnxEngine)


def test_members_that_read_history_are_left_out_for_a_series_without_any():
    both, sizes = cold_and_naive(), [1, 1, 1, 2, 2, 2]
    panel = with_covariates(panel_of([NAN, NAN, NAN], [4, 5, 6]), size=sizes)
    found = forecast(both, flat_calibration(2), panel, 2, [80])
    alone = forecast(both[:1], flat_calibration(2), panel, 2, [80])
    assert found.median[0].tolist() == alone.median[0].tolist()
    assert found.median[1] == pytest.approx(0.75 * alone.median[1] + 0.25 * np.array([5, 6]))
    assert (found.intervals[80].lo < found.intervals[80].hi).all()
    assert [(note.code, note.unique_id) for note in found.notes] == [
        ("members_left_out", "s0"),
        ("short_history", "s1"),
    ]
    assert "1 of 2 members" in found.notes[0].message
    for i, name in enumerate(panel.ids):
        one = forecast(both, flat_calibration(2), panel.select([name]), 2, [80])
        assert one.median[0] == pytest.approx(found.median[i])
        assert one.intervals[80].hi[0] == pytest.approx(found.intervals[80].hi[i])


def test_the_bounds_hold_for_series_with_and_without_history_in_one_batch():
    panel = with_covariates(panel_of([NAN, NAN, NAN], [0, 9, 0, 9, 0, 0.5]), size=[1] * 3 + [2] * 6)
    wide = replace(flat_calibration(2), radii=10 * flat_calibration(2).radii)
    found = forecast(cold_and_naive(non_negative=True), wide, panel, 2, [95])
    assert (found.intervals[95].lo >= 0).all()
    unbounded = forecast(cold_and_naive(), wide, panel, 2, [95]).intervals[95].lo
    assert (unbounded < 0).any(axis=1).all()


KNOWING = small_spec(
    season=1,
    context=4,
    horizon=2,
    skip=False,
    past_covariates=("load",),
    future_covariates=("sky",),
    categories=(("sky", ("rain", "sun")),),
)
WEATHER = {"sky": ("rain", "sun")}


@pytest.mark.parametrize(
    ("columns", "categories", "faults"),
    [
        ({"sky": [0] * 6}, WEATHER, [("missing_covariate", "past_covariates")]),
        ({}, {}, [("missing_covariate", "past_covariates"), ("missing_covariate", "future_covariates")]),
        ({"load": [1] * 6, "sky": [0] * 6}, {}, [("other_covariate", "future_covariates")]),
        ({"load": [0] * 6, "sky": [0] * 6}, WEATHER | {"load": ("x",)}, [("other_covariate", "past_covariates")]),
        ({"load": [1] * 6, "sky": [0, 0, 0, 0, 0, NAN]}, WEATHER, [("missing_future", "sky")]),
    ],
    ids=["one missing", "both missing", "numbers for text", "text for numbers", "not known ahead"],
)
def test_covariates_that_the_model_reads_and_the_request_lacks_are_named(columns, categories, faults):
    with pytest.raises(InputError) as caught:
        forecast_of(with_covariates(panel_of([1, 2, 3, 4, NAN, NAN]), categories, **columns), 2, spec=KNOWING)
    assert [(fault.code, fault.field) for fault in caught.value.faults] == faults
    assert all(map(helpful, caught.value.faults))


def test_covariates_known_for_the_whole_horizon_are_enough():
    load, sky = [1, 1, 1, 1, NAN, NAN], [0, NAN, 0, 0, 1, 0]
    found = forecast_of(with_covariates(panel_of([1, 2, 3, 4, NAN, NAN]), WEATHER, load=load, sky=sky), 2, spec=KNOWING)
    assert found.median.shape == (1, 2)


@pytest.mark.parametrize(
    ("freq", "start", "horizon"),
    [
        ("D", "2261-12-27", 3),
        ("9999YE", "2023-12-31", 5000),
        ("9999W", "2023-12-31", 5000),
        ("ME", "2024-01-31", 10**9),
        ("B", "2024-01-01", 10**9),
    ],
)
def test_a_forecast_beyond_the_calendar_is_refused(freq, start, horizon):
    count = 4 if freq in ("D", "ME", "B") else 1
    spec = small_spec(freq=freq, season=1, context=max(2, count), horizon=2, skip=False)
    panel = panel_of(range(count), freq=freq, start=start)
    with pytest.raises(InputError) as caught:
        forecast_of(panel, horizon, spec=spec)
    assert caught.value.faults[-1].code == "beyond_calendar"


def test_the_last_day_of_the_calendar_can_be_forecast():
    found = forecast_of(panel_of(range(4), start="2261-12-26"), 2)
    assert str(found.times(0)[-1])[:10] == "2261-12-31"


def test_a_level_too_high_for_the_calibration_is_refused():
    with pytest.raises(InputError, match="ask for at most 80"):
        forecast(networks(AND_ONE), flat_calibration(2, count=4), PANEL, 2, [80, 95])


def test_a_network_that_gives_nan_is_never_served():
    with pytest.raises(ModelBroken):
        forecast_of(PANEL, 2, engine=lines(NAN))


@pytest.mark.parametrize("unsound", [NAN, np.inf, -np.inf, 1e301])
def test_nan_is_the_models_fault_within_the_trained_steps_and_the_requests_beyond(unsound):
    mean, spread = np.ones((2, 4)), np.ones((2, 1))
    check_finite(Prediction.of_points(mean, spread), 2)
    mean[1, 2] = unsound  # the third step
    check_finite(Prediction.of_points(mean[:, :2], spread), 2)
    with pytest.raises(InputError) as caught:
        check_finite(Prediction.of_points(mean, spread), 2)
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("horizon_too_long", "horizon")]
    assert "after 2 steps" in str(caught.value)
    with pytest.raises(ModelBroken):
        check_finite(Prediction.of_points(mean, spread), 3)
    with pytest.raises(ModelBroken):  # a quantile is a number too
        check_finite(Prediction.of_quantiles(np.ones((2, 4)), spread, mean[..., None], (0.5,)), 3)


def test_large_and_small_numbers_give_finite_forecasts():
    rows = [1e100, -1e100, 1e100, -1e100, 1e-300, 2e-300, 1e-300, 3e-300]
    panel = panel_from_columns(
        ["a"] * 4 + ["b"] * 4, ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"] * 2, rows
    )
    found = forecast_of(panel, 2, [95])
    assert np.isfinite(found.median).all()
    assert np.isfinite(found.intervals[95]).all()


def test_several_panels_in_one_pass_get_the_same_as_each_alone():
    engine = AND_ONE
    asks = [
        ForecastInput(PANEL, 2, (80, 50)),
        ForecastInput(panel_of([3, 1, NAN, 2]), 1, ()),  # the same name as in the first panel
        ForecastInput(panel_of([0, 0, 0, 0], [1, 2]), 3, (80,)),
    ]
    calibration = flat_calibration(2)
    made = forecast_together(networks(engine), calibration, asks)
    for ask, found in zip(asks, made, strict=True):
        alone = forecast(networks(engine), calibration, ask.panel, ask.horizon, ask.levels)
        assert (found.ids, found.notes, set(found.intervals)) == (alone.ids, alone.notes, set(ask.levels))
        assert found.median.tolist() == alone.median.tolist()
        assert [found.stamps(i) for i in range(len(found.ids))] == [alone.stamps(i) for i in range(len(alone.ids))]
        for level in ask.levels:
            assert found.intervals[level].hi.tolist() == alone.intervals[level].hi.tolist()
    assert [[note.code for note in found.notes] for found in made] == [
        ["constant_history"],
        ["missing_values"],
        ["beyond_trained_horizon", "short_history", "constant_history"],
    ]


def test_an_error_in_one_of_several_panels_is_raised():
    with pytest.raises(InputError, match="no value"):
        forecast_together(
            networks(AND_ONE), flat_calibration(2), [ForecastInput(PANEL, 2, ()), ForecastInput(panel_of([NAN]), 2, ())]
        )
    hourly = panel_of([1, 2, 3, 4], freq="h")
    with pytest.raises(InputError, match="frequenc"):
        forecast_together(
            networks(AND_ONE), flat_calibration(2), [ForecastInput(PANEL, 2, ()), ForecastInput(hourly, 2, ())]
        )


def test_series_that_begin_at_different_times_have_their_own_timestamps():
    made = forecast_of(panel_of([0, 1, 2, 3], [0, 1, 2], [5, 6, 7, 9]), 2)
    assert [made.stamps(i)[0] for i in range(3)] == [
        "2024-01-05T00:00:00",
        "2024-01-04T00:00:00",
        "2024-01-05T00:00:00",
    ]
