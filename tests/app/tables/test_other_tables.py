"""JSON, lines of JSON, Excel, Parquet, Arrow: the same rows are the same panel, whatever the layout."""

import datetime as dt
import gzip
import io
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest

from app.formats import MEDIA_TYPES
from app.formats.arrow_messages import END
from app.tables import TableOptions, read_file, read_table
from models.errors import InputError
from tests.app.api.tables import CSV, JSON, PARQUET, arrow, days, parquet
from tests.app.tables.reading import read_panel

XLSX, LINES, ARROW_FILE = MEDIA_TYPES[".xlsx"], MEDIA_TYPES[".ndjson"], MEDIA_TYPES[".arrow"]
ROWS = [{"day": day, "shop": shop, "sold": 1.5 * at} for shop in ("a", "b") for at, day in enumerate(days(5))]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}


def workbook(rows: list[list[object]], sheet: str = "Sheet1") -> bytes:
    """An Excel file; an empty list is an empty row."""
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def arrow_file(**columns: object) -> bytes:
    """A file of Arrow, which is a stream between a magic number and a footer."""
    sink, table = io.BytesIO(), pa.table(columns)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def dates(texts: list[str]) -> list[dt.datetime]:
    return [dt.datetime.fromisoformat(text) for text in texts]


KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "CSV": (CSV, lambda: "\n".join(["day,shop,sold", *(f"{r['day']},{r['shop']},{r['sold']}" for r in ROWS)]).encode()),
    "JSON rows": (JSON, lambda: json.dumps(ROWS).encode()),
    "JSON columns": (JSON, lambda: json.dumps(COLUMNS).encode()),
    "lines of JSON": (LINES, lambda: "\n".join(map(json.dumps, ROWS)).encode()),
    "Parquet": (PARQUET, lambda: parquet(**COLUMNS)),
    "Arrow stream": (MEDIA_TYPES[".arrows"], lambda: arrow(**COLUMNS)),
    "Arrow file": (ARROW_FILE, lambda: arrow_file(**COLUMNS)),
    "Excel": (XLSX, lambda: workbook([list(COLUMNS), *([r["day"], r["shop"], r["sold"]] for r in ROWS)])),
    "Excel dates": (
        XLSX,
        lambda: workbook([[], list(COLUMNS), *([dates([r["day"]])[0], r["shop"], r["sold"]] for r in ROWS)]),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_are_the_same_panel_in_every_format(kind: str) -> None:
    media_type, write = KINDS[kind]
    panel = read_panel(write(), media_type)
    wide = {"day": days(5), "a": [1.5 * at for at in range(5)], "b": [1.5 * at for at in range(5)]}
    assert panel.fingerprint() == read_panel(json.dumps(wide).encode(), JSON, target=("*",)).fingerprint()


def test_a_row_of_json_may_lack_a_field() -> None:
    rows = [{"ds": day, "y": 1.0} for day in days(3)] + [{"ds": "2026-01-04"}]
    assert len(read_panel(json.dumps(rows).encode(), JSON).y) == 4


def test_a_sheet_is_chosen_by_name_and_a_row_is_named_by_its_number() -> None:
    data = workbook([["Quelle: Umfrage"], [], ["ds", "y"], *([day, 3] for day in days(3))], "Daten")
    with pytest.raises(InputError, match="its sheets are 'Daten'"):
        read_panel(data, XLSX, sheet="Data")
    faulty = workbook([[], ["ds", "y"], ["2026-01-01", 1], ["2026-01-02", "two"], ["2026-01-03", 3]])
    with pytest.raises(InputError, match="row 4: y is 'two'"):
        read_panel(faulty, XLSX)


def test_a_cell_with_an_error_is_missing() -> None:
    data = workbook([["ds", "y"], ["2026-01-01", 1], ["2026-01-02", "#N/A"], ["2026-01-03", 3]])
    assert read_panel(data, XLSX).missing.tolist() == [1]


@pytest.mark.parametrize(
    ("data", "media_type", "code"),
    [
        (b"PK\3\4", XLSX, "bad_workbook"),
        (workbook([]), XLSX, "no_rows"),
        (workbook([["ds", "y"]]), XLSX, "no_rows"),
        (workbook([["y", "y"], ["2026-01-01", 1]]), XLSX, "bad_header"),
        (workbook([["ds", "y"], *([day, 1] for day in days(5))]), XLSX, "too_many_rows"),
        (b'{"ds": "2026-01-01"}\n{', LINES, "bad_json"),
        (b"[1]", JSON, "bad_json"),
        (b'{"ds": [[1]], "y": [1]}', JSON, "bad_value"),
        (END, ARROW_FILE, "bad_arrow"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(data: bytes, media_type: str, code: str) -> None:
    with pytest.raises(InputError) as refused:
        read_table(data, media_type, TableOptions(), 4)
    assert refused.value.faults[0].code == code


def test_a_compressed_file_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "sales.csv.gz"
    file.write_bytes(gzip.compress(KINDS["CSV"][1]()))
    assert len(read_file(file, TableOptions(), 100).panel) == 2
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"not whole \.gz data"):
        read_file(file, TableOptions(), 100)


def test_no_damaged_byte_of_a_footer_of_parquet_ends_the_process() -> None:
    whole = parquet(ds=days(3), y=[1.5, 2.0, -3.0])
    (length,) = struct.unpack("<I", whole[-8:-4])
    for at in range(len(whole) - 8 - length, len(whole)):
        for byte in {0, 255, whole[at] ^ 1, whole[at] ^ 2} - {whole[at]}:
            damaged = whole[:at] + bytes([byte]) + whole[at + 1 :]
            with suppress(InputError):
                read_panel(damaged, PARQUET)
