"""Text that a spreadsheet would run as a formula is guarded in the CSV of the service and its commands."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.cli.commands.console import print_table
from app.formats.table_writer import TableWriter
from app.spreadsheets import guard_text

IDS = ["=1+1", "+49", "-5", "@shop", "\tx", "\rx", "\nx", "shop-1", "", "'=1"]
GUARDED = ["'=1+1", "'+49", "'-5", "'@shop", "'\tx", "'\rx", "'\nx", "shop-1", "", "'=1"]


def test_text_that_begins_a_formula_gets_an_apostrophe() -> None:
    assert [guard_text(text) for text in IDS] == GUARDED


def written(kind: str) -> bytes:
    file = io.BytesIO()
    writer = TableWriter(file, kind, utc=False)
    writer.write({"unique_id": np.array(["=1+1", "shop"], dtype=object), "median": np.array([-1.5, 2.0])})
    writer.end()
    return file.getvalue()


def test_a_csv_artifact_guards_ids_and_leaves_numbers_and_parquet_as_they_are() -> None:
    assert written("csv").decode().replace('"', "").splitlines() == ["unique_id,median", "'=1+1,-1.5", "shop,2"]
    assert pq.read_table(io.BytesIO(written("parquet"))).column("unique_id").to_pylist() == ["=1+1", "shop"]


def test_a_table_on_the_command_line_is_guarded_as_csv_and_not_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "=cmd", "skill": -0.5}]
    print_table(["name", "skill"], rows, "csv")
    assert capsys.readouterr().out == "name,skill\n'=cmd,-0.5\n"
    print_table(["name", "skill"], rows, "json")
    assert capsys.readouterr().out == '[{"name": "=cmd", "skill": -0.5}]\n'
