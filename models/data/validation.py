"""The checks of a panel's input: ids, numbers, covariates and the steps between timestamps (``calendar`` reads those).

Each complaint names the series, the row (counted from 1) and the remedy.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.calendar import Freq
from models.errors import Fault, Findings, InputError, excerpt
from models.types import Floats, Ints, Times

Column = Sequence[object] | NDArray[Any]

LARGEST = 1e100  # squares and sums of such values still fit a float64
LONGEST_ID = 128
MAX_COVARIATES = 50
MAX_TEXTS = 1_000
# Sparser rows are rather of another frequency, and would cost memory that nobody sent.
MAX_MISSING_PER_ROW = 9
MAX_MISSING = 1_000_000


def codes_of(names: Sequence[object], found: Findings) -> tuple[Ints, tuple[str, ...]]:
    """The number of each row's series and the ids by number; rows with an id that cannot be are added to ``found``."""
    seen: dict[object, int] = {}
    hashable = [name if isinstance(name, str) else None for name in names]
    codes = np.fromiter((seen.setdefault(name, len(seen)) for name in hashable), np.int64, len(names))
    bad = [code for name, code in seen.items() if not good_id(name)]
    hint = f"use 1 to {LONGEST_ID} printable characters (Unicode form NFC) without space around them"

    def fault(at: int) -> Fault:
        message = f"{excerpt(names[at])} cannot name a series"
        return fault_at("bad_id", message, hint, row=at + 1, field="unique_id")

    found.add(np.flatnonzero(np.isin(codes, bad)).tolist(), fault)
    return codes, tuple(str(name) for name in seen)


def good_id(name: object) -> bool:
    """Whether ``name`` can be an id; a second spelling (Unicode form NFD) of the same characters cannot."""
    if not isinstance(name, str) or not name.isprintable() or name != name.strip():
        return False
    return 0 < len(name) <= LONGEST_ID and unicodedata.is_normalized("NFC", name)


def values_of(column: Column, found: Findings, name: str = "y") -> Floats:
    """``column`` as float64, NaN where a value is missing (None or NaN).

    What is no finite number of reasonable size is added to ``found``; true and false are 1 and 0 in a covariate, and
    refused in ``y``.
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in ("fiu" if name == "y" else "fiub"):
        values = column.astype(np.float64)
    else:
        values = _floats(column, truth=name != "y")
    # What is no number is infinite by now, and so told from what is missing.
    bad = np.flatnonzero(np.abs(values) > LARGEST)
    found.add(bad.tolist(), lambda at: _value_fault(column[at], at + 1, name))
    values[np.isnan(values)] = np.nan  # of one bit pattern, so that equal panels are equal bytes
    return values


def _floats(column: Column, truth: bool) -> Floats:
    """Numbers as they come from JSON or Python, infinite where one is none; NumPy would read strings as numbers too."""
    if set(map(type, column)) <= {float, int, type(None)}:
        try:
            return np.array(column, dtype=np.float64)
        except OverflowError:
            pass  # of a whole number that no float holds: it is found below
    return np.array([_number(value, truth) for value in column], dtype=np.float64)


def covariate_of(name: str, column: Column, found: Findings) -> tuple[Floats, tuple[str, ...]]:
    """A covariate as float64 and, where it is text, its sorted categories, of which the numbers are the indices."""
    if not good_id(name):
        hint = f"use 1 to {LONGEST_ID} printable characters without space around them"
        found.add([0], lambda _: fault_at("bad_covariate", f"{excerpt(name)} cannot name a column", hint))
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
        return values_of(column, found, name), ()
    seen: dict[str, int] = {}
    codes = [seen.setdefault(v, len(seen)) if isinstance(v, str) and v else _rest(v) for v in column]
    if not seen:
        return values_of(column, found, name), ()
    found.add([i for i, code in enumerate(codes) if code == _NEITHER], lambda at: _mixed(column, at, name))
    bad = {code for text, code in seen.items() if len(text) > LONGEST_ID or not text.isprintable()}
    hint = f"use at most {LONGEST_ID} printable characters"
    found.add(
        [i for i, code in enumerate(codes) if code in bad] if bad else [],
        lambda at: fault_at("bad_value", f"{name} is {excerpt(column[at])}", hint, row=at + 1, field=name),
    )
    if len(seen) > MAX_TEXTS:
        found.add([0], lambda _: _too_many_categories(name, seen))
    order = sorted(seen)
    place = np.empty(len(seen) + 1)
    place[[seen[text] for text in order]] = np.arange(len(seen))
    place[-1] = np.nan  # of _MISSING and _NEITHER, by their index
    return place[np.maximum(codes, -1)], tuple(order)


_MISSING, _NEITHER = -1, -2


def _rest(value: object) -> int:
    return _MISSING if _is_missing(value) or value == "" else _NEITHER


def _mixed(column: Column, at: int, name: str) -> Fault:
    message = f"{name} is {excerpt(column[at])}, but text in other rows"
    return fault_at("bad_value", message, "write a column as numbers or as text throughout", row=at + 1, field=name)


def _too_many_categories(name: str, seen: Mapping[str, int]) -> Fault:
    message = f"the column '{name}' has {len(seen)} different texts, such as {excerpt(next(iter(seen)))}"
    hint = f"at most {MAX_TEXTS} can be told apart: leave the column out, or write plain decimals"
    return fault_at("too_many_categories", message, hint, field=name)


def _is_number(kind: type) -> bool:
    return issubclass(kind, int | float | np.integer | np.floating) and kind is not bool


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas', which is not imported here
        return True
    return _is_number(type(value)) and value != value  # noqa: PLR0124 - true of NaN alone


def _number(value: Any, truth: bool) -> float:
    """``value`` as a float, NaN where it is missing, infinity where it is no number."""
    kind = type(value)
    try:
        if kind is float or _is_number(kind) or (truth and kind in (bool, np.bool_)):
            return float(value)
    except OverflowError:
        return np.inf
    return np.nan if _is_missing(value) else np.inf


def _value_fault(value: Any, row: int, name: str) -> Fault:
    if not _is_number(type(value)):
        code, what = "bad_value", f"{excerpt(value)}, which is not a number"
    elif value in (np.inf, -np.inf):
        code, what = "infinite_value", "infinite"
    else:
        code, what = "value_too_large", excerpt(value)
    hint = (
        "write a plain decimal such as -1234.5, without thousands separators"
        if code == "bad_value"
        else "give a finite number below 1e100, or leave the cell empty where it is not known"
    )
    return fault_at(code, f"{name} is {what}", hint, row=row, field=name)


_STEP_FAULTS = {
    "duplicate_timestamp": "keep one row for each timestamp",
    "unsorted_timestamps": "sort the rows of each series by ds",
    "off_grid_timestamp": "give every row a timestamp on the grid of the frequency, or name another 'freq'",
}


class Rows(NamedTuple):
    """R rows by series, series i at ``indptr[i]:indptr[i + 1]``; ``order`` (R,) says which row of the input each is."""

    times: Times
    order: Ints
    indptr: Ints
    ids: tuple[str, ...]
    freq: Freq


def steps_of(rows: Rows) -> Ints:
    """The steps of each row since the first of its series, (R,); they rise, by more than 1 where rows are missing.

    Raises:
        InputError: with a fault for each row that comes twice, too early or off the grid; ``gap_too_long`` where more
            rows are missing than ``most_missing`` allows.
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
    found, told = Findings(), np.zeros(len(rows.times), dtype=bool)
    for code, mask in kinds.items():
        where = np.flatnonzero(mask & ~told)
        found.add(where[np.argsort(rows.order[where])].tolist(), partial(_step_fault, rows, code))
        told |= mask
    found.check()
    missing = int((steps[rows.indptr[1:] - 1] + 1).sum()) - len(steps)
    if missing > most_missing(len(steps)):
        raise InputError([_gap_fault(rows, np.where(inside, np.diff(steps, prepend=0), 0), missing)])
    return steps


