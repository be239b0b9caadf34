"""New rows for series that were read before: which rows are accepted, and how both are joined."""

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.concat import join_panels
from models.data.panel import Panel
from models.data.validation import fault_at, format_time, max_missing
from models.errors import Fault, Findings, InputError
from models.types import Floats, Ints

MIN_MISSING_ALLOWED = 10_000  # missing points are always accepted up to this number


def keep_covariates(panel: Panel, names: Collection[str]) -> Panel:
    """Return ``panel`` with the covariates ``names`` only."""
    if panel.covariates.keys() <= set(names):
        return panel
    covariates = {name: values for name, values in panel.covariates.items() if name in names}
    categories = {name: texts for name, texts in panel.categories.items() if name in names}
    return replace(panel, covariates=covariates, categories=categories)


def newest_points(panel: Panel, points: int, static: Collection[str]) -> Panel:
    """Return the last ``points`` of every series up to its last value, and the rows that follow.

    The newest known value of a ``static`` covariate is moved to the last value of the series.
    """
    if static:
        last = panel.indptr[:-1] + panel.observed_lengths - 1
        values_of = {name: panel.covariates[name].copy() for name in static}
        for name, values in values_of.items():
            values[last] = panel.latest(name)
        panel = replace(panel, covariates={**panel.covariates, **values_of})
    return panel.tail(points)


def append_rows(tail: Panel, rows: Panel) -> Panel:
    """Return ``tail``, the newest points of some series, followed by ``rows`` of later timestamps.

    Rows up to a series' last value may be repeated with the same values; those before ``tail`` are not compared.
    Timestamps between the two have no value. A new series begins at its first row.

    Raises:
        InputError: rows of another frequency or zone, off the grid of their series, with another value than before, or
            so much later that most points would be missing.
    """
    values = contiguous_values(tail, rows)
    if values is not None:
        return extend(tail, values)
    if rows.freq != tail.freq:
        message = f"the rows have frequency {rows.freq}, the earlier ones have {tail.freq}"
        raise InputError.of("other_frequency", message, "send rows at the same frequency", field="freq")
    if rows.utc != tail.utc:
        zone = {True: "are in UTC (Z)", False: "have no zone"}
        message = f"the timestamps {zone[rows.utc]}, the earlier ones {zone[tail.utc]}"
        raise InputError.of("other_zone", message, "write them in the same way", field="ds")
    numbers = {name: i for i, name in enumerate(tail.ids)}
    both = np.array([j for j, name in enumerate(rows.ids) if name in numbers], dtype=np.int64)
    series = np.array([numbers[rows.ids[j]] for j in both], dtype=np.int64)
    overlap = RowOverlap(series, both, *tail.freq.steps(tail.starts[series], rows.starts[both]))
    _check_overlap(tail, rows, overlap)
    skip = np.zeros(len(rows), dtype=np.int64)
    skip[overlap.rows] = np.maximum(tail.observed_lengths[overlap.series] - overlap.steps, 0)
    later = _drop_first(rows, skip)
    return join_panels([tail, later]) if len(later) else tail


