"""The table of docs/trust.md: it has every row, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"\| ([DSR]-?\d+) \| ([^|]+) \| ([^|]+) \|")
ROWS = {match[1]: match for match in map(ROW.fullmatch, (ROOT / "docs/trust.md").read_text().splitlines()) if match}


@cache
def names_of_tests(file: Path) -> set[str]:
    """Return the names of the tests in ``file``, without ``test_``."""
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    return {function.name.removeprefix("test_") for function in functions if function.name.startswith("test_")}


def test_every_fault_attack_and_failure_has_a_row() -> None:
    expected = [f"D{n}" for n in range(1, 32)] + [f"S-{n:02}" for n in range(1, 22)]
    expected += [f"R-{n:02}" for n in range(1, 25)]
    assert list(ROWS) == expected


@pytest.mark.parametrize("row", ROWS)
def test_every_named_test_exists(row: str) -> None:
    named = [reference.split("::") for reference in re.findall(r"`([^`]*)`", ROWS[row][3])]
    assert named
    missing = [f"{file}::{name}" for file, name in named if name not in names_of_tests(ROOT / "tests" / file)]
    assert not missing
