"""CSV, JSON, Parquet and Arrow say the same; what one of them cannot say is refused, never guessed."""

import json
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats import ARROW, parse_pairs
from app.problems import UnsupportedMedia
from app.tables import Before, TableOptions, read_file, read_table
from models.data.panel import Panel
from models.errors import InputError
from tests.app.api.tables import CSV, JSON, KINDS, PARQUET, WRITERS, arrow, parquet, series

IDS, DS, Y = ["a"] * 3, ["2026-01-01", "2026-01-02", "2026-01-03"], [1.5, 2.0, -3.0]


def read(data: bytes, media_type: str, freq: str | None = None, max_rows: int = 1000) -> Panel:
    return read_table(data, media_type, TableOptions(freq=freq), max_rows).panel


def fault(data: bytes, media_type: str) -> tuple[str, str]:
    """Code and message of the first complaint."""
    with pytest.raises(InputError) as caught:
        read(data, media_type)
    return caught.value.faults[0].code, caught.value.faults[0].message


def assert_read_or_refused(data: bytes, media_type: str) -> None:
    """No third way: any other error would be an answer of 500."""
    with suppress(InputError):
        assert len(read(data, media_type)) > 0


FINITE = st.floats(-1e99, 1e99)
NAMES = st.text("abcXYZ0-_.é", min_size=1, max_size=8).filter(lambda name: not name.isdigit())


@given(st.dictionaries(NAMES, st.lists(FINITE, min_size=3, max_size=9), min_size=1, max_size=4))
def test_the_same_rows_are_the_same_panel_in_every_format(content: dict[str, list[float]]) -> None:
    rows = [row for name, values in content.items() for row in series(name, values)]
    prints = {read(WRITERS[kind](rows), media_type).fingerprint() for kind, media_type in KINDS.items()}
    assert len(prints) == 1


@given(st.binary(max_size=200), st.sampled_from(list(KINDS.values())))
def test_no_bytes_whatever_break_a_reader(data: bytes, media_type: str) -> None:
    with pytest.raises(InputError):
        read(data, media_type)


@given(st.data(), st.sampled_from([(parquet, PARQUET), (arrow, ARROW)]))
def test_no_damage_whatever_breaks_a_reader(data: st.DataObject, kind: tuple[Any, str]) -> None:
    write, media_type = kind
    whole = bytearray(write(unique_id=IDS, ds=DS, y=Y))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    assert_read_or_refused(bytes(whole), media_type)


@given(st.text('abc,"\n\r\0;1.- ', max_size=60))
def test_no_text_whatever_breaks_the_csv_reader(text: str) -> None:
    assert_read_or_refused(f"unique_id,ds,y\n{text}".encode(), CSV)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_csv_lines_end_as_people_end_them(ending: str, last: bool) -> None:
    lines = ["unique_id,ds,y", "a,2026-01-01,1.5", "", 'a,"2026-01-02",2', '"a",2026-01-03,-3e0']
    data = ending.join(lines) + (ending if last else "")
    same = arrow(unique_id=IDS, ds=DS, y=Y)
    assert read(data.encode(), CSV).fingerprint() == read(same, ARROW).fingerprint()


def test_csv_columns_may_come_in_any_order_with_others_between() -> None:
    panel = read(b" y ,note,ds,,unique_id\n1,x,2026-01-01,0,a\n2,,2026-01-02,1,a\n3,x,2026-01-03,2,a\n", CSV)
    assert (panel.ids, panel.y.tolist()) == (("a",), [1, 2, 3])
    assert panel.categories == {"note": ("x",)}  # the column without a name is left out


@pytest.mark.parametrize("text", ["", " ", "NaN", "nan", "NA", "null", "Null"])
def test_a_missing_number_is_written_in_many_ways(text: str) -> None:
    data = f"unique_id,ds,y,x\na,2026-01-01,1,{text}\na,2026-01-02,{text},2\na,2026-01-04,4,4\n".encode()
    panel = read(data, CSV)
    np.testing.assert_array_equal(panel.y, [1, np.nan, np.nan, 4])
    np.testing.assert_array_equal(panel.covariates["x"], [np.nan, 2, np.nan, 4])


