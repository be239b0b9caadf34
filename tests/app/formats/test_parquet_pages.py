"""Parquet files whose footers lie: they are refused before a page is decompressed."""

import io
import struct
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputError
from tests.app.tables.reading import read_panel

PARQUET = "application/vnd.apache.parquet"
MIB = 1024**2


def written(rows: int, **options: Any) -> bytes:
    """A daily series as a Parquet file of one column chunk each."""
    days = np.arange(rows).astype("datetime64[D]").astype("datetime64[us]")
    table = pa.table({"unique_id": ["a"] * rows, "ds": pa.array(days), "y": pa.array(np.zeros(rows))})
    file = io.BytesIO()
    pq.write_table(table, file, **{"compression": "zstd", "write_statistics": False, **options})
    return file.getvalue()


def varint(number: int, length: int = 0) -> bytes:
    """A signed number of Thrift's compact protocol, padded to ``length`` bytes."""
    rest, made = number << 1, b""
    while rest > 127 or len(made) + 1 < length:
        made, rest = made + bytes([rest & 127 | 128]), rest >> 7
    return made + bytes([rest])


def lying(data: bytes, says: dict[int, int]) -> bytes:
    """The file with numbers of its footer replaced; its length stays."""
    (length,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - length : -8]
    for was, becomes in says.items():
        assert varint(was) in footer
        footer = footer.replace(varint(was), varint(becomes, len(varint(was))))
    return data[: -8 - length] + footer + data[-8:]


def refusal_of(data: bytes) -> str:
    with pytest.raises(InputError) as refused:
        read_panel(data, PARQUET, None, 2_000_000)
    return f"{refused.value.faults[0].code}: {refused.value.faults[0].message}"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "none"},
        {"data_page_version": "2.0", "compression": "snappy"},
        {"use_dictionary": False, "data_page_size": 1024, "write_statistics": True},
        {"row_group_size": 100, "write_page_checksum": True, "write_page_index": True},
        {"compression": "gzip", "column_encoding": {"y": "BYTE_STREAM_SPLIT"}, "use_dictionary": ["unique_id"]},
    ],
    ids=["plain", "uncompressed", "pages of version 2", "many pages", "many row groups", "byte streams"],
)
def test_honest_files_of_every_kind_are_read(options: dict[str, Any]) -> None:
    assert len(read_panel(written(3_000, **options), PARQUET, None, 5_000).y) == 3_000


def test_a_footer_that_states_fewer_rows_than_the_pages_hold_is_refused() -> None:
    data = written(50_000)
    assert pq.ParquetFile(io.BytesIO(lying(data, {50_000: 40}))).metadata.num_rows == 40
    assert "bad_parquet: its pages hold 50000 rows of unique_id, its footer states 40" in refusal_of(
        lying(data, {50_000: 40})
    )


def test_pages_that_would_unpack_to_a_gigabyte_are_refused_before_they_are_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.formats.arrow_columns.MAX_UNPACKED_BYTES", 4 * MIB)
    data = written(400_000, use_dictionary=["unique_id"], data_page_size=64 * MIB, write_batch_size=400_000)
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    sizes = [metadata.total_byte_size, *(metadata.column(i).total_uncompressed_size for i in range(3))]
    lie = lying(data, dict.fromkeys(sizes, 100))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    assert "too_large: the decompressed file has over 4194304 bytes" in refusal_of(lie)
    assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < MIB


def test_headers_of_pages_that_are_no_headers_are_refused() -> None:
    data = bytearray(written(50_000))
    chunk = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(0).column(2)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    for junk in (b"\xff" * 40, b"\x00" * 40, b"\x1c" * 40, b"\x19" * 40, b"\x18" + b"\x7f" * 39):
        data[start : start + 40] = junk
        assert refusal_of(bytes(data)).startswith("bad_parquet")