def most_missing(rows: int) -> int:
    """How many rows may be missing between ``rows`` that are there."""
    return min(MAX_MISSING_PER_ROW * rows, max(MAX_MISSING, rows))


def _step_fault(rows: Rows, code: str, at: int) -> Fault:
    now, before, freq = text_of(rows.times[at]), text_of(rows.times[at - 1]), rows.freq
    messages = {
        "duplicate_timestamp": f"{now} is there twice",
        "unsorted_timestamps": f"{now} comes after {before}",
        "off_grid_timestamp": f"{now} is not on the grid of frequency {freq}",
    }
    name, row = _place(rows, at)
    return fault_at(code, messages[code], _STEP_FAULTS[code], unique_id=name, row=row, field="ds")


def _gap_fault(rows: Rows, steps: Ints, missing: int) -> Fault:
    at = int(np.argmax(steps))
    between = f"{steps[at] - 1} between {text_of(rows.times[at - 1])} and {text_of(rows.times[at])}"
    message = f"{len(steps)} rows at frequency {rows.freq} leave {missing} moments without a row, {between}"
    most = most_missing(len(steps))
    hint = f"name a longer 'freq', or send rows (y may be empty) so that at most {most} are missing"
    name, row = _place(rows, at)
    return fault_at("gap_too_long", message, hint, unique_id=name, row=row, field="ds")


def _place(rows: Rows, at: int) -> tuple[str, int]:
    """The series of a row, and the row's number in the input."""
    return rows.ids[int(np.searchsorted(rows.indptr, at, side="right")) - 1], int(rows.order[at]) + 1


def text_of(time: np.datetime64) -> str:
    """``time`` for a message, to the second where it is a whole one."""
    whole = time.astype("datetime64[s]") == time
    return str(np.datetime_as_string(time, unit="s" if whole else "ms"))


def fault_at(code: str, message: str, hint: str, **where: Any) -> Fault:
    """The fault ``code`` at ``where`` (unique_id, row, field)."""
    return Fault(code=code, message=message, hint=hint, **where)
