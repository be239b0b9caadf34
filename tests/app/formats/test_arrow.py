"""Arrow streams: cut short, damaged or made to cost much, they are refused before they do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats import arrow_columns, arrow_messages, panel_from_arrow
from models.data.panel import Panel
from models.errors import InputError
from tests.app.api.tables import arrow, parquet, stream

DS = np.array([f"2026-01-{day:02}" for day in range(1, 13)], "datetime64[us]")
ROWS: dict[str, Any] = {"unique_id": ["a"] * 12, "ds": DS, "y": np.arange(12.0), "c": ["x", "y"] * 6}
END = b"\xff\xff\xff\xff\0\0\0\0"


def read(data: bytes) -> Panel:
    return panel_from_arrow(data, None, 1000)


def fault(data: bytes) -> tuple[str, str]:
    """Code and message of the complaint."""
    with pytest.raises(InputError) as caught:
        read(data)
    return caught.value.faults[0].code, caught.value.faults[0].message


def test_gaps_within_series_count_as_rows() -> None:
    data = arrow(unique_id=["a"] * 2, ds=["2026-01-01", "2026-01-19"], y=[1.0, 2.0])
    assert len(panel_from_arrow(data, "D", 19).y) == 19
    with pytest.raises(InputError, match="more than 18 rows, gaps within series"):
        panel_from_arrow(data, "D", 18)


def coded(*texts: str) -> Any:
    return pa.array(texts * (12 // len(texts))).dictionary_encode()


@pytest.mark.parametrize("packed", [None, "zstd", "lz4"])
@pytest.mark.parametrize("chunk", [None, 1, 5])
def test_rows_are_the_same_however_they_are_batched_and_packed(packed: str | None, chunk: int | None) -> None:
    table = pa.table({**ROWS, "c": coded("x", "y")})
    assert read(stream(table, chunk, compression=packed)).to_bytes() == read(arrow(**ROWS)).to_bytes()


def test_dictionaries_may_differ_between_batches_and_grow() -> None:
    later = {**ROWS, "ds": DS + np.timedelta64(12, "D"), "c": coded("y", "x", "z")}
    tables = [pa.table({**ROWS, "c": coded("x", "y")}), pa.table(later)]
    both = pa.concat_tables(tables)
    assert both["c"].chunk(0).dictionary != both["c"].chunk(1).dictionary
    for emit_deltas in (False, True):
        panel = read(stream(both, emit_dictionary_deltas=emit_deltas))
        assert panel.categories == {"c": ("x", "y", "z")}
        assert panel.covariates["c"].tolist() == [0, 1] * 6 + [1, 0, 2] * 4


def test_series_come_in_the_order_of_their_rows_whatever_the_order_of_a_dictionary() -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([1, 1, 1, 0, 0, 0]), pa.array(["a", "b"]))
    assert read(arrow(unique_id=names, ds=np.tile(DS[:3], 2), y=np.arange(6.0))).ids == ("b", "a")


def test_of_a_dictionary_only_what_is_used_counts() -> None:
    many = pa.array([f"never {i}" for i in range(2000)] + ["x"])  # 1,000 categories can be told apart
    column = pa.DictionaryArray.from_arrays(pa.array([2000] * 12), many)
    assert read(arrow(**{**ROWS, "c": column})).categories == {"c": ("x",)}


def test_a_null_in_a_dictionary_is_missing() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 6), pa.array(["x", None]))
    panel = read(arrow(**{**ROWS, "c": column}))
    np.testing.assert_array_equal(panel.covariates["c"], [0, np.nan] * 6)


@given(st.data())
def test_a_stream_cut_short_anywhere_is_refused(data: st.DataObject) -> None:
    whole = stream(pa.table(ROWS), 4)
    code, _ = fault(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert code == "bad_arrow"


def test_a_stream_without_an_end_marker_is_refused() -> None:
    whole = arrow(**ROWS)
    assert whole.endswith(END)
    assert fault(whole.removesuffix(END)) == ("bad_arrow", "the stream is truncated: it has no end marker")


def test_a_second_stream_is_not_left_unread() -> None:
    whole = arrow(**ROWS)
    assert fault(whole + whole)[1] == f"{len(whole)} bytes follow the end of the stream"
    assert fault(whole + b"\0")[0] == "bad_arrow"


@given(st.data())
def test_no_damage_whatever_breaks_the_reader(data: st.DataObject) -> None:
    """Whole words are set, as a hostile writer would: lengths, offsets, counts; every byte is tried elsewhere."""
    table = pa.table({**ROWS, "d": coded("p", "q"), "v": pa.array(["p", "q" * 20] * 6, pa.string_view())})
    packed = data.draw(st.sampled_from([None, "zstd", "lz4"]))
    whole = bytearray(stream(table, 5, compression=packed))
    for at in data.draw(st.lists(st.integers(0, len(whole) // 8 - 1), min_size=1, max_size=3)):
        word = data.draw(st.sampled_from([-1, 0, 7, 2**31, -(2**31), 2**40, 2**62]))
        whole[at * 8 : at * 8 + 8] = word.to_bytes(8, "little", signed=True)
    try:
        panel = read(bytes(whole))
    except InputError:
        return
    assert len(panel) > 0


def text_of(offsets: list[int], characters: bytes = b"a" * 12) -> Any:
    """Twelve texts whose offsets are whatever is said."""
    held = pa.py_buffer(np.array(offsets, np.int32))
    return pa.StringArray.from_buffers(12, held, pa.py_buffer(characters))


@pytest.mark.parametrize(
    "column",
    [
        text_of([0, -5, *range(2, 13)]),
        text_of([0, 9, *range(2, 13)]),
        text_of([0, 2**31 - 1, *range(2, 13)]),
        text_of(list(range(13)), b"\xff" * 12),
        pa.DictionaryArray.from_arrays(pa.array([0, 7] * 6), pa.array(["x", "y"]), safe=False),
        pa.DictionaryArray.from_arrays(pa.array([0, -3] * 6), pa.array(["x", "y"]), safe=False),
        pa.DictionaryArray.from_arrays(pa.array([0] * 12), text_of([0, -5, *range(2, 13)]), safe=False),
    ],
    ids=["negative", "falling", "beyond", "not UTF-8", "no such code", "negative code", "negative in a dictionary"],
)
@pytest.mark.parametrize("name", ["unique_id", "c"])
def test_offsets_and_codes_that_lead_astray_are_refused(name: str, column: Any) -> None:
    batch = pa.record_batch({**ROWS, name: column})
    assert fault(stream(pa.Table.from_batches([batch])))[0] == "bad_arrow"


def test_a_packed_buffer_is_not_allocated_before_its_declared_size_is_checked() -> None:
    whole = bytearray(stream(pa.table({**ROWS, "y": np.zeros(12)}), compression="zstd"))
    honest = (96).to_bytes(8, "little")  # before the buffers of ds and y
    assert whole.count(honest) >= 1
    lie = bytes(whole).replace(honest, (2**60).to_bytes(8, "little"))
    assert fault(lie) == ("too_large", f"the decompressed stream has over {arrow_columns.MAX_UNPACKED_BYTES} bytes")


def test_a_stream_of_zeros_that_packs_to_nothing_counts_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 1000
    names = coded("a")[:1].take(pa.array([0] * rows))
    zeros = {"unique_id": names, "ds": np.tile(DS[:1], rows), "y": np.zeros(rows)}
    data = stream(pa.table(zeros), compression="zstd")
    assert len(data) < 2_000
    monkeypatch.setattr(arrow_columns, "MAX_UNPACKED_BYTES", 20_100)  # 8,000 of ds and of y, 4,000 of codes, a few more
    assert fault(data)[0] == "unknown_frequency"  # all of it was read
    monkeypatch.setattr(arrow_columns, "MAX_UNPACKED_BYTES", 20_000)
    assert fault(data)[0] == "too_large"


def test_a_packed_dictionary_counts_before_it_is_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 12), pa.array(["x", "y" * 9000]))
    data = stream(pa.table({**ROWS, "c": column}), compression="zstd")
    assert len(data) < 3_000
    monkeypatch.setattr(arrow_columns, "MAX_UNPACKED_BYTES", 9_000)
    assert fault(data) == ("too_large", "the decompressed stream has over 9000 bytes")


def test_a_dictionary_counts_with_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is checked with its dictionary: 12 batches of a long one are not to cost 12 times what was sent."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 12), pa.array(["x", "y" * 9000]))
    one, twelve = (stream(pa.table({**ROWS, "c": column}), chunk) for chunk in (12, 1))
    monkeypatch.setattr(arrow_columns, "MAX_UNPACKED_BYTES", 60_000)
    assert read(one).categories == {"c": ("x",)}
    code, message = fault(twelve)
    assert (code, message) == ("too_large", "the batches have over 60000 bytes")


def test_texts_that_share_their_bytes_count_each(monkeypatch: pytest.MonkeyPatch) -> None:
    views = pa.array(["x" * 9000], pa.string_view())
    _, view, text = views.buffers()
    shared = pa.Array.from_buffers(pa.string_view(), 12, [None, pa.py_buffer(view.to_pybytes() * 12), text])
    data = arrow(**{**ROWS, "unique_id": shared})
    assert len(data) < 12_000
    monkeypatch.setattr(arrow_columns, "MAX_UNPACKED_BYTES", 12 * 9000)
    assert fault(data)[0] == "too_large"
    monkeypatch.undo()
    assert fault(data)[0] == "bad_id"


def test_messages_and_their_metadata_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table(ROWS)
    noted = table.replace_schema_metadata({"tool": "x" * arrow_messages.MAX_METADATA_BYTES})
    assert fault(stream(noted))[0] == "too_large"
    monkeypatch.setattr(arrow_messages, "MAX_MESSAGES", 13)  # the schema, and a batch for each row
    assert len(read(stream(table, 1)).y) == 12
    monkeypatch.setattr(arrow_messages, "MAX_MESSAGES", 12)
    assert fault(stream(table, 1))[0] == "too_large"


USE_ALL = """
import json, sys
from pathlib import Path

