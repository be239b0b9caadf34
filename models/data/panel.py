"""Panel: many regular series, checked once at the door.

Long frames with the columns ``unique_id, ds, y`` and any number of covariates are checked on their way in
(``models.data.validation``). Inside there are only flat arrays: series i is ``y[indptr[i]:indptr[i + 1]]``, its
timestamps
follow from its start and the frequency. What is missing -- an empty cell, a row between two others -- is NaN.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from models.data.calendar import Freq, infer_freq, parse_freq, parse_times
from models.data.serialization import Arrays, pack, unpack
from models.data.validation import (
    MAX_COVARIATES,
    Column,
    Rows,
    codes_of,
    covariate_of,
    fault_at,
    good_id,
    steps_of,
    values_of,
)
from models.errors import BundleError, Fault, Findings, InputError, excerpt
from models.types import Floats, Ints, Times

COLUMNS = ("unique_id", "ds", "y")


@dataclass(frozen=True, eq=False)  # no slots: what is asked for at every turn is worked out once and kept
class Panel:
    """N series of one frequency; ``starts`` (N,) datetime64[us], ``y`` flat float64, ``indptr`` (N + 1,).

    ``covariates``: name -> flat float64 beside ``y``; where one was text, ``categories`` has its sorted values and the
    array their indices. NaN is a value that is missing, in all of them.
    """

    ids: tuple[str, ...]
    starts: Times
    y: Floats
    indptr: Ints
    freq: Freq
    utc: bool = False  # the timestamps said so; otherwise they have no zone
    covariates: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, Floats]]:
        return ((name, self.series(i)) for i, name in enumerate(self.ids))

    @property
    def lengths(self) -> Ints:
        """Points of each series, those without a value included, shape (N,)."""
        return np.diff(self.indptr)

    @cached_property
    def observed_lengths(self) -> Ints:
        """Points of each series up to its last value, shape (N,); 0 where it has none."""
        return self._until_last(self.y)

    @property
    def missing(self) -> Ints:
        """Points of each series without a value, but for those after its last one, shape (N,)."""
        if not np.isnan(self.y).any():
            return np.zeros(len(self), dtype=np.int64)
        known = np.add.reduceat(~np.isnan(self.y), self.indptr[:-1], dtype=np.int64)
        return np.asarray(self.observed_lengths - known)

    @property
    def median_length(self) -> int:
        """Points of the median series up to its last value; 0 without series."""
        return int(np.median(self.observed_lengths)) if len(self) else 0

    def series(self, i: int) -> Floats:
        """The values of series ``i``, a view of shape (length,)."""
        return self.y[self.indptr[i] : self.indptr[i + 1]]

    def times(self, i: int) -> Times:
        """The timestamps of series ``i``, shape (length,)."""
        return self.freq.after(self.starts[i], np.arange(len(self.series(i))))

    def moment(self, i: int, at: int) -> np.datetime64:
        """The timestamp of point ``at`` of series ``i``, which may lie before its first or after its last."""
        return np.datetime64(self.freq.after(self.starts[i], np.array([at]))[0])

    def next_times(self, i: int, horizon: int) -> Times:
        """The ``horizon`` timestamps that follow the last one of series ``i``."""
        length = len(self.series(i))
        return self.freq.after(self.starts[i], np.arange(length, length + horizon))

    def latest(self, covariate: str) -> Floats:
        """The last value known of a covariate in each series, shape (N,); NaN where there is none."""
        values = self.covariates[covariate]
        lengths = self._until_last(values)
        return np.where(lengths > 0, values[self.indptr[:-1] + lengths - 1], np.nan)

    def _until_last(self, values: Floats) -> Ints:
        """Points of each series up to the last that is not NaN, shape (N,)."""
        lengths = self.lengths
        # Nearly always the last point is one: looking at the others takes as much memory as the panel, at every batch.
        for i in np.flatnonzero(np.isnan(values[self.indptr[1:] - 1])):
            known = np.flatnonzero(~np.isnan(values[self.indptr[i] : self.indptr[i + 1]]))
            lengths[i] = known[-1] + 1 if len(known) else 0
        return lengths

    def select(self, ids: Sequence[str]) -> "Panel":
        """The series named, in the order named.

        Raises:
            InputError: ``unknown_series`` for each name that is not there.
        """
        where = {name: i for i, name in enumerate(self.ids)}
        missing = [name for name in ids if name not in where]
        if missing:
            hint = f"there are {len(self)} series, among them {excerpt(list(self.ids[:3]), 80)}"
            raise InputError(
                [fault_at("unknown_series", f"no series {excerpt(m)}", hint, field="unique_id") for m in missing]
            )
        rows = np.array([where[name] for name in ids], dtype=np.int64)
        return self._pick(rows, self.lengths[rows])

    def cut(self, points: int) -> "Panel":
        """Every series without the ``points`` up to its last value and what follows that.

        Series that have no more than that are left out.
        """
        rows = np.flatnonzero(self.observed_lengths > points)
        return self._pick(rows, self.observed_lengths[rows] - points)

    def tail(self, points: int) -> "Panel":
        """Of every series the last ``points`` up to its last value, and what follows that."""
        begin = np.maximum(self.observed_lengths - points, 0)
        picked = self._pick(np.arange(len(self)), self.lengths - begin, begin)
        return replace(picked, starts=self.freq.after(self.starts, begin))

    def _pick(self, rows: Ints, lengths: Ints, begin: Ints | int = 0) -> "Panel":
        """``lengths`` points of the series ``rows``, from ``begin`` on; the starts are those of the whole series."""
        indptr = _indptr(lengths)
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] + begin - indptr[:-1], lengths)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            starts=self.starts[rows],
            y=self.y[at],
            indptr=indptr,
            covariates={name: values[at] for name, values in self.covariates.items()},
        )

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content; the order in which series and covariates came does not matter."""
        order = np.array(sorted(range(len(self)), key=self.ids.__getitem__), dtype=np.int64)
        return hashlib.sha256(self._pick(order, self.lengths[order]).to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The panel as bytes that ``panel_from_bytes`` reads."""
        header: dict[str, Any] = {"ids": list(self.ids), "freq": str(self.freq), "utc": self.utc}
        arrays: Arrays = {"starts": self.starts.astype(np.int64), "indptr": self.indptr, "y": self.y}
        if self.covariates:  # panels without are the bytes that they were before there were any
            header["categories"] = {name: list(texts) for name, texts in self.categories.items()}
            arrays |= {_COVARIATE + name: self.covariates[name] for name in sorted(self.covariates)}
        return pack(header, arrays)


_COVARIATE = "covariate:"  # what the names of their arrays begin with


def panel_from_bytes(data: bytes) -> Panel:
    """The panel that ``Panel.to_bytes`` wrote.

    Raises:
        BundleError: the bytes are damaged.
    """
    header, arrays = unpack(data)
    covariates = {name.removeprefix(_COVARIATE): a for name, a in arrays.items() if name.startswith(_COVARIATE)}
    try:
        ids, freq = tuple(map(str, header["ids"])), parse_freq(header["freq"])
        starts, indptr, y = (arrays[name] for name in ("starts", "indptr", "y"))
        categories = {name: tuple(map(str, texts)) for name, texts in header.get("categories", {}).items()}
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise BundleError(f"the header is not that of a panel: {error}") from error
    shapes = [array.shape for array in (starts, indptr, y, *covariates.values())]
    points = (indptr[-1:].sum(),)
    fitting = shapes == [(len(ids),), (len(ids) + 1,), points, *[points] * len(covariates)]
    if not fitting or indptr[0] != 0 or (np.diff(indptr) < 1).any() or not categories.keys() <= covariates.keys():
        raise BundleError("the arrays do not fit together as a panel")
    if any(((covariates[n] < 0) | (covariates[n] >= len(texts))).any() for n, texts in categories.items()):
        raise BundleError("a covariate has a value that is none of its categories")
    return Panel(
        ids, starts.astype("datetime64[us]"), y, indptr, freq, header.get("utc") is True, covariates, categories
    )


def panel_from_columns(
    unique_id: Sequence[object] | str,
    ds: Sequence[object],
    y: Column,
    freq: str | None = None,
    covariates: Mapping[str, Column] | None = None,
) -> Panel:
    """A panel of rows given as columns of one length; ``unique_id`` may be one name for all rows.

    Rows of different series may be mixed; within a series they must be in order of time, without repetitions. A value
    may be missing (None or NaN), and so may rows. ``freq`` is read off the longest series where it is not given.
    ``covariates`` are numbers, true and false (1 and 0), or text.

    Raises:
        InputError: with a fault (row counted from 1) for each thing wrong.
    """
    names: Sequence[object] = [unique_id] * len(ds) if isinstance(unique_id, str) else unique_id
    more = covariates or {}
    _check_columns({"unique_id": len(names), "ds": len(ds), "y": len(y)}, more)
    found = Findings()
    codes, ids = codes_of(names, found)
    values, (times, utc) = values_of(y, found), parse_times(ds, found)
    read = {name: covariate_of(name, more[name], found) for name in sorted(more)}
    found.faults = [_named(fault, names) for fault in found.faults]
    found.check()
    return panel_of_rows(RowsRead(codes, ids, times, utc, values, read), freq)


class RowsRead(NamedTuple):
    """R rows of which each cell was found sound: ``codes`` (R,) into ``ids``, ``times`` (R,), ``values`` (R,).

    ``covariates``: name -> (R,), and the texts that the numbers stand for, none of numbers.
    """

    codes: Ints
    ids: tuple[str, ...]
    times: Times
    utc: bool
    values: Floats
    covariates: Mapping[str, tuple[Floats, tuple[str, ...]]]


def panel_of_rows(rows: RowsRead, freq: str | None) -> Panel:
    """The panel of ``rows``; ``freq`` is read off the longest series where it is not given.

    Raises:
        InputError: the moments do not make series of one frequency.
    """
    order, given = np.argsort(rows.codes, kind="stable"), _indptr(np.bincount(rows.codes))
    times = rows.times[order]
    step = parse_freq(freq) if freq is not None else _infer(times, given)
    steps = steps_of(Rows(times, order, given, rows.ids, step))
    indptr = _indptr(steps[given[1:] - 1] + 1)
    at = steps + np.repeat(indptr[:-1], np.diff(given))

    def spread(column: Floats) -> Floats:
        whole = np.full(indptr[-1], np.nan)
        whole[at] = column[order]
        return whole

    covariates = {name: spread(column) for name, (column, _) in rows.covariates.items()}
    categories = {name: texts for name, (_, texts) in rows.covariates.items() if texts}
    return Panel(rows.ids, times[given[:-1]], spread(rows.values), indptr, step, rows.utc, covariates, categories)


def _check_columns(lengths: Mapping[str, int], covariates: Mapping[str, Column]) -> None:
    """Refuse columns of different lengths, no rows, and more covariates than are kept."""
    told = {name: f"{name} has {length} rows" for name, length in lengths.items()}
    told |= {name: f"{excerpt(name)} has {len(column)} rows" for name, column in covariates.items()}
    if len(set(lengths.values()) | set(map(len, covariates.values()))) > 1:
        message = ", ".join(list(told.values())[:5])
        raise InputError([fault_at("ragged_columns", message, "give each row a place in every column")])
    if 0 in lengths.values():
        raise InputError([fault_at("no_rows", "there are no rows", "send at least one row of unique_id, ds, y")])
    if len(covariates) > MAX_COVARIATES:
        message = f"there are {len(covariates)} columns besides {', '.join(COLUMNS)}"
        raise InputError([fault_at("too_many_covariates", message, f"send at most {MAX_COVARIATES}")])


def _indptr(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _infer(times: Times, indptr: Ints) -> Freq:
    longest = int(np.argmax(np.diff(indptr)))
    return infer_freq(times[indptr[longest] : indptr[longest + 1]])


def _named(fault: Fault, names: Sequence[object]) -> Fault:
    """``fault`` with the name of the series that its row belongs to."""
    name = None if fault.row is None else names[fault.row - 1]
    return replace(fault, unique_id=name) if isinstance(name, str) and good_id(name) else fault
