"""Calendar features: what a moment's place in the day, the week and the year looks like, worked by hand."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.calendar import MAX_TIME, MIN_TIME, parse_freq
from models.data.calendar_features import calendar_features, check_country, feature_names, holiday_features, times_of
from models.errors import SpecError
from tests.models.samples import grid, helpful, panel_of


def at(freq, *stamps):
    """The features of each moment by name."""
    step = parse_freq(freq)
    table = calendar_features(step, np.array(stamps, dtype="datetime64[us]"))
    return [dict(zip(feature_names(step), row.tolist(), strict=True)) for row in table]


def test_the_hours_go_round_a_day():
    midnight, six, noon = at("h", "2024-05-01T00:00", "2024-05-01T06:00", "2024-05-01T12:00")
    assert [(one["day_sin"], one["day_cos"]) for one in (midnight, six, noon)] == [
        pytest.approx((0, 1)),
        pytest.approx((1, 0), abs=1e-6),
        pytest.approx((0, -1), abs=1e-6),
    ]
    (late,) = at("15min", "2024-05-01T23:45")
    assert late["day_sin"] == pytest.approx(-np.sin(2 * np.pi / 96), abs=1e-6)


def test_monday_begins_the_week_and_two_days_end_it():
    week = at("D", *[f"2024-01-{day:02d}" for day in range(1, 9)])  # the first of January was a Monday
    assert [one["weekend"] for one in week] == [0, 0, 0, 0, 0, 1, 1, 0]
    assert (week[0]["week_sin"], week[0]["week_cos"]) == (0, 1)
    assert week[2]["week_sin"] == pytest.approx(np.sin(2 * np.pi * 2 / 7), abs=1e-6)
    assert week[7]["week_cos"] == week[0]["week_cos"]
    (before,) = at("D", "1969-12-28")  # a Sunday before the count of days begins
    assert before["weekend"] == 1


def test_months_and_years_begin_at_phase_nought():
    first, half, last = at("D", "2023-01-01", "2023-07-02", "2023-12-31")
    assert (first["month_sin"], first["year_sin"], first["year_cos"]) == (0, 0, 1)
    assert half["year_cos"] == pytest.approx(-1, abs=1e-3)
    assert last["year_sin"] == pytest.approx(np.sin(2 * np.pi * 364 / 365.2425), abs=1e-6)
    assert last["month_sin"] == pytest.approx(np.sin(2 * np.pi * 30 / 31), abs=1e-6)


@pytest.mark.parametrize(
    ("freq", "told"),
    [
        ("500ms", ["day", "week", "year"]),
        ("h", ["day", "week", "year"]),
        ("D", ["week", "month", "year"]),
        ("24h", ["week", "month", "year"]),
        ("B", ["week", "month", "year"]),
        ("W", ["year"]),
        ("MS", ["year"]),
        ("QE", ["year"]),
        ("YS", []),
    ],
)
def test_cycles_are_those_that_a_step_leaves_something_of(freq, told):
    assert [name.removesuffix("_sin") for name in feature_names(parse_freq(freq)) if name.endswith("_sin")] == told
    assert ("weekend" in feature_names(parse_freq(freq))) == ("week" in told)
    table = calendar_features(parse_freq(freq), grid("D", "2024-01-01", 6).reshape(2, 3))
    assert (table.shape, table.dtype) == ((2, 3, len(feature_names(parse_freq(freq)))), np.float32)
    assert calendar_features(parse_freq(freq), np.zeros((0, 4), "datetime64[us]")).shape == (0, 4, table.shape[-1])


@given(
    st.lists(st.datetimes(MIN_TIME.item(), MAX_TIME.item()), min_size=1, max_size=9),
    st.sampled_from(["min", "h", "D", "W", "MS"]),
)
def test_any_moment_is_told_alone_as_in_company_and_within_bounds(moments, freq):
    step, times = parse_freq(freq), np.array(moments, dtype="datetime64[us]")
    table = calendar_features(step, times)
    assert np.abs(table).max() <= 1
    np.testing.assert_array_equal(
        table, np.concatenate([calendar_features(step, times[i : i + 1]) for i in range(len(times))])
    )


def test_a_batch_takes_milliseconds():
    starts = np.datetime64("2010-01-01", "us") + np.arange(128) * np.timedelta64(30, "D")
    times = parse_freq("h").after(starts[:, None], np.arange(400))
    took_s = []
    for _ in range(5):
        begin = time.process_time()
        calendar_features(parse_freq("h"), times)
        took_s.append(time.process_time() - begin)
    assert min(took_s) < 0.015  # about 0.002 where nothing else runs


def test_a_public_holiday_is_one_and_its_neighbours_are_nought():
    days = np.array(["2024-12-24", "2024-12-25", "2024-12-26", "2024-12-27"], dtype="datetime64[us]")
    assert holiday_features("DE", parse_freq("D"), days).tolist() == [0, 1, 1, 0]
    assert holiday_features("US", parse_freq("D"), days).tolist() == [0, 1, 0, 0]
    hours = np.array(["2024-12-25T00:00", "2024-12-25T23:00", "2024-12-27T00:00"], dtype="datetime64[us]")
    assert holiday_features("DE", parse_freq("h"), hours).tolist() == [1, 1, 0]


def test_a_part_of_a_country_has_holidays_of_its_own():
    epiphany = np.array(["2024-01-06"], dtype="datetime64[us]")
    assert holiday_features("DE-BY", parse_freq("D"), epiphany).tolist() == [1]
    assert holiday_features("DE", parse_freq("D"), epiphany).tolist() == [0]


@pytest.mark.parametrize(
    ("freq", "moment", "expected"),
    [
        ("W", "2024-12-23", 2),  # the 25th and 26th
        ("W", "2024-12-19", 1),  # a week to the 25th
        ("MS", "2024-12-01", 2 * 7 / 31),
        ("ME", "2024-12-31", 2 * 7 / 31),
        ("ME", "2024-11-30", 0),
        ("QS", "2024-10-01", 3 * 7 / 92),  # and the third of October
    ],
)
def test_a_longer_step_has_holidays_per_week(freq, moment, expected):
    step = parse_freq(freq)
    times = np.array([[moment]], dtype="datetime64[us]")
    assert holiday_features("DE", step, times) == pytest.approx(np.full((1, 1), expected))


def test_holidays_are_found_across_decades_and_where_none_are_known():
    new_years = np.array([f"{year}-01-01" for year in (1999, 2000, 2009, 2010, 2030)], dtype="datetime64[us]")
    assert holiday_features("US", parse_freq("D"), new_years).tolist() == [1] * 5
    assert holiday_features("US", parse_freq("D"), np.array(["1678-01-01"], "datetime64[us]")).tolist() == [0]
    assert holiday_features("US", parse_freq("D"), np.zeros((2, 0), "datetime64[us]")).shape == (2, 0)


@pytest.mark.parametrize("country", ["XX", "", "Germany", "HolidayBase", "__name__", "de", "DE-XX", "x" * 1000])
def test_an_unknown_country_is_refused_with_some_known_ones(country):
    with pytest.raises(SpecError) as caught:
        check_country(country)
    (fault,) = caught.value.faults
    assert fault.field == "holidays"
    assert helpful(fault)
    assert "US-CA" in fault.hint
    check_country("BR")


@pytest.mark.parametrize("freq", ["h", "B", "MS", "W"])
def test_moments_of_windows_are_those_of_their_series_and_go_on_beyond(freq):
    panel = panel_of(range(9), range(5), freq=freq)
    times = times_of(panel, np.array([0, 1, 1]), np.array([4, 5, 0]), 2, 3)
    assert times.shape == (3, 5)
    np.testing.assert_array_equal(times[0], panel.times(0)[2:7])
    np.testing.assert_array_equal(times[1], panel.freq.after(panel.starts[1], np.arange(3, 8)))
    np.testing.assert_array_equal(times[2, 2:], panel.times(1)[:3])
    assert parse_freq(freq).steps(times[2, :1], times[2, 2:3])[0].tolist() == [2]
