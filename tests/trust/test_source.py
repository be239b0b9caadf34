"""Rules of security, checked in the source: no archive is unpacked, secrets are compared in constant time."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("migrations/**/*.py")])
UNPACKING = {"extractall", "unpack_archive"}
SECRET = re.compile(r"(^|_)(secret|secrets|password|signature|token_hash|secret_sha256)$")


def names(node: ast.expr) -> Iterator[str]:
    """Yield the name of a variable, an attribute or a called function."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        yield node.attr
    if isinstance(node, ast.Name):
        yield node.id


@cache
def nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def compared(source: str) -> list[str]:
    """Return the names of secrets that ``source`` compares by ``==`` or ``!=``."""
    comparisons = [node for node in nodes(source) if isinstance(node, ast.Compare)]
    sides = [
        side
        for node in comparisons
        if any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        for side in (node.left, *node.comparators)
    ]
    return [name for side in sides for name in names(side) if SECRET.search(name)]


def unpacked(source: str) -> list[str]:
    """Return the functions that ``source`` calls to unpack an archive; ``extract`` counts beside ``zipfile`` only."""
    functions = UNPACKING | ({"extract"} if "import zipfile" in source or "from zipfile" in source else set())
    calls = [node for node in nodes(source) if isinstance(node, ast.Call)]
    return [name for call in calls for name in names(call) if name in functions] + re.findall("import tarfile", source)


def test_the_rules_find_what_they_forbid() -> None:
    assert compared("ok = row.secret_sha256 == digest(x)") == ["secret_sha256"]
    assert compared("if signature(x) != given: pass") == ["signature"]
    assert compared("hmac.compare_digest(row.secret_sha256, x)") == []
    assert unpacked("ZipFile(file).extractall(folder)") == ["extractall"]
    assert unpacked("import zipfile; archive.extract(name)") == ["extract"]
    assert unpacked("func.extract('epoch', moment)") == []


def test_secrets_are_compared_in_constant_time() -> None:
    assert {str(file): found for file in FILES if (found := compared(file.read_text()))} == {}
    for place in ("app/store/keys.py", "app/store/attempt_secrets.py"):
        assert "hmac.compare_digest(" in (ROOT / place).read_text()


def test_no_archive_is_unpacked() -> None:
    assert {str(file): found for file in FILES if (found := unpacked(file.read_text()))} == {}
