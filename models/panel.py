"""Panel: many regular series, checked once at the door.

Long frames with the columns ``unique_id, ds, y`` are checked on their way in (``models.checks``). Inside there are only
flat arrays: series i is ``y[indptr[i]:indptr[i + 1]]``, its timestamps follow from its start and the frequency.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calendar import Freq, Ints, Times, infer_freq, parse_freq, parse_times
from models.checks import Rows, check_steps, codes_of, fault_at, good_id, text_of, values_of
from models.errors import BundleError, Fault, Findings, InputError, excerpt
from models.packing import pack, unpack

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """N series of one frequency without gaps; ``starts`` (N,) datetime64[us], ``y`` flat float64, ``indptr`` (N+1,)."""

    ids: tuple[str, ...]
    starts: Times
    y: Floats
    indptr: Ints
    freq: Freq
    utc: bool = False  # the timestamps said so; otherwise they have no zone

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, Floats]]:
        return ((name, self.series(i)) for i, name in enumerate(self.ids))

    @property
    def lengths(self) -> Ints:
        """Points of each series, shape (N,)."""
        return np.diff(self.indptr)

    @property
    def median_length(self) -> int:
        """Points of the median series; 0 without series."""
        return int(np.median(self.lengths)) if len(self) else 0

    def series(self, i: int) -> Floats:
        """The values of series ``i``, a view of shape (length,)."""
        return self.y[self.indptr[i] : self.indptr[i + 1]]

    def times(self, i: int) -> Times:
        """The timestamps of series ``i``, shape (length,)."""
        return self.freq.after(self.starts[i], np.arange(len(self.series(i))))

    def next_times(self, i: int, horizon: int) -> Times:
        """The ``horizon`` timestamps that follow the last one of series ``i``."""
        length = len(self.series(i))
        return self.freq.after(self.starts[i], np.arange(length, length + horizon))

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
        return self._pick([where[name] for name in ids])

    def cut(self, points: int) -> "Panel":
        """Every series without its last ``points`` points; series that have no more than that are left out."""
        rows = np.flatnonzero(self.lengths > points).tolist()
        parts = [y[: len(y) - points] for y in map(self.series, rows)]
        return _join([self.ids[i] for i in rows], self.starts[rows], parts, self)

    def _pick(self, rows: list[int]) -> "Panel":
        return _join([self.ids[i] for i in rows], self.starts[rows], [self.series(i) for i in rows], self)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content; the order in which the series came does not matter."""
        order = sorted(range(len(self)), key=self.ids.__getitem__)
        return hashlib.sha256(self._pick(order).to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The panel as bytes that ``panel_from_bytes`` reads."""
        header = {"ids": list(self.ids), "freq": str(self.freq), "utc": self.utc}
        return pack(header, {"starts": self.starts.astype(np.int64), "indptr": self.indptr, "y": self.y})

    def extend(self, rows: "Panel") -> "Panel":
        """This panel followed by ``rows``: known series go on where they ended, new series are added.

        Raises:
            InputError: rows of another frequency or zone, or that do not begin right after the last known point.
        """
        if rows.freq != self.freq:
            message = f"the rows have frequency {rows.freq}, the data set has {self.freq}"
            raise InputError([fault_at("other_frequency", message, "send rows at the data set's frequency")])
        if rows.utc != self.utc:
            said = {True: "say Z (UTC)", False: "have no zone"}
            message = f"the timestamps {said[rows.utc]}, those of the data set {said[self.utc]}"
            raise InputError([fault_at("other_zone", message, "write them as in the data set", field="ds")])
        where = {name: i for i, name in enumerate(self.ids)}
        faults = [_seam(self, where[name], rows, i) for i, name in enumerate(rows.ids) if name in where]
        if any(faults):
            raise InputError([fault for fault in faults if fault is not None])
        parts = [self.series(i) for i in range(len(self))]
        ids, starts = list(self.ids), list(self.starts)
        for i, name in enumerate(rows.ids):
            if name in where:
                parts[where[name]] = np.concatenate([parts[where[name]], rows.series(i)])
            else:
                parts.append(rows.series(i))
                ids.append(name)
                starts.append(rows.starts[i])
        return _join(ids, np.array(starts, dtype="datetime64[us]"), parts, self)


def panel_from_bytes(data: bytes) -> Panel:
    """The panel that ``Panel.to_bytes`` wrote.

    Raises:
        BundleError: the bytes are damaged.
    """
    header, arrays = unpack(data)
    try:
        ids, freq = tuple(map(str, header["ids"])), parse_freq(header["freq"])
        starts, indptr, y = (arrays[name] for name in ("starts", "indptr", "y"))
    except (KeyError, TypeError, InputError) as error:
        raise BundleError(f"the header is not that of a panel: {error}") from error
    shapes = [array.shape for array in (starts, indptr, y)]
    if shapes != [(len(ids),), (len(ids) + 1,), (indptr[-1:].sum(),)] or indptr[0] != 0 or (np.diff(indptr) < 1).any():
        raise BundleError("the arrays do not fit together as a panel")
    return Panel(ids, starts.astype("datetime64[us]"), y, indptr, freq, header.get("utc") is True)


def panel_from_columns(
    unique_id: Sequence[object] | str, ds: Sequence[object], y: Sequence[object], freq: str | None = None
) -> Panel:
    """A panel of rows given as three columns of one length; ``unique_id`` may be one name for all rows.

    Rows of different series may be mixed; within a series they must be in order of time, without gaps or repetitions.
    ``freq`` is read off the longest series where it is not given.

    Raises:
        InputError: with a fault (row counted from 1) for each thing wrong.
    """
    names: Sequence[object] = [unique_id] * len(ds) if isinstance(unique_id, str) else unique_id
    if not len(names) == len(ds) == len(y):
        message = f"unique_id has {len(names)} rows, ds {len(ds)} and y {len(y)}"
        raise InputError([fault_at("ragged_columns", message, "give each row all three")])
    if len(ds) == 0:
        raise InputError([fault_at("no_rows", "there are no rows", "send at least one row of unique_id, ds, y")])
    found = Findings()
    codes, ids = codes_of(names, found)
    values, (times, utc) = values_of(y, found), parse_times(ds, found)
    found.faults = [_named(fault, names) for fault in found.faults]
    found.check()
    order = np.argsort(codes, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(codes))]).astype(np.int64)
    times, values = times[order], values[order]
    step = parse_freq(freq) if freq is not None else _infer(times, indptr)
    check_steps(Rows(times, order, indptr, ids, step))
    return Panel(ids, times[indptr[:-1]], values, indptr, step, utc)


def panel_from_frame(frame: Mapping[str, Any], freq: str | None = None) -> Panel:
    """A panel of a long frame (pandas, polars, or a dict of columns) with the columns ``unique_id, ds, y``.

    Timestamps may be strings or datetimes, missing values are refused; other columns are ignored.

    Raises:
        InputError: see ``panel_from_columns``; ``missing_column`` where one of the three is not there.
    """
    for name in ("unique_id", "ds", "y"):
        if name not in frame:
            hint = "a long frame has one row for each series and moment"
            raise InputError([fault_at("missing_column", f"the column '{name}' is missing", hint, field=name)])
    ds = np.asarray(frame["ds"])
    moments = np.datetime_as_string(ds.astype("datetime64[us]")) if ds.dtype.kind == "M" else ds
    stamps = [m.isoformat() if isinstance(m, date) else m for m in moments.tolist()]
    names = [str(n) if isinstance(n, int | np.integer) else n for n in np.asarray(frame["unique_id"], dtype=object)]
    return panel_from_columns(names, stamps, list(frame["y"]), freq)


def _join(ids: Sequence[str], starts: Times, parts: list[Floats], like: Panel) -> Panel:
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    y = np.concatenate(parts) if parts else np.zeros(0)
    return Panel(tuple(ids), np.asarray(starts, dtype="datetime64[us]"), y, indptr, like.freq, like.utc)


def _infer(times: Times, indptr: Ints) -> Freq:
    longest = int(np.argmax(np.diff(indptr)))
    return infer_freq(times[indptr[longest] : indptr[longest + 1]])


def _seam(old: Panel, i: int, rows: Panel, j: int) -> Fault | None:
    expected, got = old.next_times(i, 1)[0], rows.starts[j]
    if got == expected:
        return None
    code = "gap" if got > expected else "already_known"
    message = f"the new rows start at {text_of(got)}, the data set goes on at {text_of(expected)}"
    return fault_at(code, message, "send the rows that follow the last known one", unique_id=rows.ids[j], field="ds")


def _named(fault: Fault, names: Sequence[object]) -> Fault:
    """``fault`` with the name of the series that its row belongs to."""
    name = None if fault.row is None else names[fault.row - 1]
    return replace(fault, unique_id=name) if isinstance(name, str) and good_id(name) else fault


def concat(chunks: Iterable[bytes]) -> Panel:
    """The panel whose parts, one ``Panel.to_bytes`` after another, are ``chunks`` (at least one).

    That each goes on where the one before ended was checked when it was written, by ``Panel.extend``.
    """
    panels = [panel_from_bytes(chunk) for chunk in chunks]
    parts: dict[str, list[Floats]] = {}
    starts: dict[str, np.datetime64] = {}
    for panel in panels:
        for i, name in enumerate(panel.ids):
            parts.setdefault(name, []).append(panel.series(i))
            starts.setdefault(name, panel.starts[i])
    whole = [np.concatenate(series) for series in parts.values()]
    return _join(list(parts), np.array(list(starts.values()), dtype="datetime64[us]"), whole, panels[0])
