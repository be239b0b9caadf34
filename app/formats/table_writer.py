"""Writer of Parquet and CSV tables in chunks; at most one chunk is in memory."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from app.formats.arrow_columns import load_arrow
from app.formats.media_types import MEDIA_TYPES
from app.spreadsheets import guard_text

FORMATS = MappingProxyType({name: MEDIA_TYPES[f".{name}"] for name in ("parquet", "csv")})

Columns = Mapping[str, NDArray[Any]]


class TableWriter:
    """Writer of chunks with equal columns to ``file``: texts, floats, timestamps (datetime64[us]; ``utc``: with a Z).

    CSV has timestamps in ISO 8601, and an apostrophe before text that a spreadsheet would run as a formula. NaN is
    written as a missing value in both formats.
    """

    def __init__(self, file: BinaryIO, kind: str, utc: bool) -> None:
        self._pa, self._file, self._kind, self._utc = load_arrow(), file, kind, utc
        self._writer: Any = None

    def write(self, columns: Columns) -> None:
        """Append the rows of a chunk."""
        table = self._pa.table({name: self._column(values) for name, values in columns.items()})
        if self._writer is None:
            self._writer = self._open(table.schema)
        self._writer.write_table(table)

    def end(self) -> None:
        """Write the footer; ``file`` stays open."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, schema: Any) -> Any:
        if self._kind == "parquet":
            import pyarrow.parquet as pq  # noqa: PLC0415 - loaded on first use, as PyArrow is

            return pq.ParquetWriter(self._file, schema, compression="zstd")
        from pyarrow import csv  # noqa: PLC0415 - as above

        return csv.CSVWriter(self._file, schema, write_options=csv.WriteOptions(quoting_style="needed"))

    def _column(self, values: NDArray[Any]) -> Any:
        pa = self._pa
        if self._kind == "csv" and values.dtype.kind == "O":
            guarded = {text: guard_text(text) for text in set(values)}  # few, each of many rows
            return pa.array([guarded[text] for text in values])
        if values.dtype.kind != "M":
            return pa.array(values, from_pandas=True)
        if self._kind == "csv":
            whole = bool((values.astype(np.int64) % 1_000_000 == 0).all())
            texts = np.datetime_as_string(values, unit="s" if whole else "us")
            return pa.array(np.char.add(texts, "Z") if self._utc else texts)
        return pa.array(values, type=pa.timestamp("us", tz="UTC" if self._utc else None))
