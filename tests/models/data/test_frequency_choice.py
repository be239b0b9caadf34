"""A preferred frequency is used where the timestamps fit it; worked by hand from calendars."""

import numpy as np
import pytest

from models.data.frequency_choice import PreferredFreq, choose_freq
from models.data.panel import panel_from_columns
from models.errors import InputError

DAYS = [f"2024-01-{day:02d}" for day in range(1, 32)]  # the first is a Monday


def chosen(preferred: str, *stamps: str) -> str:
    return str(choose_freq(PreferredFreq(preferred), np.array(stamps, dtype="datetime64[us]")))


@pytest.mark.parametrize(
    ("preferred", "stamps"),
    [
        ("B", DAYS[:5]),  # Monday to Friday look like days
        ("B", ["2024-01-04", "2024-01-05", "2024-01-08"]),  # over a weekend
        ("D", [day for day in DAYS if np.is_busday(day)]),  # a shop that is closed at weekends
        ("ME", ["2024-01-31", "2024-02-29"]),
        ("QE", ["2024-03-31", "2024-06-30", "2024-12-31"]),
        ("MS", ["2024-01-01"]),
        ("W-MON", DAYS[0::7]),
        ("h", ["2024-03-31T01:00", "2024-03-31T03:00"]),  # the hour that summer time skips
        ("h", ["2024-03-31T00:00", "2024-03-31T01:00", "2024-03-31T03:00"]),
        ("30min", ["2024-01-01T00:00"]),
    ],
)
def test_the_preferred_frequency_is_used_if_the_timestamps_fit_it(preferred: str, stamps: list[str]) -> None:
    assert chosen(preferred, *stamps) == preferred.partition("-")[0]


@pytest.mark.parametrize(
    ("preferred", "stamps", "own"),
    [
        ("B", DAYS[:7], "D"),  # a Saturday is no business day
        ("15min", ["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00"], "h"),  # on the grid, but four steps
        ("QE", ["2021-12-31", "2022-12-31", "2023-12-31"], "YE"),
        ("ME", ["2024-01-01", "2024-02-01", "2024-03-01"], "MS"),
        ("D", DAYS[0::7], "W"),
    ],
)
def test_other_timestamps_show_their_own_frequency(preferred: str, stamps: list[str], own: str) -> None:
    assert chosen(preferred, *stamps) == own


def test_a_given_frequency_is_kept_and_without_any_the_timestamps_decide() -> None:
    times = np.array(DAYS[:5], dtype="datetime64[us]")
    assert str(choose_freq("h", times)) == "h"
    assert str(choose_freq(None, times)) == "D"


def test_a_single_timestamp_off_the_preferred_grid_is_named_with_its_row() -> None:
    with pytest.raises(InputError) as caught:
        panel_from_columns("shop", ["2024-01-06"], [1.0], PreferredFreq("B"))
    fault = caught.value.faults[0]
    assert (fault.code, fault.row, fault.unique_id) == ("off_grid_timestamp", 1, "shop")
    assert "2024-01-06T00:00:00 is not on the grid of frequency B" in fault.message