import numpy as np

from app.formats import ARROW, MEDIA_TYPES, forecast_to_arrow
from app.tables import TableOptions, read_table
from models.forecasting.forecast import Forecast


def loaded():
    return sorted({"pyarrow", "pandas"} & set(sys.modules))


told = [loaded()]
for file, kind in zip(sys.argv[1:], (ARROW, MEDIA_TYPES[".parquet"])):
    panel = read_table(Path(file).read_bytes(), kind, TableOptions(), 1000).panel
ones = np.ones((1, 2))
made = Forecast(ids=panel.ids, freq=panel.freq, starts=panel.starts, median=ones, mean=ones, intervals={})
forecast_to_arrow(made, {})
print(json.dumps([*told, loaded()]))
"""


def test_arrow_is_loaded_when_it_is_asked_for_and_pandas_never(tmp_path: Path) -> None:
    """In a process of its own, that reads every kind of column and writes a forecast."""
    rows = {**ROWS, "c": coded("x", "y"), "n": [None, 1.0] * 6, "d": pa.array(["x", None] * 6, pa.string_view())}
    files = {"a.arrows": arrow(**rows), "a.parquet": parquet(**{**rows, "ds": pa.array(DS, pa.timestamp("us", "UTC"))})}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-W", "error", "-c", USE_ALL, *(str(tmp_path / name) for name in files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], ["pyarrow"]]
