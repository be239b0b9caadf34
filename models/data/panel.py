"""Panel: many regular series, checked once when they are read.

Long frames with the columns ``unique_id, ds, y`` and any number of covariates are checked on their way in
(``models.data.validation``). A panel holds only flat arrays: series i is ``y[indptr[i]:indptr[i + 1]]``, and its
timestamps follow from its start and the frequency. Missing values (empty cells, and rows between two others) are NaN.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from models.data.calendar import Freq, parse_freq, parse_times
from models.data.frequency_choice import FreqChoice, choose_freq
from models.data.masks import has_any
from models.data.serialization import NamedArrays, pack, unpack
from models.data.validation import (
    MAX_COVARIATES,
    Column,
    Rows,
    count_steps,
    encode_ids,
    fault_at,
    is_valid_id,
    read_covariate,
    read_values,
)
from models.errors import BundleError, Fault, Findings, InputError, excerpt
from models.types import Floats, Ints, JsonObject, Times

COLUMNS = ("unique_id", "ds", "y")


@dataclass(frozen=True, eq=False)  # no slots: ``observed_lengths`` is computed once and kept
class Panel:
    """N series of one frequency; ``starts`` (N,) datetime64[us], ``y`` flat float64, ``indptr`` (N + 1,).

    ``covariates``: name -> flat float64 beside ``y``; for a text covariate, ``categories`` has its sorted values and
    the array their indices. NaN is a missing value in all of them.
    """

    ids: tuple[str, ...]
    starts: Times
    y: Floats
    indptr: Ints
    freq: Freq
    utc: bool = False  # whether the timestamps were in UTC; otherwise they have no zone
    covariates: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, Floats]]:
        return ((name, self.series(i)) for i, name in enumerate(self.ids))

    @property
    def lengths(self) -> Ints:
        """Points of each series, with or without a value, shape (N,)."""
        return self.indptr[1:] - self.indptr[:-1]

    @cached_property
    def observed_lengths(self) -> Ints:
        """Points of each series up to its last value, shape (N,); 0 where it has none."""
        return self._lengths_until_last(self.y)

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest value; infinity and minus infinity without any."""
        return float(np.fmin.reduce(self.y, initial=np.inf)), float(np.fmax.reduce(self.y, initial=-np.inf))

    @property
    def missing(self) -> Ints:
        """Points of each series without a value before its last value, shape (N,)."""
        if not has_any(np.isnan(self.y)):
            return np.zeros(len(self), dtype=np.int64)
        known = np.add.reduceat(~np.isnan(self.y), self.indptr[:-1], dtype=np.int64)
        return np.asarray(self.observed_lengths - known)

    @property
    def median_length(self) -> int:
        """Points of the median series up to its last value; 0 without series."""
        return int(np.median(self.observed_lengths)) if len(self) else 0

    def series(self, i: int) -> Floats:
        """Return the values of series ``i``, a view of shape (length,)."""
        return self.y[self.indptr[i] : self.indptr[i + 1]]

    def times(self, i: int) -> Times:
        """Return the timestamps of series ``i``, shape (length,)."""
        return self.freq.after(self.starts[i], np.arange(len(self.series(i))))

    def timestamp(self, i: int, at: int) -> np.datetime64:
        """Return the timestamp of point ``at`` of series ``i``, also before its first or after its last point."""
        return np.datetime64(self.freq.after(self.starts[i], np.array([at]))[0])

    def latest(self, covariate: str) -> Floats:
        """Return the last known value of a covariate in each series, shape (N,); NaN where there is none."""
        values = self.covariates[covariate]
        lengths = self._lengths_until_last(values)
        return np.where(lengths > 0, values[self.indptr[:-1] + lengths - 1], np.nan)

    def _lengths_until_last(self, values: Floats) -> Ints:
        """Return the points of each series up to the last that is not NaN, shape (N,)."""
        lengths = self.lengths
        # Usually it is the last point: searching all points would take as much memory as the panel, at every batch.
        for i in np.isnan(values[self.indptr[1:] - 1]).nonzero()[0]:
            known = np.flatnonzero(~np.isnan(values[self.indptr[i] : self.indptr[i + 1]]))
            lengths[i] = known[-1] + 1 if len(known) else 0
        return lengths

    def select(self, ids: Sequence[str]) -> "Panel":
        """Return the series ``ids``, in that order.

        Raises:
            InputError: ``unknown_series`` for each id that the panel does not have.
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
        """Return every series without its last ``points`` up to the last value, and without the points after it.

        Series with no more points than that are left out.
        """
        rows = np.flatnonzero(self.observed_lengths > points)
        return self._pick(rows, self.observed_lengths[rows] - points)

    def head(self, points: Ints) -> "Panel":
        """Return the first ``points`` (N,) of each series; series with none are left out."""
        rows = np.flatnonzero(points > 0)
        return self._pick(rows, np.minimum(points, self.lengths)[rows])

    def tail(self, points: int) -> "Panel":
        """Return of every series the last ``points`` up to its last value, and the points after it."""
        begin = np.maximum(self.observed_lengths - points, 0)
        picked = self._pick(np.arange(len(self)), self.lengths - begin, begin)
        return replace(picked, starts=self.freq.after(self.starts, begin))

    def part(self, rows: Ints, begin: Ints, end: Ints) -> "Panel":
        """Return the points ``begin`` to ``end``, (B,) each, of the series ``rows`` (B,), which may be repeated."""
        picked = self._pick(rows, np.minimum(end, self.lengths[rows]) - begin, begin)
        return replace(picked, starts=self.freq.after(picked.starts, begin))

    def _pick(self, rows: Ints, lengths: Ints, begin: Ints | int = 0) -> "Panel":
        """Return ``lengths`` points of the series ``rows`` from ``begin`` on; ``starts`` are not moved."""
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
        """Return the SHA-256 (hex) of the content, independent of the order of series and covariates."""
        order = np.array(sorted(range(len(self)), key=self.ids.__getitem__), dtype=np.int64)
        return hashlib.sha256(self._pick(order, self.lengths[order]).to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the panel as bytes that ``panel_from_bytes`` reads."""
        header: JsonObject = {"ids": list(self.ids), "freq": str(self.freq), "utc": self.utc}
        arrays: NamedArrays = {"starts": self.starts.astype(np.int64), "indptr": self.indptr, "y": self.y}
        if self.covariates:  # without any, the bytes are those of older releases
            header["categories"] = {name: list(texts) for name, texts in self.categories.items()}
            arrays |= {_COVARIATE + name: self.covariates[name] for name in sorted(self.covariates)}
        return pack(header, arrays)


