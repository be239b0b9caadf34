"""Columns by content first and by name second; what is ambiguous is refused with the candidates."""

import datetime as dt

import pyarrow as pa
import pytest

from app.tables import TableOptions, read_table
from models.data.panel import Panel
from models.errors import InputError
from tests.app.api.tables import PARQUET, parquet
from tests.app.tables.reading import read_panel

CSV = "text/csv"
DAYS = [f"2026-01-0{day}" for day in range(1, 5)]


def csv(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def long(header: str, *ids: str) -> bytes:
    """Four days of each of ``ids``."""
    return csv(header, *(f"{day},{name},{at}" for name in ids for at, day in enumerate(DAYS)))


def refusal(data: bytes, **options: object) -> str:
    with pytest.raises(InputError) as refused:
        read_panel(data, CSV, **options)
    return str(refused.value)


def test_a_table_of_one_series_needs_two_columns_of_any_name() -> None:
    read = read_table(csv("Datum,Wert", *(f"{day},{at}" for at, day in enumerate(DAYS))), CSV, TableOptions(), 100)
    assert (read.panel.ids, read.panel.y.tolist()) == (("Wert",), [0, 1, 2, 3])
    assert (read.reading.options.id, read.reading.options.time, read.reading.options.target) == ((), "Datum", ("Wert",))


def test_the_column_that_tells_rows_of_one_time_apart_is_the_id() -> None:
    assert read_panel(long("when,colour,kg", "red", "blue"), CSV).ids == ("red", "blue")


def test_several_columns_make_one_id_if_no_single_one_does() -> None:
    rows = [f"{day},{shop},{item},{at}" for shop in "AB" for item in "xy" for at, day in enumerate(DAYS)]
    assert read_panel(csv("day,shop,item,sold", *rows), CSV).ids == ("A/x", "A/y", "B/x", "B/y")
    assert read_panel(csv("day,shop,item,sold", *rows), CSV, id=("item", "shop")).ids == ("x/A", "y/A", "x/B", "y/B")


def test_whole_numbers_are_ids_by_their_name_only() -> None:
    rows = [f"{day},{shop},{at * shop}" for shop in (1, 2) for at, day in enumerate(DAYS)]
    assert read_panel(csv("day,store_id,sales", *rows), CSV).ids == ("1", "2")
    assert "is there twice" in refusal(csv("day,staff,sales", *rows))


def test_every_column_of_numbers_is_a_series_if_asked_for() -> None:
    wide = csv("day,north,south", *(f"{day},{at},{at * 2}" for at, day in enumerate(DAYS)))
    assert "2 columns may be the one of values: 'north', 'south'" in refusal(wide)
    assert "send target=* if each of them is a series" in refusal(wide)
    panel = read_panel(wide, CSV, target=("*",))
    assert (panel.ids, panel.y.tolist()) == (("north", "south"), [0, 1, 2, 3, 0, 2, 4, 6])
    assert read_panel(wide, CSV, target=("south",)).covariates.keys() == {"north"}


def test_several_targets_of_several_ids_are_series_of_both() -> None:
    rows = [f"{day},{shop},{at},{at + 1}" for shop in "AB" for at, day in enumerate(DAYS)]
    panel = read_panel(csv("day,shop,sold,returned", *rows), CSV, target=("sold", "returned"))
    assert panel.ids == ("A/sold", "B/sold", "A/returned", "B/returned")


def test_a_wide_table_may_have_a_thousand_series() -> None:
    names = [f"s{at}" for at in range(1_000)]
    data = csv("day," + ",".join(names), *(day + ",1" * 1_000 for day in DAYS))
    assert len(read_panel(data, CSV, "D", 10_000, target=("*",))) == 1_000
    assert "too_many_covariates" in refusal_code(data, target=("s1",))


def refusal_code(data: bytes, **options: object) -> str:
    with pytest.raises(InputError) as refused:
        read_panel(data, CSV, **options)
    return refused.value.faults[0].code


def test_two_columns_of_times_are_told_apart_by_name_or_named() -> None:
    rows = [f"{day},2026-02-0{at + 1},{at}" for at, day in enumerate(DAYS)]
    assert str(read_panel(csv("date,shipped,sold", *rows), CSV).starts[0])[:10] == "2026-01-01"
    assert "2 columns may be the one of times: 'ordered', 'shipped'" in refusal(csv("ordered,shipped,sold", *rows))
    read = read_table(csv("ordered,shipped,sold", *rows), CSV, TableOptions(time="shipped"), 100)
    assert (str(read.panel.starts[0])[:10], read.reading.ignored) == ("2026-02-01", ("ordered",))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"time": "when"}, "no_such_column"),
        ({"target": ("kilo",)}, "no_such_column"),
        ({"target": ("colour",)}, "bad_value"),
        ({"id": ("weight",), "target": ("colour",)}, "bad_column"),
        ({"zone": "Mars"}, "unknown_zone"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(options: dict[str, object], code: str) -> None:
    rows = [f"{day},red,{at}.5" for at, day in enumerate(DAYS)]
    assert refusal_code(csv("day,colour,weight", *rows), **options) == code


def test_a_stray_text_in_a_covariate_of_numbers_is_refused_with_its_row() -> None:
    rows = [f"{day},{at},{at + 3}" for at, day in enumerate(f"2026-03-{day:02}" for day in range(1, 21))]
    rows[6] = "2026-03-07,6,N/A"
    assert "row 8: temp is 'N/A', which is not a number" in refusal(csv("ds,y,temp", *rows))
    assert read_panel(csv("ds,y,temp", *rows), CSV, on_unparsable="missing").categories == {}


def test_rows_in_any_order_are_the_same_series() -> None:
    newest_first = csv("ds,y", *(f"{day},{at}" for at, day in reversed(list(enumerate(DAYS)))))
    read = read_table(newest_first, CSV, TableOptions(), 100)
    assert (read.panel.y.tolist(), read.reading.repairs) == ([0, 1, 2, 3], {"sorted_rows": 3})


@pytest.mark.parametrize(("how", "value"), [("first", 1), ("last", 3), ("sum", 4), ("mean", 2)])
def test_rows_of_one_time_are_joined_as_asked(how: str, value: float) -> None:
    data = csv("ds,y", "2026-01-01,1", "2026-01-01,3", "2026-01-02,5", "2026-01-03,6")
    assert "row 3: 2026-01-01T00:00:00 is there twice" in refusal(data)
    read = read_table(data, CSV, TableOptions(on_duplicate=how), 100)  # type: ignore[arg-type]
    assert (read.panel.y.tolist(), read.reading.repairs) == ([value, 5, 6], {"joined_rows": 1})


def test_one_stray_row_does_not_change_the_frequency_of_all() -> None:
    mondays = [str(dt.date(2024, 1, 1) + dt.timedelta(weeks=week)) for week in range(104)]
    rows = [f"{day},{at}" for at, day in enumerate(mondays)]
    rows.insert(50, "2024-12-10,7")
    assert "2024-12-10T00:00:00 is not on the grid of frequency W" in refusal(csv("ds,y", *rows))


def test_a_parquet_file_of_local_midnights_is_one_of_days() -> None:
    midnights = pa.array([dt.datetime(2026, 3, day) for day in (28, 29, 30, 31)], pa.timestamp("us"))  # noqa: DTZ001
    moments = midnights.cast(pa.timestamp("us")).cast("int64").to_pylist()
    utc = [moment - (1 if at < 2 else 2) * 3_600_000_000 for at, moment in enumerate(moments)]
    panel: Panel = read_panel(parquet(ds=pa.array(utc, pa.timestamp("us", "Europe/Berlin")), y=[1.0, 2, 3, 4]), PARQUET)
    assert (str(panel.freq), panel.utc, str(panel.starts[0])[:10]) == ("D", False, "2026-03-28")
