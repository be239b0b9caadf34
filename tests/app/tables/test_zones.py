"""Local times of every zone: each hour of a change of clocks is there once."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest

from app.tables.zones import read_zone, to_days, to_utc
from models.errors import InputError

BERLIN = read_zone("Europe/Berlin")


def local(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[us]")


def test_the_hour_that_occurs_twice_is_two_hours() -> None:
    times = local("2026-10-25T01:00", "2026-10-25T02:00", "2026-10-25T02:00", "2026-10-25T03:00")
    utc = to_utc(times, np.zeros(4, np.int64), BERLIN, "ds")
    assert (np.diff(utc) == np.timedelta64(1, "h")).all()
    assert utc[0] == np.datetime64("2026-10-24T23:00")


def test_each_series_has_its_own_second_occurrence() -> None:
    times = local("2026-10-25T02:00", "2026-10-25T02:00", "2026-10-25T02:00")
    utc = to_utc(times, np.array([0, 1, 1]), BERLIN, "ds")
    assert [str(time)[11:13] for time in utc] == ["00", "00", "01"]


def test_the_hour_that_clocks_skip_is_refused_with_its_row() -> None:
    with pytest.raises(InputError, match="2026-03-29T02:30:00 does not exist in Europe/Berlin") as refused:
        to_utc(local("2026-03-29T01:30", "2026-03-29T02:30"), np.zeros(2, np.int64), BERLIN, "ds")
    assert refused.value.faults[0].row == 2


def test_local_midnights_are_days() -> None:
    days = to_days(local("2026-03-28T23:00", "2026-03-29T22:00"), BERLIN)
    assert days is not None
    assert days.astype("datetime64[D]").astype(str).tolist() == ["2026-03-29", "2026-03-30"]
    assert to_days(local("2026-03-28T23:30"), BERLIN) is None


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe/Berlin\0"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="give an IANA name such as Europe/Berlin"):
        read_zone(name)


def offset_us(utc: np.datetime64, zone: ZoneInfo) -> np.timedelta64:
    """The offset of a zone at a moment."""
    offset = datetime.fromtimestamp(int(utc.astype("datetime64[s]").astype(np.int64)), UTC).astimezone(zone).utcoffset()
    return np.timedelta64(offset, "us")


DAYS = np.arange("2023-01-01", "2026-01-01", dtype="datetime64[D]")


def distinct_zones() -> dict[tuple[int, ...], ZoneInfo]:
    """A zone for each course of offsets over three years; many zones have other names for the same."""
    zones = [ZoneInfo(name) for name in sorted(available_timezones())]
    return {tuple(int(offset_us(day, zone).astype(np.int64)) for day in DAYS[::7]): zone for zone in zones}


def test_half_hours_around_the_changes_of_clocks_of_every_zone_are_read_back() -> None:
    for zone in distinct_zones().values():
        offsets = [offset_us(day, zone) for day in DAYS]
        changes = [DAYS[at - 1] for at in range(1, len(DAYS)) if offsets[at] != offsets[at - 1]]
        for day in changes or [DAYS[100]]:
            before, after = day - np.timedelta64(1, "D"), day + np.timedelta64(2, "D")
            utc = np.arange(before.astype("datetime64[m]"), after, np.timedelta64(30, "m")).astype("datetime64[us]")
            times = utc + np.array([offset_us(time, zone) for time in utc])
            np.testing.assert_array_equal(to_utc(times, np.zeros(len(utc), np.int64), zone, "ds"), utc, zone.key)