_COVARIATE = "covariate:"  # prefix of the array names of covariates


def panel_from_bytes(data: bytes) -> Panel:
    """Return the panel that ``Panel.to_bytes`` wrote.

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
    fits = shapes == [(len(ids),), (len(ids) + 1,), points, *[points] * len(covariates)]
    if not fits or indptr[0] != 0 or (np.diff(indptr) < 1).any() or not categories.keys() <= covariates.keys():
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
    freq: FreqChoice = None,
    covariates: Mapping[str, Column] | None = None,
) -> Panel:
    """Return the panel of rows given as columns of one length; ``unique_id`` may be one name for all rows.

    Rows of different series may be mixed; within a series they must be in order of time, without repetitions. Values
    (None or NaN) and rows may be missing. ``freq`` defaults to the frequency of the longest series. ``covariates`` are
    numbers, booleans (1 and 0), or text.

    Raises:
        InputError: with a fault (row counted from 1) for each bad cell or column.
    """
    names: Sequence[object] = [unique_id] * len(ds) if isinstance(unique_id, str) else unique_id
    columns = covariates or {}
    _check_columns({"unique_id": len(names), "ds": len(ds), "y": len(y)}, columns)
    found = Findings()
    codes, ids = encode_ids(names, found)
    values, (times, utc) = read_values(y, found), parse_times(ds, found)
    read = {name: read_covariate(name, columns[name], found) for name in sorted(columns)}
    found.faults = [_with_series(fault, names) for fault in found.faults]
    found.check()
    return panel_from_rows(CheckedRows(codes, ids, times, utc, values, read), freq)


class CheckedRows(NamedTuple):
    """R rows whose cells are valid: ``codes`` (R,) into ``ids``, ``times`` (R,), ``values`` (R,).

    ``covariates``: name -> its numbers (R,), and the categories that they index (none if it is numeric).
    """

    codes: Ints
    ids: tuple[str, ...]
    times: Times
    utc: bool
    values: Floats
    covariates: Mapping[str, tuple[Floats, tuple[str, ...]]]


def panel_from_rows(rows: CheckedRows, freq: FreqChoice) -> Panel:
    """Return the panel of ``rows``; ``freq`` defaults to the frequency of the longest series.

    Raises:
        InputError: the timestamps do not form series of one frequency.
    """
    order, given = np.argsort(rows.codes, kind="stable"), _indptr(np.bincount(rows.codes))
    times = rows.times[order]
    longest = int(np.argmax(np.diff(given)))
    step = choose_freq(freq, times[given[longest] : given[longest + 1]])
    steps = count_steps(Rows(times, order, given, rows.ids, step))
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
    """Refuse columns of different lengths, an input without rows, and more than ``MAX_COVARIATES`` covariates."""
    texts = {name: f"{name} has {length} rows" for name, length in lengths.items()}
    texts |= {name: f"{excerpt(name)} has {len(column)} rows" for name, column in covariates.items()}
    if len(set(lengths.values()) | set(map(len, covariates.values()))) > 1:
        message = ", ".join(list(texts.values())[:5])
        raise InputError([fault_at("ragged_columns", message, "give each row a place in every column")])
    if 0 in lengths.values():
        raise InputError([fault_at("no_rows", "there are no rows", "send at least one row of unique_id, ds, y")])
    if len(covariates) > MAX_COVARIATES:
        message = f"there are {len(covariates)} columns besides {', '.join(COLUMNS)}"
        raise InputError([fault_at("too_many_covariates", message, f"send at most {MAX_COVARIATES}")])


def _indptr(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _with_series(fault: Fault, names: Sequence[object]) -> Fault:
    """Return ``fault`` with the id of the series that its row belongs to, if that is valid."""
    name = None if fault.row is None else names[fault.row - 1]
    return replace(fault, unique_id=name) if isinstance(name, str) and is_valid_id(name) else fault