def contiguous_values(tail: Panel, rows: Panel) -> Floats | None:
    """Return the values of ``rows``, (N, k), if they follow directly on ``tail`` for the same series; the usual case.

    None if they do not, if there are covariates, or if the series of a panel differ in length.
    """
    if tail.covariates or rows.covariates or rows.ids != tail.ids or rows.freq != tail.freq or rows.utc != tail.utc:
        return None
    count = len(tail)
    for panel in (tail, rows):
        if count > 1 and (panel.indptr * count != np.arange(count + 1) * len(panel.y)).any():
            return None
    if (tail.freq.after(tail.starts, np.array(len(tail.y) // count)) != rows.starts).any():
        return None
    return rows.y.reshape(count, -1)


def extend(tail: Panel, values: Floats) -> Panel:
    """Append the ``values`` (N, k) to the N series of ``tail``, which have equal lengths, and return the new panel."""
    count = len(tail)
    y = np.concatenate([tail.y.reshape(count, -1), values], axis=1)
    return Panel(tail.ids, tail.starts, y.ravel(), np.arange(count + 1) * y.shape[1], tail.freq, tail.utc)


class RowOverlap(NamedTuple):
    """The series in both panels: their numbers in each, and the ``steps`` from the tail's start to the rows'."""

    series: Ints
    rows: Ints
    steps: Ints
    on_grid: NDArray[np.bool_]


def _check_overlap(tail: Panel, rows: Panel, overlap: RowOverlap) -> None:
    gaps = np.maximum(overlap.steps - tail.lengths[overlap.series], 0)
    sparse = gaps.sum() > max(MIN_MISSING_ALLOWED, max_missing(len(tail.y) + len(rows.y)))
    repeated = overlap.on_grid & (overlap.steps < tail.observed_lengths[overlap.series])
    kinds = {
        "off_grid_timestamp": np.flatnonzero(~overlap.on_grid).tolist(),
        "other_value": [k for k in np.flatnonzero(repeated).tolist() if len(_changed_points(tail, rows, overlap, k))],
        "gap_too_long": np.flatnonzero(overlap.on_grid & sparse & (gaps == gaps.max(initial=1))).tolist(),
    }
    found = Findings()
    for code, bad in kinds.items():
        found.add(bad, partial(_overlap_fault, code, (tail, rows), overlap))
    found.check()


def _changed_points(tail: Panel, rows: Panel, overlap: RowOverlap, k: int) -> Ints:
    """Return the points of the k-th common series at which ``rows`` have another value than ``tail``."""
    i, steps = int(overlap.series[k]), int(overlap.steps[k])
    begin, end = max(steps, 0), int(tail.observed_lengths[i])
    values = rows.series(int(overlap.rows[k]))[begin - steps : end - steps]
    return begin + np.flatnonzero(~np.isnan(values) & (values != tail.series(i)[begin : begin + len(values)]))


def _overlap_fault(code: str, panels: tuple[Panel, Panel], overlap: RowOverlap, k: int) -> Fault:
    """Return the fault of the k-th common series."""
    (tail, rows), i, j = panels, int(overlap.series[k]), int(overlap.rows[k])
    starts, next_time = format_time(rows.starts[j]), format_time(tail.timestamp(i, int(tail.observed_lengths[i])))
    message = f"the rows start at {starts}, the series continues at {next_time}"
    if code == "other_value":
        at = int(_changed_points(tail, rows, overlap, k)[0])
        old, new = tail.series(i)[at], rows.series(j)[at - int(overlap.steps[k])]
        known = "none" if np.isnan(old) else f"{old:g}"
        message = f"at {format_time(tail.timestamp(i, at))} the value is {new:g}, but {known} was read"
    hints = {
        "off_grid_timestamp": f"give them timestamps on the grid of frequency {tail.freq}",
        "other_value": "send only rows after the last point; for another history begin another session",
        "gap_too_long": "send the rows in between, or begin another session with the newest history",
    }
    return fault_at(code, message, hints[code], unique_id=rows.ids[j], field="y" if code == "other_value" else "ds")


def _drop_first(panel: Panel, skip: Ints) -> Panel:
    """Return every series without its first ``skip`` (N,) points; series with no more points are left out."""
    rows = np.flatnonzero(panel.lengths > skip)
    counts = (panel.lengths - skip)[rows]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    at = np.arange(indptr[-1]) + np.repeat(panel.indptr[rows] + skip[rows] - indptr[:-1], counts)
    return replace(
        panel,
        ids=tuple(panel.ids[i] for i in rows),
        starts=panel.freq.after(panel.starts[rows], skip[rows]),
        y=panel.y[at],
        indptr=indptr,
        covariates={name: values[at] for name, values in panel.covariates.items()},
    )
