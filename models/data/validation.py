"""Checks of a panel's input: ids, numbers, covariates and the steps between timestamps (``calendar`` parses those).

Each fault names the series, the row (counted from 1) and the remedy.
"""

import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.calendar import Freq
from models.errors import Fault, Findings, InputError, excerpt
from models.types import Floats, Ints, Times

Column = Sequence[object] | NDArray[Any]

MAX_VALUE = 1e100  # squares and sums of such values still fit a float64
MAX_ID_LENGTH = 128
MAX_COVARIATES = 50
MAX_CATEGORIES = 1_000  # different texts in one column
# Sparser rows more likely have another frequency, and would cost memory out of proportion to the input.
MAX_MISSING_PER_ROW = 9
MAX_MISSING = 1_000_000


def encode_ids(names: Sequence[object], found: Findings) -> tuple[Ints, tuple[str, ...]]:
    """Return the number of each row's series and the ids by number; rows with an invalid id are added to ``found``."""
    seen: dict[object, int] = {}
    hashable = [name if isinstance(name, str) else None for name in names]
    codes = np.fromiter((seen.setdefault(name, len(seen)) for name in hashable), np.int64, len(names))
    bad = [code for name, code in seen.items() if not is_valid_id(name)]
    hint = f"use 1 to {MAX_ID_LENGTH} printable characters (Unicode form NFC) without space around them"

    def fault(at: int) -> Fault:
        message = f"{excerpt(names[at])} cannot name a series"
        return fault_at("bad_id", message, hint, row=at + 1, field="unique_id")

    found.add(np.flatnonzero(np.isin(codes, bad)).tolist(), fault)
    return codes, tuple(str(name) for name in seen)


def is_valid_id(name: object) -> bool:
    """Return whether ``name`` can be an id; a second spelling (Unicode form NFD) of the same characters cannot."""
    if not isinstance(name, str) or not name.isprintable() or name != name.strip():
        return False
    return 0 < len(name) <= MAX_ID_LENGTH and (name.isascii() or unicodedata.is_normalized("NFC", name))


def read_values(column: Column, found: Findings, name: str = "y") -> Floats:
    """Return ``column`` as float64, NaN where a value is missing (None or NaN).

    A cell that is not a finite number up to ``MAX_VALUE`` is added to ``found``. Booleans are 1 and 0 in a covariate,
    and refused in ``y``.
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in ("fiu" if name == "y" else "fiub"):
        values = column.astype(np.float64)
    else:
        values = _to_floats(column, allow_bool=name != "y")
    # A cell that is no number is infinite here, and so differs from a missing one.
    bad = np.flatnonzero(np.abs(values) > MAX_VALUE)
    found.add(bad.tolist(), lambda at: _value_fault(column[at], at + 1, name))
    values[np.isnan(values)] = np.nan  # of one bit pattern, so that equal panels are equal bytes
    return values


def _to_floats(column: Column, allow_bool: bool) -> Floats:
    """Return JSON or Python values as floats, infinity for a non-number; NumPy would parse strings as numbers too."""
    if set(map(type, column)) <= {float, int, type(None)}:
        try:
            return np.array(column, dtype=np.float64)
        except OverflowError:
            pass  # an integer that no float holds: the loop below finds it
    return np.array([_to_float(value, allow_bool) for value in column], dtype=np.float64)


_MISSING, _NEITHER = -1, -2  # codes of cells that are not text: missing, and neither text nor missing


def read_covariate(name: str, column: Column, found: Findings) -> tuple[Floats, tuple[str, ...]]:
    """Return a covariate as float64 and, if it is text, its sorted categories, which the numbers index."""
    if not is_valid_id(name):
        hint = f"use 1 to {MAX_ID_LENGTH} printable characters without space around them"
        found.add([0], lambda _: fault_at("bad_covariate", f"{excerpt(name)} cannot name a column", hint))
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
        return read_values(column, found, name), ()
    seen: dict[str, int] = {}
    codes = [
        seen.setdefault(cell, len(seen))
        if isinstance(cell, str) and cell
        else (_MISSING if _is_missing(cell) or cell == "" else _NEITHER)
        for cell in column
    ]
    if not seen:
        return read_values(column, found, name), ()
    _check_texts(name, column, codes, seen, found)
    order = sorted(seen)
    place = np.empty(len(seen) + 1)
    place[[seen[text] for text in order]] = np.arange(len(seen))
    place[-1] = np.nan  # for _MISSING and _NEITHER, by their index
    return place[np.maximum(codes, -1)], tuple(order)


def _check_texts(name: str, column: Column, codes: list[int], seen: dict[str, int], found: Findings) -> None:
    """Find cells that are not text, texts that are too long or not printable, and too many different texts."""

    def not_text(at: int) -> Fault:
        message = f"{name} is {excerpt(column[at])}, but text in other rows"
        return fault_at("bad_value", message, "write a column as numbers or as text throughout", row=at + 1, field=name)

    def bad_text(at: int) -> Fault:
        hint = f"use at most {MAX_ID_LENGTH} printable characters"
        return fault_at("bad_value", f"{name} is {excerpt(column[at])}", hint, row=at + 1, field=name)

    found.add([at for at, code in enumerate(codes) if code == _NEITHER], not_text)
    bad = {code for text, code in seen.items() if len(text) > MAX_ID_LENGTH or not text.isprintable()}
    found.add([at for at, code in enumerate(codes) if code in bad] if bad else [], bad_text)
    if len(seen) > MAX_CATEGORIES:
        message = f"the column '{name}' has {len(seen)} different texts, such as {excerpt(next(iter(seen)))}"
        hint = f"send at most {MAX_CATEGORIES}: leave the column out, or write plain decimals"
        found.add([0], lambda _: fault_at("too_many_categories", message, hint, field=name))


def _is_number(kind: type) -> bool:
    return issubclass(kind, int | float | np.integer | np.floating) and kind is not bool


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas', which is not imported here
        return True
    return _is_number(type(value)) and value != value  # noqa: PLR0124 - true of NaN alone


def _to_float(value: Any, allow_bool: bool) -> float:
    """Return ``value`` as a float, NaN if it is missing, infinity if it is no number."""
    kind = type(value)
    try:
        if kind is float or _is_number(kind) or (allow_bool and kind in (bool, np.bool_)):
            return float(value)
    except OverflowError:
        return np.inf
    return np.nan if _is_missing(value) else np.inf


def _value_fault(value: Any, row: int, name: str) -> Fault:
    if not _is_number(type(value)):
        code, text = "bad_value", f"{excerpt(value)}, which is not a number"
        hint = "write a plain decimal such as -1234.5, without thousands separators"
    else:
        is_infinite = value in (np.inf, -np.inf)
        code, text = ("infinite_value", "infinite") if is_infinite else ("value_too_large", excerpt(value))
        hint = "give a finite number below 1e100, or leave the cell empty where it is not known"
    return fault_at(code, f"{name} is {text}", hint, row=row, field=name)


class Rows(NamedTuple):
    """R rows by series, series i at ``indptr[i]:indptr[i + 1]``; ``order`` (R,): the row's index in the input."""

    times: Times
    order: Ints
    indptr: Ints
    ids: tuple[str, ...]
    freq: Freq

    def fault(self, at: int, code: str, message: str, hint: str) -> Fault:
        """Return the fault of the timestamp of row ``at``, with its series and its number in the input."""
        name = self.ids[int(np.searchsorted(self.indptr, at, side="right")) - 1]
        return fault_at(code, message, hint, unique_id=name, row=int(self.order[at]) + 1, field="ds")


