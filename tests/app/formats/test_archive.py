import io
import random
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.formats import panel_table
from app.formats.archive import CHECKSUMS, PIECE_BYTES, zip_files
from app.formats.media_types import MEDIA_TYPES
from app.formats.panel_table import parquet_pieces
from models.data.panel import panel_from_columns
from tests.app.tables.reading import read_panel


def test_the_archive_has_every_file_and_its_checksum(tmp_path: Path) -> None:
    made = b"".join(zip_files([("a.txt", [b"one ", b"two"]), ("b/c", iter([])), ("d", [b"\0" * 10])]))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.txt", "b/c", "d", CHECKSUMS]
        assert archive.read("a.txt") == b"one two"
        archive.extractall(tmp_path)
    checked = subprocess.run(["sha256sum", "-c", CHECKSUMS], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert checked.stdout.splitlines() == ["a.txt: OK", "b/c: OK", "d: OK"]


def test_it_is_made_in_pieces_while_the_files_are_read() -> None:
    noise, read = random.Random(7).randbytes(PIECE_BYTES), list[int]()

    def content() -> Iterator[bytes]:
        for number in range(20):
            read.append(number)
            yield noise

    pieces = zip_files([("noise", content())])
    sizes = [len(next(pieces)) for _ in range(3)]
    assert max(sizes) < 3 * PIECE_BYTES
    assert len(read) <= 4


def test_an_archive_that_was_cut_off_does_not_open() -> None:
    made = b"".join(zip_files([("a", [b"content"])]))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(made[:-30]))


def test_a_panel_comes_back_from_its_parquet_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_table, "ROWS_AT_ONCE", 4)  # several chunks
    days = [f"2026-01-0{day}" for day in (1, 2, 3, 1, 2, 1, 2, 3, 4, 5, 6)]
    y = [1.0, np.nan, 3.0, 4.0, 5.0, *range(6)]
    covariates = {"price": [0.5] * 11, "shop": ["x", None, "y"] + ["x"] * 8}
    panel = panel_from_columns([*"aaabbcccccc"], days, y, "D", covariates)
    made = b"".join(parquet_pieces(panel))
    assert pq.ParquetFile(io.BytesIO(made)).metadata.num_row_groups == 3
    assert read_panel(made, MEDIA_TYPES[".parquet"], "D").fingerprint() == panel.fingerprint()