CELLS = [
    ("numbers", [1.5, None, -3.0], ()),
    ("truth", [True, None, False], ()),
    ("texts", ["b", None, "a"], ("a", "b")),
    ("nothing", [None, None, None], ()),
]


@pytest.mark.parametrize(("name", "column", "categories"), CELLS, ids=[name for name, *_ in CELLS])
def test_a_covariate_is_the_same_in_every_format(name: str, column: list[Any], categories: tuple[str, ...]) -> None:
    rows: dict[str, Any] = {"unique_id": IDS, "ds": DS, "y": Y, name: column}
    lines = [rows.keys(), *zip(*rows.values(), strict=True)]
    text = "\n".join(",".join("" if cell is None else str(cell) for cell in line) for line in lines)
    panels = [read(text.encode(), CSV), read(json.dumps(rows).encode(), JSON)]
    panels += [read(parquet(**rows), PARQUET), read(arrow(**rows), ARROW)]
    assert [panel.categories.get(name, ()) for panel in panels] == [categories] * 4
    assert len({panel.fingerprint() for panel in panels}) == 1


def test_a_csv_column_is_text_where_the_data_set_says_so() -> None:
    data = b"unique_id,ds,y,size\na,2026-01-01,1,36\na,2026-01-02,2,NA\na,2026-01-03,3,\n"
    assert read(data, CSV).categories == {}
    panel = read_table(data, CSV, TableOptions(), 10, Before(texts=("size", "colour"))).panel
    assert panel.categories == {"size": ("36", "NA")}
    np.testing.assert_array_equal(panel.covariates["size"], [0, 1, np.nan])


def test_what_looks_like_a_number_in_some_rows_only_is_a_category() -> None:
    data = b"unique_id,ds,y,size,on\na,2026-01-01,1,36,true\na,2026-01-02,2,XL,maybe\na,2026-01-03,3,1_0,false\n"
    assert read(data, CSV).categories == {"size": ("1_0", "36", "XL"), "on": ("false", "maybe", "true")}


def test_json_says_what_is_a_number_and_what_is_text() -> None:
    rows = {"unique_id": IDS, "ds": DS, "y": Y}
    assert fault(json.dumps({**rows, "x": [1, "2", 3]}).encode(), JSON) == (
        "bad_value",
        "x is '2', but the column has numbers in other rows",
    )
    assert fault(json.dumps({**rows, "x": [1, [2], 3]}).encode(), JSON)[0] == "bad_value"
    assert fault(json.dumps({**rows, "x": [1, 2]}).encode(), JSON)[0] == "ragged_columns"
    assert fault(json.dumps({**rows, "x": 1}).encode(), JSON)[0] == "bad_json"


def test_there_is_a_most_of_columns() -> None:
    many = {f"x{i}": [1.0, 2.0, 3.0] for i in range(51)}
    header, cells = ",".join(many), ",".join(["1"] * 51)
    data = f"unique_id,ds,y,{header}\na,2026-01-01,1,{cells}\n".encode()
    assert fault(data, CSV)[0] == "too_many_covariates"
    for write, media_type in [(parquet, PARQUET), (arrow, ARROW)]:
        assert fault(write(unique_id=IDS, ds=DS, y=Y, **many), media_type)[0] == "too_many_covariates"
        most = {name: many[name] for name in list(many)[:50]}
        assert len(read(write(unique_id=IDS, ds=DS, y=Y, **most), media_type).covariates) == 50


