"""Numbers written as text: decimal point or comma, and thousands separators, decided by the whole column."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.formats.errors import refusal
from models.errors import excerpt
from models.types import Floats, Ints

MIN_SHARE = 0.8
MISSING = frozenset({"", "nan", "na", "null"})
# Each digit matches at one position only, so that a long text that is not a number fails in one pass.
_PLAIN = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\s*", re.ASCII)
_SPACES = re.compile(r"(?<=\d)[ '\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_WITH_COMMA = re.compile(r"[+-]?\d[\d.,]*", re.ASCII)
_GROUPS = {sign: re.compile(rf"[+-]?\d{{1,3}}(?:\{sign}\d{{3}})+", re.ASCII) for sign in ",."}
_UNITS = re.compile(r"[%€$£¥]|\b(EUR|USD|GBP|CHF|JPY)\b")


class Numbers(NamedTuple):
    """Numbers of distinct texts, NaN if missing; ``bad``: the indices of the texts that are not numbers."""

    values: Floats
    bad: Ints


def is_plain(text: str) -> bool:
    """Return whether ``text`` is a plain decimal such as -1234.5 or 1e3."""
    return _PLAIN.fullmatch(text) is not None


def is_missing(text: str) -> bool:
    """Return whether ``text`` stands for a missing value."""
    return text.strip().lower() in MISSING


def looks_like_numbers(texts: Sequence[str]) -> bool:
    """Return whether most of the texts that are not missing are numbers in some writing.

    A few others are faults in a column of numbers; many are the texts of a column of categories.
    """
    known = [text for text in texts if not is_missing(text)]
    numbers = sum(is_plain(text) or _WITH_COMMA.fullmatch(_join_groups(text)) is not None for text in known)
    return bool(known) and numbers >= MIN_SHARE * len(known)


def read_numbers(texts: Sequence[str], decimal: str | None, column: str) -> Numbers:
    """Return the numbers of the distinct ``texts`` of one column.

    Raises:
        InputError: ``ambiguous_numbers`` if a comma or point may be a decimal sign or a thousands separator.
    """
    sign = decimal or _decimal_sign(texts, column)
    values = [_read_number(text, sign) for text in texts]
    bad = [at for at, value in enumerate(values) if value is None]
    return Numbers(np.array(values, dtype=np.float64), np.array(bad, dtype=np.int64))


def describe_bad_number(text: str) -> tuple[str, str]:
    """Return what is wrong with a text that is not a number, and the remedy."""
    if _UNITS.search(text):
        return f"{excerpt(text)}, a number with a unit", "remove signs such as % and EUR, and write the number alone"
    hint = "write a plain decimal such as -1234.5, or send on_unparsable=missing to read such cells as missing"
    return f"{excerpt(text)}, which is not a number", hint


def _read_number(text: str, decimal: str) -> float | None:
    """Return the number, NaN if it is missing, None if it is not a number."""
    if is_missing(text):
        return np.nan
    if not is_plain(text) or decimal == ",":
        joined, group = _join_groups(text), "." if decimal == "," else ","
        whole = joined.split(decimal)[0]
        if group in joined and not _GROUPS[group].fullmatch(whole):
            return None
        text = joined.replace(group, "").replace(decimal, ".")
    return float(text) if is_plain(text) else None


def _join_groups(text: str) -> str:
    return _SPACES.sub("", text.strip())


def _decimal_sign(texts: Sequence[str], column: str) -> str:
    """Return the decimal sign that all ``texts`` together show; a point if none of them shows one."""
    if any(_GROUPS["."].fullmatch(text) and text.count(".") > 1 for text in texts):
        return ","
    written = [joined for text in texts if "," in text and _WITH_COMMA.fullmatch(joined := _join_groups(text))]
    with_point = next((text for text in written if "." in text), None)
    if with_point is not None:
        return "." if with_point.rindex(".") > with_point.rindex(",") else ","
    if not written or any("." in text or text.count(",") > 1 for text in [*texts, *written]):
        return "."
    is_grouped = all(_GROUPS[","].fullmatch(text) for text in written)
    if not is_grouped or any(text.strip().isdigit() and len(text.strip()) > 3 for text in texts):
        return ","
    message = f"{excerpt(written[0])} is a thousand times as large if its comma separates thousands"
    hint = "send decimal=, if the comma is the decimal sign, or decimal=. if it separates thousands"
    raise refusal("ambiguous_numbers", message, hint, field=column)
