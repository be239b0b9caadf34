"""Panels as Parquet, in the long form that uploads have."""

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from app.formats.archive import PieceBuffer
from app.formats.table_writer import TableWriter
from models.data.panel import Panel

ROWS_AT_ONCE = 100_000


def parquet_pieces(panel: Panel) -> Iterator[bytes]:
    """Yield a panel as one Parquet file with the columns unique_id, ds, y and the covariates, series after series."""
    buffer = PieceBuffer()
    writer = TableWriter(cast(BinaryIO, buffer), "parquet", panel.utc)
    begin = 0
    while begin < len(panel):
        end = max(begin + 1, int(np.searchsorted(panel.indptr, panel.indptr[begin] + ROWS_AT_ONCE, side="right")) - 1)
        writer.write(_columns(panel, begin, end))
        yield from buffer.take()
        begin = end
    writer.end()
    yield from buffer.take(0)


def _columns(panel: Panel, begin: int, end: int) -> dict[str, NDArray[Any]]:
    """Return the rows of the series from ``begin`` to before ``end``."""
    rows = slice(int(panel.indptr[begin]), int(panel.indptr[end]))
    ids = np.repeat(np.array(panel.ids[begin:end], dtype=object), panel.lengths[begin:end])
    times = np.concatenate([panel.times(i) for i in range(begin, end)])
    columns: dict[str, NDArray[Any]] = {"unique_id": ids, "ds": times, "y": panel.y[rows]}
    for name, values in panel.covariates.items():
        texts = panel.categories.get(name)
        columns[name] = values[rows] if texts is None else _texts(values[rows], texts)
    return columns


def _texts(indices: NDArray[np.float64], texts: tuple[str, ...]) -> NDArray[Any]:
    known = np.array([*texts, None], dtype=object)  # the last for a missing one
    return known[np.where(np.isnan(indices), len(texts), indices).astype(np.int64)]
