"""CSV, JSON and Parquet say the same; what one of them cannot say is refused, never guessed."""

import datetime as dt
import io
import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import formats
from app.formats import parse_pairs, read_file, read_panel
from app.problems import UnsupportedMedia
from models.errors import InputError
from models.panel import Panel
from tests.app.api.tables import CSV, JSON, KINDS, PARQUET, WRITERS, parquet, series

MOMENTS = [dt.datetime(2026, 1, day) for day in (1, 2, 3)]  # noqa: DTZ001 - moments without a zone are meant
IDS, Y = ["a"] * 3, [1.5, 2.0, -3.0]


def read(data: bytes, media_type: str = PARQUET, freq: str | None = None) -> Panel:
    return read_panel(data, media_type, freq, 1000)


def fault(data: bytes, media_type: str = PARQUET) -> tuple[str, str]:
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


@given(st.data())
def test_no_damage_whatever_breaks_the_parquet_reader(data: st.DataObject) -> None:
    whole = bytearray(parquet(unique_id=IDS, ds=MOMENTS, y=Y))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    assert_read_or_refused(bytes(whole), PARQUET)


@given(st.text('abc,"\n\r\0;1.- ', max_size=60))
def test_no_text_whatever_breaks_the_csv_reader(text: str) -> None:
    assert_read_or_refused(f"unique_id,ds,y\n{text}".encode(), CSV)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_csv_lines_end_as_people_end_them(ending: str, last: bool) -> None:
    lines = ["unique_id,ds,y", "a,2026-01-01,1.5", "", 'a,"2026-01-02",2', '"a",2026-01-03,-3e0']
    data = ending.join(lines) + (ending if last else "")
    assert read(data.encode(), CSV).fingerprint() == read(parquet(unique_id=IDS, ds=MOMENTS, y=Y)).fingerprint()


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
    rows = {"unique_id": IDS, "ds": ["2026-01-01", "2026-01-02", "2026-01-03"], "y": Y, name: column}
    lines = [rows.keys(), *zip(*rows.values(), strict=True)]
    text = "\n".join(",".join("" if cell is None else str(cell) for cell in line) for line in lines)
    panels = [read(text.encode(), CSV), read(json.dumps(rows).encode(), JSON), read(parquet(**rows))]
    assert [panel.categories.get(name, ()) for panel in panels] == [categories] * 3
    assert len({panel.fingerprint() for panel in panels}) == 1


def test_a_csv_column_is_text_where_the_data_set_says_so() -> None:
    data = b"unique_id,ds,y,size\na,2026-01-01,1,36\na,2026-01-02,2,NA\na,2026-01-03,3,\n"
    assert read(data, CSV).categories == {}
    panel = read_panel(data, CSV, None, 10, texts=("size", "colour"))
    assert panel.categories == {"size": ("36", "NA")}
    np.testing.assert_array_equal(panel.covariates["size"], [0, 1, np.nan])


def test_what_looks_like_a_number_in_some_rows_only_is_a_category() -> None:
    data = b"unique_id,ds,y,size,on\na,2026-01-01,1,36,true\na,2026-01-02,2,XL,maybe\na,2026-01-03,3,1_0,false\n"
    assert read(data, CSV).categories == {"size": ("1_0", "36", "XL"), "on": ("false", "maybe", "true")}


def test_json_says_what_is_a_number_and_what_is_text() -> None:
    rows = {"unique_id": IDS, "ds": ["2026-01-01", "2026-01-02", "2026-01-03"], "y": Y}
    assert fault(json.dumps({**rows, "x": [1, "2", 3]}).encode(), JSON) == (
        "bad_value",
        "x is 1, but text in other rows",
    )
    assert fault(json.dumps({**rows, "x": [1, [2], 3]}).encode(), JSON)[0] == "bad_value"
    assert fault(json.dumps({**rows, "x": [1, 2]}).encode(), JSON)[0] == "ragged_columns"
    assert fault(json.dumps({**rows, "x": 1}).encode(), JSON)[0] == "bad_json"


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 3], pa.int8()),
        pa.array([Decimal("1.00"), None, Decimal("3.00")]),
        pa.array([1, None, 3], pa.int64()).dictionary_encode(),
        pa.array([1.0, float("nan"), 3.0], pa.float32()),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_covariates_of_every_type_are_read(column: Any) -> None:
    panel = read(parquet(unique_id=IDS, ds=MOMENTS, y=Y, x=column))
    np.testing.assert_array_equal(panel.covariates["x"], [1, np.nan, 3])


def test_parquet_columns_that_are_neither_numbers_nor_text_are_left_out() -> None:
    others = {"seen": MOMENTS, "tags": [["a"]] * 3, "raw": [b"a"] * 3, "at": [{"x": 1}] * 3, "__index_level_0__": Y}
    assert dict(read(parquet(unique_id=IDS, ds=MOMENTS, y=Y, **others)).covariates) == {}


