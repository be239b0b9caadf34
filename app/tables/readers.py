"""Readers of tables by media type and by the extension of a file name."""

import gzip
import io
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from backports import zstd

from app.formats.errors import refusal
from app.formats.media_types import MEDIA_TYPES
from app.problems import UnsupportedMedia
from app.tables.arrow_table import table_from_arrow, table_from_parquet
from app.tables.csv_table import table_from_csv
from app.tables.excel_table import table_from_excel
from app.tables.json_table import table_from_json, table_from_lines
from app.tables.options import TableOptions
from app.tables.panel_table import NOTHING, Before, TablePanel, panel_of_table
from app.tables.raw_table import RawTable
from models.errors import excerpt

DEFAULT_OPTIONS = TableOptions()
MAX_UNPACKED_BYTES = 1024**3  # of a compressed file

Reader = Callable[[bytes, int, TableOptions, Collection[str]], RawTable]
READERS: dict[str, Reader] = {
    MEDIA_TYPES[".csv"]: lambda data, max_rows, _, texts: table_from_csv(data, max_rows, texts),
    MEDIA_TYPES[".tsv"]: lambda data, max_rows, _, texts: table_from_csv(data, max_rows, texts),
    MEDIA_TYPES[".json"]: lambda data, max_rows, *_: table_from_json(data, max_rows),
    MEDIA_TYPES[".ndjson"]: lambda data, max_rows, *_: table_from_lines(data, max_rows),
    MEDIA_TYPES[".parquet"]: lambda data, max_rows, *_: table_from_parquet(data, max_rows),
    MEDIA_TYPES[".arrows"]: lambda data, max_rows, *_: table_from_arrow(data, max_rows),
    MEDIA_TYPES[".arrow"]: lambda data, max_rows, *_: table_from_arrow(data, max_rows),
    MEDIA_TYPES[".xlsx"]: lambda data, max_rows, options, _: table_from_excel(data, max_rows, options.sheet),
}


def read_table(
    data: bytes, media_type: str, options: TableOptions, max_rows: int, before: Before = NOTHING
) -> TablePanel:
    """Return the panel of the table in ``data``, which continues the data set ``before``.

    Raises:
        UnsupportedMedia: ``media_type`` is not a value of ``MEDIA_TYPES``.
        InputError: the bytes are not of that type, the columns cannot be told apart, or cells are invalid.
    """
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    if kind not in READERS:
        known = ", ".join(dict.fromkeys(MEDIA_TYPES.values()))
        raise UnsupportedMedia(f"got Content-Type {excerpt(kind)}; send one of {known}")
    return panel_of_table(READERS[kind](data, max_rows, options, before.texts), options, max_rows, before)


def read_file(path: Path, options: TableOptions, max_rows: int) -> TablePanel:
    """Return the panel of a file; the extension of its name determines the type, and a further .gz or .zst is unpacked.

    Raises:
        InputError: the file does not exist, its extension is unknown, or ``read_table`` refuses its content.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in _UNPACKERS else None
    if not suffixes or suffixes[-1] not in MEDIA_TYPES:
        hint = f"its name must end in {', '.join(MEDIA_TYPES)}, with .gz or .zst after it if it is compressed"
        raise refusal("unknown_file_type", f"{path.name} is not a table", hint)
    if not path.is_file():
        raise refusal("no_such_file", f"there is no file {path}", "check the path")
    data = path.read_bytes()
    return read_table(data if packed is None else _unpack(data, packed), MEDIA_TYPES[suffixes[-1]], options, max_rows)


_UNPACKERS: dict[str, Any] = {".gz": gzip.open, ".zst": zstd.open}


def _unpack(data: bytes, suffix: str) -> bytes:
    try:
        with _UNPACKERS[suffix](io.BytesIO(data), "rb") as file:
            unpacked = file.read(MAX_UNPACKED_BYTES + 1)
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        raise refusal("bad_compression", f"the file is not whole {suffix} data", "compress it again") from error
    if len(unpacked) > MAX_UNPACKED_BYTES:
        raise refusal("too_large", f"the unpacked file has over {MAX_UNPACKED_BYTES} bytes", "split it")
    return bytes(unpacked)