def count_steps(rows: Rows) -> Ints:
    """Return the steps of each row since the first of its series, (R,); they jump by more than 1 over missing rows.

    Raises:
        InputError: with a fault for each row that is duplicate, unsorted or off the grid; ``gap_too_long`` if more rows
            are missing than ``max_missing`` allows.
    """
    inside = np.ones(len(rows.times), dtype=bool)
    inside[rows.indptr[:-1]] = False
    steps, on_grid = rows.freq.steps(np.repeat(rows.times[rows.indptr[:-1]], np.diff(rows.indptr)), rows.times)
    back = np.concatenate([[0], np.diff(rows.times).astype(np.int64)])
    kinds = {
        "duplicate_timestamp": inside & (back == 0),
        "unsorted_timestamps": inside & (back < 0),
        "off_grid_timestamp": ~on_grid,
    }
    found, reported = Findings(), np.zeros(len(rows.times), dtype=bool)
    for code, mask in kinds.items():
        where = np.flatnonzero(mask & ~reported)
        found.add(where[np.argsort(rows.order[where])].tolist(), partial(_step_fault, rows, code))
        reported |= mask
    found.check()
    missing = int((steps[rows.indptr[1:] - 1] + 1).sum()) - len(steps)
    if missing > max_missing(len(steps)):
        jumps = np.where(inside, np.diff(steps, prepend=0), 0)
        at = int(np.argmax(jumps))
        between = f"{jumps[at] - 1} between {format_time(rows.times[at - 1])} and {format_time(rows.times[at])}"
        message = f"{len(steps)} rows at frequency {rows.freq} leave {missing} times without a row, {between}"
        remedy = f"send rows (y may be empty) so that at most {max_missing(len(steps))} are missing"
        raise InputError([rows.fault(at, "gap_too_long", message, f"name a longer 'freq', or {remedy}")])
    return steps


def max_missing(rows: int) -> int:
    """Return how many rows may be missing between ``rows`` existing ones."""
    return min(MAX_MISSING_PER_ROW * rows, max(MAX_MISSING, rows))


def _step_fault(rows: Rows, code: str, at: int) -> Fault:
    now, before, freq = format_time(rows.times[at]), format_time(rows.times[at - 1]), rows.freq
    message, hint = {
        "duplicate_timestamp": (f"{now} is there twice", "keep one row for each timestamp"),
        "unsorted_timestamps": (f"{now} comes after {before}", "sort the rows of each series by ds"),
        "off_grid_timestamp": (
            f"{now} is not on the grid of frequency {freq}",
            "give every row a timestamp on the grid of the frequency, or name another 'freq'",
        ),
    }[code]
    return rows.fault(at, code, message, hint)


def format_time(time: np.datetime64) -> str:
    """Return ``time`` as text, to the second if it is a whole second, else to the millisecond."""
    whole = time.astype("datetime64[s]") == time
    return str(np.datetime_as_string(time, unit="s" if whole else "ms"))


def fault_at(code: str, message: str, hint: str, **where: Any) -> Fault:
    """Return the fault ``code`` at ``where`` (unique_id, row, field)."""
    return Fault(code=code, message=message, hint=hint, **where)
