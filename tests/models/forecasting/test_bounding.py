"""Forecasts within bounds: of the model, of a request, alone, in a batch, from a session and with adapted intervals."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.data.bounds import UNBOUNDED, Bounds
from models.errors import InputError
from models.evaluation.intervals import LEVELS
from models.evaluation.mean import MeanCorrection
from models.forecasting.forecaster import forecast, forecast_together, predict
from models.forecasting.session import answer_session, begin, forecast_session
from models.forecasting.split import ForecastInput
from tests.models.kinds import OPTIONS, name_of, spec_of
from tests.models.samples import flat_calibration, panel_of, ready_of, small_spec, weights_of

COUNTS = st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=14), min_size=1, max_size=4)
# Networks of every loss and transform; panels in these tests have no covariates.
FAMILIES = [one for one in OPTIONS if not any("covariates" in name for name in one) and "context" not in one]
few = settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])


@lru_cache(maxsize=64)
def networks_of(number):
    spec = replace(spec_of(FAMILIES[number]), non_negative=True)
    return ready_of(spec, weights_of(spec))


def numbers_of(made):
    intervals = [side for interval in made.intervals.values() for side in interval]
    return np.stack([made.median, made.mean, *intervals, *made.quantiles.values()])


@pytest.mark.parametrize("number", range(len(FAMILIES)), ids=lambda number: name_of(FAMILIES[number]))
@few
@given(panel=COUNTS.map(lambda series: panel_of(*series)), horizon=st.integers(1, 9), widened=st.booleans())
def test_no_number_of_a_forecast_of_counts_is_below_zero(number, panel, horizon, widened):
    calibration = replace(flat_calibration(4), mean=MeanCorrection(-0.5, 0.25))
    if widened:
        calibration = calibration.with_scales(np.linspace(0.2, 9, len(LEVELS)))
    ask = ForecastInput(panel, horizon, (50, 80, 95), (0.05, 0.1, 0.5, 0.9))
    (made,) = forecast_together(networks_of(number), calibration, [ask])
    numbers = numbers_of(made)
    assert np.isfinite(numbers).all()
    assert (numbers >= 0).all()
    assert not np.signbit(numbers).any()
    assert (made.bounds, [note for note in made.notes if note.code == "not_bounded"]) == (Bounds(lo=0.0), [])
    for level in (50, 80, 95):
        assert (made.intervals[level].lo <= made.intervals[level].hi).all()
    assert made.quantiles[0.1] is made.intervals[80].lo
    assert made.quantiles[0.5].tolist() == made.median.tolist()
    ascending = np.stack([made.quantiles[level] for level in (0.05, 0.1, 0.9)])
    assert (np.diff(ascending, axis=0) >= 0).all()


def bounded(**fields):
    spec = small_spec(strategy="seasonal_naive", season=2, context=4, **fields)
    return ready_of(spec, weights_of(spec))


def test_a_series_with_a_value_out_of_the_models_bounds_is_not_bounded_and_has_a_note():
    networks, calibration = bounded(non_negative=True), flat_calibration(4)
    made = forecast(networks, calibration, panel_of([3, 0, 3, 0], [3, -1, 3, -1]), 2, [80])
    assert made.median.tolist() == [[3, 0], [3, -1]]
    assert made.intervals[80].lo[0].min() == 0
    assert made.intervals[80].lo[1].min() < -1
    assert [(note.code, note.unique_id) for note in made.notes] == [("not_bounded", "s1")]
    assert "the model's bounds, 0 to inf" in made.notes[0].message


def test_an_old_value_out_of_the_bounds_counts_as_well():
    made = forecast(bounded(non_negative=True), flat_calibration(4), panel_of([-1, *[3, 1] * 9]), 2, [80])
    assert [note.code for note in made.notes] == ["not_bounded"]


def test_the_bounds_of_a_request_replace_those_of_the_model():
    networks, calibration, panel = bounded(non_negative=True), flat_calibration(4), panel_of([3, 1, 3, 1])
    asks = [ForecastInput(panel, 2, (95,), (), bounds) for bounds in (None, UNBOUNDED, Bounds(0.5, 3.25))]
    own, free, narrow = forecast_together(networks, calibration, asks)
    assert own.intervals[95].lo.tolist() == [[pytest.approx(3 - 0.95), pytest.approx(1 - 0.95)]]
    assert own.bounds == Bounds(lo=0.0)
    assert free.bounds == UNBOUNDED
    assert narrow.intervals[95].lo.tolist() == [[pytest.approx(3 - 0.95), 0.5]]
    assert narrow.intervals[95].hi.tolist() == [[3.25, pytest.approx(1.95)]]
    assert narrow.notes == ()


def test_bounds_of_a_request_that_its_history_is_out_of_are_refused():
    networks, panel = bounded(), panel_of([3, 1, 3, 1])
    with pytest.raises(InputError) as caught:
        forecast_together(networks, flat_calibration(4), [ForecastInput(panel, 2, (), (), Bounds(hi=2.5))])
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("out_of_bounds", "bounds")]


@few
@given(
    series=st.lists(st.lists(st.integers(-3, 9), min_size=4, max_size=9), min_size=2, max_size=4),
    bounds=st.lists(st.sampled_from([None, UNBOUNDED, Bounds(-3.0, 9.0), Bounds(lo=-3.0)]), min_size=4, max_size=4),
)
def test_bounds_of_one_request_do_not_change_the_forecast_of_another(series, bounds):
    networks, calibration = bounded(non_negative=True, loss="mae"), flat_calibration(4)
    asks = [ForecastInput(panel_of(y), 3, (80,), (0.5,), one) for y, one in zip(series, bounds, strict=False)]
    for ask, made in zip(asks, forecast_together(networks, calibration, asks), strict=True):
        (alone,) = forecast_together(networks, calibration, [ask])
        assert numbers_of(made).tolist() == numbers_of(alone).tolist()
        assert (made.notes, made.bounds) == (alone.notes, alone.bounds)


def test_a_session_has_the_bounds_of_its_model_or_of_the_request():
    spec = small_spec(state="carried", strategy="iterative", non_negative=True)
    networks, calibration = ready_of(spec, weights_of(spec)), flat_calibration(4)
    panel = panel_of([0, 0, 1, 0, 0, 2, 0, 0, 1, 0, 0, 0])
    session = begin(networks, panel, 1)
    made = forecast_session(networks, calibration, session, 6, [95])
    assert numbers_of(made).min() == 0
    plain = forecast(networks, calibration, panel, 6, [95])
    assert numbers_of(made).tolist() == numbers_of(plain).tolist()
    ask = ForecastInput(session.tail, 6, (95,), (0.1, 0.5), Bounds(0.0, 2.0))
    asked = answer_session(networks, calibration, session, ask)
    assert numbers_of(asked).max() <= 2
    assert asked.bounds == Bounds(0.0, 2.0)


def test_predictions_carry_the_bounds_of_their_windows():
    panel = panel_of([3, 1, 3, 1], [3, -1, 3, -1])
    made = predict(bounded(non_negative=True), panel, np.array([0, 1]), np.array([4, 4]), 2)
    assert made.bounds.lo.tolist() == [[0], [-np.inf]]
    assert predict(bounded(), panel, np.array([0]), np.array([4]), 2).bounds is None


def test_a_corrected_mean_is_served_within_bounds():
    calibration = replace(flat_calibration(4), mean=MeanCorrection(-1.0, 0.75))
    made = forecast(bounded(non_negative=True), calibration, panel_of([3, 1, 3, 1], [0, 0, 0, 0]), 2, [])
    # seasonal naive: 3, 1; the level of the window is the mean of its last season, 2, its spread 1
    assert made.median.tolist() == [[3, 1], [0, 0]]
    assert made.mean.tolist() == [[2, 0], [0.75, 0.75]]