def test_a_csv_column_has_one_name() -> None:
    assert fault(b"unique_id,ds,y,x,x\na,2026-01-01,1,2,3\n", CSV)[0] == "bad_header"


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_within_series_count_as_rows(kind: str) -> None:
    data = WRITERS[kind]([("a", "2026-01-01", 1), ("a", "2026-01-19", 2)])
    assert len(read(data, KINDS[kind], "D", 19).y) == 19
    with pytest.raises(InputError, match="more than 18 rows, gaps within series included"):
        read(data, KINDS[kind], "D", 18)
    with pytest.raises(InputError, match="more than 1 rows; send fewer"):
        read(data, KINDS[kind], "D", 1)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("+1.", 1), (" -.5 ", -0.5), ("1e3", 1000), ("1E-3", 0.001), ("007", 7), ("-0", 0)]
)
def test_plain_decimals_are_numbers(text: str, value: float) -> None:
    assert read(f"unique_id,ds,y\na,2026-01-01,{text}\n".encode(), CSV, "D").y.tolist() == [value]


@pytest.mark.parametrize("text", ["0x10", "1_000", "N/A", "inf", "1e", ".", "e5", "١", "1 2", "true", "1e99999"])
def test_what_is_no_plain_decimal_is_refused_with_its_row(text: str) -> None:
    data = f'unique_id,ds,y\na,2026-01-01,1\na,2026-01-02,"{text}"\na,2026-01-03,1\n'.encode()
    with pytest.raises(InputError) as caught:
        read(data, CSV)
    (found,) = caught.value.faults
    assert (found.code, found.row, found.unique_id) == ("bad_value", 3, "a")


def test_files_are_read_by_their_ending(tmp_path: Path) -> None:
    for kind, write in WRITERS.items():
        file = tmp_path / f"sales.{kind.upper()}"
        file.write_bytes(write(series("a", Y)))
        assert read_file(file, TableOptions(), 10).panel.ids == ("a",)
    for name, code in [("sales.xls", "unknown_file_type"), ("none.csv", "no_such_file")]:
        with pytest.raises(InputError) as caught:
            read_file(tmp_path / name, TableOptions(), 10)
        assert caught.value.faults[0].code == code


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        read(b"", "text/html")
    assert all(media_type in str(caught.value) for media_type in KINDS.values())
    assert fault(b"[1]", JSON)[0] == "bad_json"


def test_pairs_are_json_where_they_can_be() -> None:
    pairs = ["horizon=24", "cell=lstm", "rate=0.5", "note=a=b", "on=true"]
    assert parse_pairs(pairs) == {"horizon": 24, "cell": "lstm", "rate": 0.5, "note": "a=b", "on": True}
    with pytest.raises(InputError, match="'horizon' is not NAME=VALUE"):
        parse_pairs(["horizon"])


def csv_peak_bytes(data: bytes) -> int:
    """The most memory that reading or refusing a CSV file takes beside the file."""
    tracemalloc.start()
    try:
        with suppress(InputError):
            read(data, CSV, None, 500_000)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_csv_file_takes_a_few_times_its_size_in_memory() -> None:
    stamps = [str(np.datetime64("2026-01-01T00") + hour) for hour in range(500)]
    rows = "".join(f"series-{name},{stamp}:00,{name}.5\n" for name in range(80) for stamp in stamps)
    data = f"unique_id,ds,y\n{rows}".encode()
    assert csv_peak_bytes(data) < 9 * len(data)


@pytest.mark.parametrize(
    "body",
    [b"a" * 4_000_000, b"\n" * 4_000_000, b"a,b,c\n" * 400_000, b"a,b,c\n" * 1_100_000],
    ids=["one line", "empty lines", "rows without numbers", "too many rows"],
)
def test_a_hostile_csv_file_is_refused_in_little_memory(body: bytes) -> None:
    assert csv_peak_bytes(b"unique_id,ds,y\n" + body) < 16_000_000


def test_a_csv_file_that_has_no_numbers_lists_some_of_the_faults() -> None:
    with pytest.raises(InputError) as refused:
        read(b"unique_id,ds,y\n" + b"a,2026-01-01,c\n" * 50_000, CSV, None, 500_000)
    assert refused.value.faults[0].row == 2
    assert len(refused.value.faults) == 20
