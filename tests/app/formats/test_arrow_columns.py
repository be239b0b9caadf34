"""Columns of every type that Parquet and Arrow have: read exactly, or refused by name."""

import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.formats import ARROW, arrow_columns, panel_from_arrow
from models.data.panel import Panel
from models.errors import InputError
from tests.app.api.tables import PARQUET, arrow, parquet, stream
from tests.app.tables.reading import read_panel

MOMENTS = [dt.datetime(2026, 1, day) for day in (1, 2, 3)]  # noqa: DTZ001 - moments without a zone are meant
IDS, Y = ["a"] * 3, [1.5, 2.0, -3.0]
KINDS = {"parquet": (parquet, PARQUET), "arrow": (arrow, ARROW)}

Read = Callable[..., Panel]


@pytest.fixture(params=KINDS)
def read(request: pytest.FixtureRequest) -> Read:
    """Writes a table as Parquet or Arrow -- daily ``a`` but for what is said -- and reads it."""
    write, media_type = KINDS[request.param]

    def read_one(**changes: Any) -> Panel:
        data = write(**{"unique_id": IDS, "ds": MOMENTS, "y": Y, **changes})
        return read_panel(data, media_type, None, 1000)

    return read_one


def fault(read: Read, **changes: Any) -> tuple[str, str]:
    """Code and message of the first complaint."""
    with pytest.raises(InputError) as caught:
        read(**changes)
    return caught.value.faults[0].code, caught.value.faults[0].message


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
def test_covariates_of_every_type_are_read(read: Read, column: Any) -> None:
    np.testing.assert_array_equal(read(x=column).covariates["x"], [1, np.nan, 3])


def test_columns_that_are_neither_numbers_nor_text_are_left_out(read: Read) -> None:
    others = {"seen": MOMENTS, "tags": [["a"]] * 3, "raw": [b"a"] * 3, "at": [{"x": 1}] * 3, "__index_level_0__": Y}
    assert dict(read(**others).covariates) == {}


def test_there_is_a_most_of_cells(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"x{i}": [1.0, 2.0, 3.0] for i in range(50)}
    monkeypatch.setattr(arrow_columns, "MAX_CELLS", 3 * 53)
    assert len(read(**many).covariates) == 50
    monkeypatch.setattr(arrow_columns, "MAX_CELLS", 3 * 53 - 1)
    assert fault(read, **many)[0] == "too_large"


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_has_one_column(kind: str) -> None:
    twice = pa.table([IDS, ["2026-01-01"] * 3, Y, Y, Y], names=["unique_id", "ds", "y", "x", "x"])
    file = io.BytesIO()
    pq.write_table(twice, file)
    data = {"parquet": file.getvalue(), "arrow": stream(twice)}[kind]
    with pytest.raises(InputError, match="the table has two columns of one name"):
        read_panel(data, KINDS[kind][1], None, 1000)


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
        pa.array(["2026-01-01", "2026-01-02", "2026-01-03"], pa.string_view()),
    ],
    ids=lambda column: str(column.type),
)
def test_moments_of_every_type_are_the_same(read: Read, ds: Any) -> None:
    panel = read(ds=ds)
    assert panel.times(0).astype("datetime64[s]").astype(str).tolist()[0] == "2026-01-01T00:00:00"
    same = read(ds=pa.array(MOMENTS, pa.timestamp("us", "UTC" if panel.utc else None)))
    assert panel.fingerprint() == same.fingerprint()
    assert panel.utc == (str(ds.type) in ("timestamp[us, tz=UTC]", "large_string"))


def test_moments_with_a_zone_are_read_as_utc(read: Read) -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    moments = [dt.datetime(2026, 7, 1, hour, tzinfo=zone) for hour in (2, 3, 4)]
    panel = read(ds=pa.array(moments, pa.timestamp("us", "Europe/Berlin")))
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
        pa.array([0, 1, 2, 3, 4])[1:4],
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize(
    "ids",
    [
        pa.array(IDS),
        pa.array(IDS, pa.large_string()),
        pa.array(IDS, pa.string_view()),
        pa.array(IDS).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([1, 1, 1], pa.uint8()), pa.array(["never used", "a"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 0, 0]), pa.array(["a"], pa.large_string())),
    ],
    ids=lambda ids: str(ids.type),
)
def test_numbers_and_names_of_every_type_are_read(read: Read, y: Any, ids: Any) -> None:
    panel = read(unique_id=ids, y=y)
    assert (panel.ids, panel.y.tolist()) == (("a",), [1, 2, 3])


def test_numbers_may_be_names(read: Read) -> None:
    assert read(unique_id=[7, 7, 7]).ids == ("7",)
    assert read(unique_id=pa.array([7, 7, 7]).dictionary_encode()).ids == ("7",)


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
def test_columns_of_another_type_are_refused_by_name_in_a_request(changes: dict[str, Any], kind: str) -> None:
    data = arrow(**{"unique_id": IDS, "ds": MOMENTS, "y": Y, **changes})
    with pytest.raises(InputError) as caught:
        panel_from_arrow(data, None, 1000)
    assert caught.value.faults[0].code == "bad_column"
    assert f"'{next(iter(changes))}' has the type '{kind}" in caught.value.faults[0].message


def test_nulls_are_refused_with_their_row_but_for_values(read: Read) -> None:
    np.testing.assert_array_equal(read(y=[1.0, None, 2.0]).y, [1, np.nan, 2])
    for name, values, code in [
        ("ds", [MOMENTS[0], None, MOMENTS[2]], "bad_timestamp"),
        ("ds", pa.array([MOMENTS[0], None, MOMENTS[2]], pa.timestamp("us", "UTC")), "bad_timestamp"),
        ("ds", ["2026-01-01", None, "2026-01-03"], "bad_timestamp"),
        ("unique_id", ["a", None, "a"], "bad_id"),
    ]:
        with pytest.raises(InputError) as caught:
            read(**{name: values})
        assert [(one.code, one.row) for one in caught.value.faults] == [(code, 2)]


def test_moments_that_microseconds_cannot_say_are_refused(read: Read) -> None:
    code = fault(read, ds=pa.array([1, 2, 3], pa.timestamp("ns")))[0]
    assert code in ("bad_parquet", "bad_arrow")
    for beyond in (pa.array([2**62, 2**62 + 1, 2**62 + 2], pa.timestamp("ms")), pa.array([2**31 - 1] * 3, pa.date32())):
        assert fault(read, ds=beyond)[0] == code


def test_a_small_file_that_unpacks_to_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    file, rows = io.BytesIO(), 1000
    bomb = pa.table({"unique_id": ["x" * 20_000] * rows, "ds": ["2026-01-01"] * rows, "y": [1.0] * rows})
    pq.write_table(bomb, file, compression="zstd")
    streamed = stream(bomb, compression="zstd")
    for data, media_type in [(file.getvalue(), PARQUET), (streamed, ARROW)]:
        assert len(data) < 20_000  # and 20 MB unpacked
        for most_bytes, code in [(arrow_columns.MAX_UNPACKED_BYTES, "text_too_long"), (1000, "too_large")]:
            monkeypatch.setattr(arrow_columns, "MAX_UNPACKED_BYTES", most_bytes)
            with pytest.raises(InputError) as caught:
                read_panel(data, media_type, None, 1000)
            assert caught.value.faults[0].code == code
        monkeypatch.undo()