def test_there_is_a_most_of_columns_and_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"x{i}": [1.0, 2.0, 3.0] for i in range(51)}
    header, cells = ",".join(many), ",".join(["1"] * 51)
    data = f"unique_id,ds,y,{header}\na,2026-01-01,1,{cells}\n".encode()
    assert fault(data, CSV)[0] == "bad_header"
    assert fault(parquet(unique_id=IDS, ds=MOMENTS, y=Y, **many))[0] == "too_many_covariates"
    del many["x50"]
    most = parquet(unique_id=IDS, ds=MOMENTS, y=Y, **many)
    assert len(read(most).covariates) == 50
    monkeypatch.setattr(formats, "MOST_CELLS", 3 * 53 - 1)
    assert fault(most)[0] == "too_large"


def test_a_column_has_one_name_and_a_name_one_column() -> None:
    assert fault(b"unique_id,ds,y,x,x\na,2026-01-01,1,2,3\n", CSV)[0] == "bad_header"
    twice = pa.table([IDS, ["2026-01-01"] * 3, Y, Y, Y], names=["unique_id", "ds", "y", "x", "x"])
    file = io.BytesIO()
    pq.write_table(twice, file)
    assert fault(file.getvalue()) == ("bad_column", "the file has two columns of one name")


def test_rows_that_are_missing_between_others_count_as_rows() -> None:
    data = b"unique_id,ds,y\na,2026-01-01,1\na,2026-01-19,2\n"
    assert len(read_panel(data, CSV, "D", 19).y) == 19
    with pytest.raises(InputError, match="more than 18 rows, those that are missing between others included"):
        read_panel(data, CSV, "D", 18)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("+1.", 1), (" -.5 ", -0.5), ("1e3", 1000), ("1E-3", 0.001), ("007", 7), ("-0", 0)]
)
def test_plain_decimals_are_numbers(text: str, value: float) -> None:
    assert read(f"unique_id,ds,y\na,2026-01-01,{text}\n".encode(), CSV, "D").y.tolist() == [value]


@pytest.mark.parametrize("text", ["0x10", "1_000", "N/A", "inf", "1,5", "1e", ".", "e5", "١", "1 2", "true", "1e99999"])
def test_what_is_no_plain_decimal_is_refused_with_its_row(text: str) -> None:
    data = f'unique_id,ds,y\na,2026-01-01,1\na,2026-01-02,"{text}"\na,2026-01-03,1\n'.encode()
    with pytest.raises(InputError) as caught:
        read(data, CSV)
    (found,) = caught.value.faults
    assert (found.code, found.row, found.unique_id) == ("bad_value", 2, "a")


