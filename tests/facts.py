"""Figures about the source itself: language, private helpers, untyped mappings. ``make facts`` prints them."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLDERS = ("app", "models", "migrations", "benchmarks", "deploy")
FREE_RELATIVE = re.compile(r"\b(what|who|whom|whose|whoever|whatever|whichever)\b", re.IGNORECASE)
POINTER = re.compile(r"(?:see\b|(?:the same )?(?:as|like) ``)[^.:;]*\.?|the same\b[^.:;]*\.?", re.IGNORECASE)
UNTYPED = re.compile(r"\b(?:dict|Mapping)\[str, Any\]")
JSON_ALIAS = re.compile(r"^(?!.*import).*\b(?:JsonObject|JsonMapping)\b", re.MULTILINE)

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Docstring(NamedTuple):
    """A docstring and its place."""

    place: str
    text: str


def sources(folders: Sequence[str] = FOLDERS) -> dict[str, str]:
    """Return the text of each Python file of the given folders by its path; generated migrations are left out."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for file in files
        if file.parent != ROOT / "migrations" / "versions"
    }


def definitions(files: dict[str, str]) -> Iterator[tuple[str, Definition]]:
    """Yield each module, class and function with the path of its file."""
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Definition):
                yield path, node


def docstrings(files: dict[str, str]) -> list[Docstring]:
    """Return every docstring of the files."""
    return [
        Docstring(f"{path}:{getattr(node, 'lineno', 1)}", " ".join(text.split()))
        for path, node in definitions(files)
        if (text := ast.get_docstring(node))
    ]


def free_relatives_per_1000(found: Sequence[Docstring]) -> float:
    """Return the number of free relative pronouns (what, who, whatever, ...) per 1,000 words of the docstrings."""
    words = sum(len(one.text.split()) for one in found)
    return 1_000 * sum(len(FREE_RELATIVE.findall(one.text)) for one in found) / max(words, 1)


def pointers(found: Sequence[Docstring]) -> list[Docstring]:
    """Return the docstrings that only refer to another place, such as "See ``Engine``."."""
    return [one for one in found if POINTER.fullmatch(one.text)]


def called_once(folder: str) -> tuple[list[str], int]:
    """Return the private functions of a folder that are named once besides their definition, and the function count."""
    words = Counter(re.findall(r"\w+", "\n".join(sources().values())))
    functions = [
        (path, node.name)
        for path, node in definitions(sources((folder,)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    every = Counter(
        node.name for _, node in definitions(sources()) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    private = [(path, name) for path, name in functions if name.startswith("_") and not name.startswith("__")]
    return [f"{path} {name}" for path, name in private if words[name] - every[name] == 1], len(functions)


def untyped(files: dict[str, str]) -> dict[str, int]:
    """Return the number of ``dict[str, Any]`` and ``Mapping[str, Any]`` annotations of each file that has any."""
    counts = {path: len(UNTYPED.findall(text)) for path, text in files.items()}
    return {path: count for path, count in counts.items() if count}


def report() -> Iterator[str]:
    """Yield the lines of ``make facts``."""
    files = sources()
    found = docstrings(files)
    yield f"docstrings: {len(found)}, free relatives per 1,000 words: {free_relatives_per_1000(found):.1f} (at most 3)"
    yield f"docstrings that only point elsewhere: {len(pointers(found))} (none)"
    for folder in ("app", "models"):
        once, count = called_once(folder)
        share = 100 * len(once) / count
        yield f"private functions called once in {folder}: {len(once)} of {count}, {share:.1f} % (at most 12)"
    loose = sum(untyped(sources(("app", "models"))).values())
    documents = sum(len(JSON_ALIAS.findall(text)) for text in sources(("app", "models")).values())
    yield f"dict[str, Any] and Mapping[str, Any] in app and models: {loose} (at most 40)"
    yield f"lines with JsonObject or JsonMapping, for JSON columns, to_json, from_json and OpenAPI: {documents}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in report())
