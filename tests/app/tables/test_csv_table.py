"""CSV files of every dialect that people have."""

import pytest

from app.tables.csv_table import table_from_csv
from models.errors import InputError
from tests.app.tables.reading import read_panel

CSV = "text/csv"
SALES = {"2026-01-01": "1.5", "2026-01-02": "2", "2026-01-03": ""}
ROWS = [("date", "shop", "sales"), *((day, "Zürich", sales) for day, sales in SALES.items())]


def text(delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in ROWS)


DIALECTS = {
    "commas": text().encode(),
    "semicolons": text(";").encode(),
    "tabs": text("\t").encode(),
    "bars": text("|").encode(),
    "line ends of Windows": text(end="\r\n").encode(),
    "line ends of old Macs": text(end="\r").encode(),
    "a byte order mark": b"\xef\xbb\xbf" + text().encode(),
    "Latin-1": text(";").encode("latin-1"),
    "UTF-16 of Excel": text("\t").encode("utf-16"),
    "big-endian UTF-16": b"\xfe\xff" + text().encode("utf-16-be"),
    "quotes": text().replace("Zürich", '"Zürich"').encode(),
    "empty lines": ("\n" + text(end="\n\n")).encode(),
    "no line end": text().rstrip("\n").encode(),
}


@pytest.mark.parametrize("data", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_is_the_same_table(data: bytes) -> None:
    panel = read_panel(data, CSV)
    assert panel.ids == ("Zürich",)
    assert panel.fingerprint() == read_panel(text().encode(), CSV).fingerprint()


def test_a_decimal_comma_in_quotes_is_no_delimiter() -> None:
    data = 'day,price\n"1.2.2026","1,5"\n"2.2.2026","2,5"\n"3.2.2026","3,75"\n'
    assert read_panel(data.encode(), CSV).y.tolist() == [1.5, 2.5, 3.75]


def test_a_row_is_named_by_its_line_in_the_file() -> None:
    with pytest.raises(InputError, match="row 5: 1 fields where the header has 2"):
        table_from_csv(b"ds,y\n2026-01-01,1\n\n2026-01-02,2\n2026-01-03\n", 100)
    with pytest.raises(InputError, match="row 4: y is 'two'"):
        read_panel(b"ds,y\n2026-01-01,1\n2026-01-02,3\n2026-01-03,two\n2026-01-04,7\n", CSV)


def test_ids_of_digits_stay_text() -> None:
    data = b"sku,ds,y\n007,2026-01-01,1\n7,2026-01-01,2\n007,2026-01-02,1\n7,2026-01-02,2\n"
    assert read_panel(data, CSV, "D", id=("sku",)).ids == ("007", "7")
    days = [b"7,2026-%02d-%02d,1\n" % (month, day) for month in range(1, 9) for day in range(1, 29)]
    data = b"sku,ds,y\n" + b"".join(days) + b"007,2026-01-01,2\n"  # beyond the sample of the first rows
    assert read_panel(data, CSV, "D", id=("sku",)).ids == ("7", "007")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"\n \n", "empty_file"),
        (b"y\n1\n", "bad_header"),
        (b"ds,y,y\n2026-01-01,1,2\n", "bad_header"),
        (b"2026-01-01,5\n2026-01-02,6\n", "bad_header"),
        (b"a," * 2_000 + b"a\n1\n", "bad_header"),
        (b"ds,y\n", "no_rows"),
        (b"ds,y\n" + b"x" * 3_000_000, "bad_csv"),
        (b'ds,y\n"' + b"x\n" * 2_000_000, "too_many_rows"),
        (b"ds,y\n2026-01-01,\x81\n", "bad_encoding"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(data: bytes, code: str) -> None:
    with pytest.raises(InputError) as refused:
        table_from_csv(data, 1_000)
    assert refused.value.faults[0].code == code