@pytest.mark.parametrize(
    "ds",
    [
        pa.array(MOMENTS, pa.timestamp("s")),
        pa.array(MOMENTS, pa.timestamp("ns")),
        pa.array(MOMENTS, pa.timestamp("us", "UTC")),
        pa.array(MOMENTS, pa.timestamp("us")).dictionary_encode(),
        pa.array([moment.date() for moment in MOMENTS], pa.date32()),
        pa.array([moment.date() for moment in MOMENTS], pa.date64()),
        pa.array(["2026-01-01", "2026-01-02", "2026-01-03"]),
        pa.array(["2026-01-01Z", "2026-01-02Z", "2026-01-03Z"], pa.large_string()),
        pa.array(["2026-01-01", "2026-01-02", "2026-01-03"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_moments_of_every_type_are_the_same(ds: Any) -> None:
    panel = read(parquet(unique_id=IDS, ds=ds, y=Y))
    assert panel.times(0).astype("datetime64[s]").astype(str).tolist()[0] == "2026-01-01T00:00:00"
    same = pa.array(MOMENTS, pa.timestamp("us", "UTC" if panel.utc else None))
    assert panel.fingerprint() == read(parquet(unique_id=IDS, ds=same, y=Y)).fingerprint()
    assert panel.utc == (str(ds.type) in ("timestamp[us, tz=UTC]", "large_string"))


def test_moments_with_a_zone_are_read_as_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    moments = [dt.datetime(2026, 7, 1, hour, tzinfo=zone) for hour in (2, 3, 4)]
    panel = read(parquet(unique_id=IDS, ds=pa.array(moments, pa.timestamp("us", "Europe/Berlin")), y=Y))
    assert str(panel.starts[0]) == "2026-07-01T00:00:00.000000"


@pytest.mark.parametrize(
    "y",
    [
        pa.array([1, 2, 3], pa.int8()),
        pa.array([1, 2, 3], pa.uint64()),
        pa.array([1, 2, 3], pa.float32()),
        pa.array([1, 2, 3]).cast(pa.float16()),
        pa.array([Decimal("1.00"), Decimal("2.00"), Decimal("3.00")]),
        pa.array([1, 2, 3]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("ids", [pa.array(IDS), pa.array(IDS, pa.large_string()), pa.array(IDS).dictionary_encode()])
def test_parquet_numbers_and_names_of_every_type_are_read(y: Any, ids: Any) -> None:
    panel = read(parquet(unique_id=ids, ds=MOMENTS, y=y))
    assert (panel.ids, panel.y.tolist()) == (("a",), [1, 2, 3])


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"y": ["1", "2", "3"]}, "string"),
        ({"y": [True, False, True]}, "bool"),
        ({"y": [[1.0]] * 3}, "list"),
        ({"y": pa.array([10**14] * 3, pa.timestamp("s"))}, "timestamp"),
        ({"ds": [1, 2, 3]}, "int64"),
        ({"ds": [[moment] for moment in MOMENTS]}, "list"),
        ({"ds": [{"at": moment} for moment in MOMENTS]}, "struct"),
        ({"ds": pa.array([1, 2, 3], pa.time32("s"))}, "time32"),
        ({"unique_id": [1.5] * 3}, "double"),
        ({"unique_id": [b"a"] * 3}, "binary"),
        ({"unique_id": pa.array([2**60] * 3, pa.timestamp("us"))}, "timestamp"),
    ],
)
def test_parquet_columns_of_another_type_are_refused_by_name(changes: dict[str, Any], kind: str) -> None:
    code, message = fault(parquet(**{"unique_id": IDS, "ds": MOMENTS, "y": Y, **changes}))
    assert code == "bad_column"
    assert f"'{next(iter(changes))}' has the type '{kind}" in message


def test_parquet_nulls_are_refused_with_their_row_but_for_values() -> None:
    panel = read(parquet(unique_id=IDS, ds=MOMENTS, y=[1.0, None, 2.0]))
    np.testing.assert_array_equal(panel.y, [1, np.nan, 2])
    for name, values, code in [
        ("ds", [MOMENTS[0], None, MOMENTS[2]], "bad_timestamp"),
        ("unique_id", ["a", None, "a"], "bad_id"),
    ]:
        with pytest.raises(InputError) as caught:
            read(parquet(**{"unique_id": IDS, "ds": MOMENTS, "y": Y, name: values}))
        assert [(one.code, one.row) for one in caught.value.faults] == [(code, 2)]


def test_moments_that_microseconds_cannot_say_are_refused() -> None:
    nanoseconds = pa.array([1, 2, 3], pa.timestamp("ns"))
    seconds = pa.array([2**62, 2**62 + 1, 2**62 + 2], pa.timestamp("ms"))
    assert fault(parquet(unique_id=IDS, ds=nanoseconds, y=Y))[0] == "bad_parquet"
    assert fault(parquet(unique_id=IDS, ds=seconds, y=Y))[0] == "bad_parquet"


def test_a_small_file_that_unpacks_to_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    rows = 1000
    bomb = pa.table({"unique_id": ["x" * 20_000] * rows, "ds": ["2026-01-01"] * rows, "y": [1.0] * rows})
    pq.write_table(bomb, file, compression="zstd")
    assert len(file.getvalue()) < 10_000  # and 20 MB unpacked
    assert fault(file.getvalue())[0] == "text_too_long"
    monkeypatch.setattr(formats, "MOST_UNPACKED_BYTES", 1000)
    assert fault(file.getvalue())[0] == "too_large"


def test_files_are_read_by_their_ending(tmp_path: Path) -> None:
    for kind, write in WRITERS.items():
        file = tmp_path / f"sales.{kind.upper()}"
        file.write_bytes(write(series("a", Y)))
        assert read_file(file, None, 10).ids == ("a",)
    for name, code in [("sales.xlsx", "unknown_file_type"), ("none.csv", "no_such_file")]:
        with pytest.raises(InputError) as caught:
            read_file(tmp_path / name, None, 10)
        assert caught.value.faults[0].code == code


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedMedia, match=r"text/csv, application/vnd\.apache\.parquet, application/json"):
        read(b"", "text/html")
    assert fault(b"[1]", JSON)[0] == "bad_json"


def test_pairs_are_json_where_they_can_be() -> None:
    pairs = ["horizon=24", "cell=lstm", "rate=0.5", "note=a=b", "on=true"]
    assert parse_pairs(pairs) == {"horizon": 24, "cell": "lstm", "rate": 0.5, "note": "a=b", "on": True}
    with pytest.raises(InputError, match="'horizon' is not NAME=VALUE"):
        parse_pairs(["horizon"])
