"""The checks of a panel's input: ids, values and the steps between timestamps (``calendar`` reads the timestamps).

Each complaint names the series, the row (counted from 1) and the remedy.
"""

import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.calendar import Freq, Ints, Times
from models.errors import Fault, Findings, excerpt

LARGEST = 1e100  # squares and sums of such values still fit a float64
LONGEST_ID = 128


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


def values_of(y: Sequence[object], found: Findings) -> NDArray[np.float64]:
    """``y`` as float64; what is no finite number of reasonable size is added to ``found``."""
    try:
        # Only numbers: NumPy would read strings, booleans and nested lists as numbers too.
        clean = all(map(_is_number, set(map(type, y))))
        values = np.array(y if clean else [_number(v) for v in y], dtype=np.float64)
    except OverflowError:
        values = np.array([_number(v) for v in y], dtype=np.float64)
    found.add(np.flatnonzero(~(np.abs(values) <= LARGEST)).tolist(), lambda at: _value_fault(y[at], at + 1))
    return values


def _is_number(kind: type) -> bool:
    return issubclass(kind, int | float | np.integer | np.floating) and kind is not bool


def _number(value: Any) -> float:
    try:
        return float(value) if _is_number(type(value)) else np.nan
    except OverflowError:
        return np.inf


def _value_fault(value: Any, row: int) -> Fault:
    if value is None or (_is_number(type(value)) and value != value):  # noqa: PLR0124 - true of NaN alone
        code, what = "missing_value", "missing"
    elif not _is_number(type(value)):
        code, what = "bad_value", f"{excerpt(value)}, which is not a number"
    elif value in (np.inf, -np.inf):
        code, what = "infinite_value", "infinite"
    else:
        code, what = "value_too_large", excerpt(value)
    hint = (
        "write a plain decimal such as -1234.5, without thousands separators"
        if code == "bad_value"
        else "give a finite number below 1e100, or leave out the rows up to it so that the series starts later"
    )
    return fault_at(code, f"y is {what}", hint, row=row, field="y")


_STEP_FAULTS = {
    "duplicate_timestamp": "keep one row for each timestamp",
    "unsorted_timestamps": "sort the rows of each series by ds",
    "gap": "fill in the missing rows, or keep only those after the gap",
    "off_grid_timestamp": "give every row a timestamp on the grid of the frequency, or name another 'freq'",
}


class Rows(NamedTuple):
    """R rows by series, series i at ``indptr[i]:indptr[i + 1]``; ``order`` (R,) says which row of the input each is."""

    times: Times
    order: Ints
    indptr: Ints
    ids: tuple[str, ...]
    freq: Freq


def check_steps(rows: Rows) -> None:
    """Pass where every series goes on from its first moment step by step.

    Raises:
        InputError: with a fault for each row that comes twice, too early, off the grid or after a gap.
    """
    inside = np.ones(len(rows.times), dtype=bool)
    inside[rows.indptr[:-1]] = False
    steps, on_grid = rows.freq.steps(np.repeat(rows.times[rows.indptr[:-1]], np.diff(rows.indptr)), rows.times)
    back = np.concatenate([[0], np.diff(rows.times).astype(np.int64)])
    step = np.concatenate([[1], np.diff(steps)])
    kinds = {
        "duplicate_timestamp": inside & (back == 0),
        "unsorted_timestamps": inside & (back < 0),
        "off_grid_timestamp": ~on_grid,
        "gap": inside & (step > 1),
    }
    found, told = Findings(), np.zeros(len(rows.times), dtype=bool)
    for code, mask in kinds.items():
        where = np.flatnonzero(mask & ~told)
        found.add(where[np.argsort(rows.order[where])].tolist(), partial(_step_fault, rows, code))
        told |= mask
    found.check()


def _step_fault(rows: Rows, code: str, at: int) -> Fault:
    now, before, freq = text_of(rows.times[at]), text_of(rows.times[at - 1]), rows.freq
    messages = {
        "duplicate_timestamp": f"{now} is there twice",
        "unsorted_timestamps": f"{now} comes after {before}",
        "off_grid_timestamp": f"{now} is not on the grid of frequency {freq}",
        "gap": f"rows are missing between {before} and {now} at frequency {freq}",
    }
    name = rows.ids[int(np.searchsorted(rows.indptr, at, side="right")) - 1]
    row = int(rows.order[at]) + 1
    return fault_at(code, messages[code], _STEP_FAULTS[code], unique_id=name, row=row, field="ds")


def text_of(time: np.datetime64) -> str:
    """``time`` to the second, for a message."""
    return str(np.datetime_as_string(time, unit="s"))


def fault_at(code: str, message: str, hint: str, **where: Any) -> Fault:
    """The fault ``code`` at ``where`` (unique_id, row, field)."""
    return Fault(code=code, message=message, hint=hint, **where)
