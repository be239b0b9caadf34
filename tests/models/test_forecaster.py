"""From a panel to a forecast: rolling, timestamps, intervals, notes and refusals."""

import numpy as np
import pytest

from models.errors import InputError, ModelBroken
from models.forecaster import forecast, roll
from models.panel import panel_from_columns
from tests.models.samples import Says, faults_of, flat_calibration, forecaster_of, helpful, panel_of, small_spec

SPEC = small_spec(season=1, context=4, horizon=2)
FORECASTER = forecaster_of(SPEC, {})
# says the last value and one more, in window units
AND_ONE = Says(lambda windows: windows[:, -1:, 0] + [[1, 2]])
PANEL = panel_of([9, 0, 1, 2, 3], [5, 5, 5, 5, 5])


def test_rolling_appends_what_was_said_until_there_is_enough():
    past = np.array([[0, 1, 2, 3]], dtype=np.float32)
    next_one = Says(lambda windows: windows[:, -1:, 0] + 1)
    assert roll(next_one, past, 5, season=1).tolist() == [[4, 5, 6, 7, 8]]
    assert next_one.runs == 5
    two = Says(lambda windows: windows[:, -1:, 0] + [[1, 2]])
    assert roll(two, past, 5, season=1).tolist() == [[4, 5, 6, 7, 8]]
    assert two.runs == 3


def test_the_context_of_a_roll_slides_and_its_season_channel_with_it():
    seen = []
    roll(Says(lambda windows: seen.append(windows[0].tolist()) or [[9.0]]), np.float32([[1, 2, 3]]), 2, season=2)
    assert seen == [[[1, 0], [2, 1], [3, 2]], [[2, 0], [3, 2], [9, 3]]]


def test_a_forecast_in_data_units_by_hand():
    # 0, 1, 2, 3 is measured from 3 in units of 1.5, so 3 + 1 * 1.5 and 3 + 2 * 1.5; radius 0.8 * 1.5
    found = forecast(FORECASTER, AND_ONE, PANEL, 2, [80, 50])
    assert found.mean.tolist() == [[4.5, 6.0], [5.0, 5.0]]
    assert found.radii[80].tolist() == [[pytest.approx(1.2)] * 2, [0, 0]]
    assert list(found.radii) == [80, 50]
    assert found.times(0).astype("datetime64[D]").astype(str).tolist() == ["2024-01-06", "2024-01-07"]


def test_a_frame_of_the_forecast_has_one_row_for_each_step():
    frame = forecast(FORECASTER, AND_ONE, PANEL, 2, [80]).to_frame()
    assert list(frame.columns) == ["unique_id", "ds", "mean", "lo-80", "hi-80"]
    assert frame["unique_id"].tolist() == ["s0", "s0", "s1", "s1"]
    assert frame["ds"].astype(str).tolist() == ["2024-01-06", "2024-01-07"] * 2
    assert frame["hi-80"].tolist() == pytest.approx([5.7, 7.2, 5, 5])
    assert frame["lo-80"].tolist() == pytest.approx([3.3, 4.8, 5, 5])


def test_series_that_end_at_different_times_go_on_from_their_own_end():
    panel = panel_of([0, 1, 2, 3], [0, 1, 2, 3, 4, 5])
    found = forecast(FORECASTER, AND_ONE, panel, 1, [])
    assert [str(found.times(i)[0])[:10] for i in range(2)] == ["2024-01-05", "2024-01-07"]
    assert found.mean.tolist() == [[4.5], [6.5]]


def test_month_ends_go_on_over_a_leap_year():
    spec = small_spec(season=1, context=4, horizon=2, freq="ME")
    panel = panel_of([1, 2, 3, 4], freq="ME", start="2023-09-30")
    found = forecast(forecaster_of(spec, {}), AND_ONE, panel, 3, [])
    assert [str(t)[:10] for t in found.times(0)] == ["2024-01-31", "2024-02-29", "2024-03-31"]


def test_a_forecast_says_what_its_reader_should_know():
    notes = forecast(FORECASTER, AND_ONE, PANEL, 3, [80]).notes
    assert [(note.code, note.unique_id) for note in notes] == [
        ("beyond_trained_horizon", None),
        ("constant_history", "s1"),
    ]
    assert forecast(FORECASTER, AND_ONE, PANEL.select(["s0"]), 2, [80]).notes == ()


def test_intervals_are_nested_and_grow_beyond_the_trained_horizon():
    radii = forecast(FORECASTER, AND_ONE, PANEL, 8, [50, 80, 95]).radii
    assert (radii[50] <= radii[80]).all()
    assert (radii[80] <= radii[95]).all()
    assert radii[80][0, 7] == pytest.approx(2 * radii[80][0, 1])  # step 8 against step 2


@pytest.mark.parametrize("horizon", [0, -1])
def test_a_horizon_below_one_is_refused(horizon):
    with pytest.raises(InputError) as caught:
        forecast(FORECASTER, AND_ONE, PANEL, horizon, [])
    assert caught.value.faults[0].field == "horizon"


def test_history_of_another_frequency_is_refused():
    with pytest.raises(InputError, match="the history has frequency h, the model was trained on D"):
        forecast(FORECASTER, AND_ONE, panel_of(range(9), freq="h"), 2, [])


def test_every_series_that_is_too_short_is_named():
    with pytest.raises(InputError) as caught:
        forecast(FORECASTER, AND_ONE, panel_of([1], range(9), [1, 2, 3]), 2, [])
    assert faults_of(caught.value) == [("too_short", "s0", None), ("too_short", "s2", None)]
    assert all(map(helpful, caught.value.faults))


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
    forecaster = forecaster_of(small_spec(freq=freq, season=1, context=max(2, count), horizon=2), {})
    panel = panel_of(range(count), freq=freq, start=start)
    with pytest.raises(InputError) as caught:
        forecast(forecaster, AND_ONE, panel, horizon, [])
    assert caught.value.faults[-1].code == "beyond_calendar"


def test_the_last_day_of_the_calendar_can_be_forecast():
    found = forecast(FORECASTER, AND_ONE, panel_of(range(4), start="2261-12-26"), 2, [])
    assert str(found.times(0)[-1])[:10] == "2261-12-31"


def test_a_level_that_the_calibration_cannot_vouch_for_is_refused():
    few = type(FORECASTER)(SPEC, {}, flat_calibration(2, count=4))
    with pytest.raises(InputError, match="ask for at most 80"):
        forecast(few, AND_ONE, PANEL, 2, [80, 95])


def test_a_network_that_says_nonsense_is_never_served():
    with pytest.raises(ModelBroken):
        forecast(FORECASTER, Says(lambda windows: np.full((len(windows), 2), np.nan)), PANEL, 2, [])


def test_large_and_small_numbers_come_out_as_numbers():
    rows = [1e100, -1e100, 1e100, -1e100, 1e-300, 2e-300, 1e-300, 3e-300]
    panel = panel_from_columns(
        ["a"] * 4 + ["b"] * 4, ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"] * 2, rows
    )
    found = forecast(FORECASTER, AND_ONE, panel, 2, [95])
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.radii[95]).all()
