"""Rows that arrive after others were read: what they may be, and what of both is kept."""

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

MIN_MISSING_ALLOWED = 10_000  # moments without a row are no burden, however few rows there are


def keep_covariates(panel: Panel, names: Collection[str]) -> Panel:
    """``panel`` with no other covariates than ``names``."""
    if panel.covariates.keys() <= set(names):
        return panel
    covariates = {name: values for name, values in panel.covariates.items() if name in names}
    categories = {name: texts for name, texts in panel.categories.items() if name in names}
    return replace(panel, covariates=covariates, categories=categories)


def newest_points(panel: Panel, points: int, static: Collection[str]) -> Panel:
    """Of every series the last ``points`` up to its last value, and what follows that.

    What is known of a ``static`` covariate stands at the last value, wherever it stood before.
    """
    if static:
        last = panel.indptr[:-1] + panel.observed_lengths - 1
        told = {name: panel.covariates[name].copy() for name in static}
        for name, values in told.items():
            values[last] = panel.latest(name)
        panel = replace(panel, covariates={**panel.covariates, **told})
    return panel.tail(points)


def append_rows(tail: Panel, rows: Panel) -> Panel:
    """``tail``, the newest points of some series, followed by what ``rows`` say of later moments.

    Rows of moments up to a series' last value may come again where they say the same; what lies before ``tail`` is not
    looked at. Moments between the two have no value. A series that is new begins where its rows do.

    Raises:
        InputError: rows of another frequency or zone, off the grid of their series, with another value than was read,
            or so far after it that most points would be missing.
    """
    values = contiguous_values(tail, rows)
    if values is not None:
        return extend(tail, values)
    _check_same_calendar(tail, rows)
    seam = _find_overlap(tail, rows)
    _check_overlap(tail, rows, seam)
    skip = np.zeros(len(rows), dtype=np.int64)
    skip[seam.rows] = np.maximum(tail.observed_lengths[seam.series] - seam.steps, 0)
    later = _drop_first(rows, skip)
    return join_panels([tail, later]) if len(later) else tail


def contiguous_values(tail: Panel, rows: Panel) -> Floats | None:
    """The values of ``rows``, (N, k), if they are of the series of ``tail`` and follow on it at once, as nearly always.

    Both have as many points of each series as of any other; None for whatever else.
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
    """``tail``, of which all series are equally long, with ``values`` (N, k) after it."""
    count = len(tail)
    y = np.concatenate([tail.y.reshape(count, -1), values], axis=1)
    return Panel(tail.ids, tail.starts, y.ravel(), np.arange(count + 1) * y.shape[1], tail.freq, tail.utc)


class Overlap(NamedTuple):
    """The series that both have: their numbers in each, and how many ``steps`` after the tail the rows begin."""

    series: Ints
    rows: Ints
    steps: Ints
    on_grid: NDArray[np.bool_]


def _check_same_calendar(tail: Panel, rows: Panel) -> None:
    if rows.freq != tail.freq:
        message = f"the rows have frequency {rows.freq}, those before have {tail.freq}"
        raise InputError([fault_at("other_frequency", message, "send rows at the same frequency", field="freq")])
    if rows.utc != tail.utc:
        said = {True: "say Z (UTC)", False: "have no zone"}
        message = f"the timestamps {said[rows.utc]}, those before {said[tail.utc]}"
        raise InputError([fault_at("other_zone", message, "write them as before", field="ds")])


def _find_overlap(tail: Panel, rows: Panel) -> Overlap:
    where = {name: i for i, name in enumerate(tail.ids)}
    both = np.array([j for j, name in enumerate(rows.ids) if name in where], dtype=np.int64)
    series = np.array([where[rows.ids[j]] for j in both], dtype=np.int64)
    return Overlap(series, both, *tail.freq.steps(tail.starts[series], rows.starts[both]))


def _check_overlap(tail: Panel, rows: Panel, seam: Overlap) -> None:
    gaps = np.maximum(seam.steps - tail.lengths[seam.series], 0)
    sparse = gaps.sum() > max(MIN_MISSING_ALLOWED, max_missing(len(tail.y) + len(rows.y)))
    again = seam.on_grid & (seam.steps < tail.observed_lengths[seam.series])
    kinds = {
        "off_grid_timestamp": np.flatnonzero(~seam.on_grid).tolist(),
        "other_value": [k for k in np.flatnonzero(again).tolist() if len(_changed_points(tail, rows, seam, k))],
        "gap_too_long": np.flatnonzero(seam.on_grid & sparse & (gaps == gaps.max(initial=1))).tolist(),
    }
    found = Findings()
    for code, bad in kinds.items():
        found.add(bad, partial(_overlap_fault, code, (tail, rows), seam))
    found.check()


def _changed_points(tail: Panel, rows: Panel, seam: Overlap, k: int) -> Ints:
    """The points of the k-th series that both have of which ``rows`` say another value than ``tail``."""
    i, steps = int(seam.series[k]), int(seam.steps[k])
    begin, end = max(steps, 0), int(tail.observed_lengths[i])
    said = rows.series(int(seam.rows[k]))[begin - steps : end - steps]
    return begin + np.flatnonzero(~np.isnan(said) & (said != tail.series(i)[begin : begin + len(said)]))


def _overlap_fault(code: str, both: tuple[Panel, Panel], seam: Overlap, k: int) -> Fault:
    """The fault of the k-th series that both have."""
    (tail, rows), i, j = both, int(seam.series[k]), int(seam.rows[k])
    starts, goes_on = format_time(rows.starts[j]), format_time(tail.timestamp(i, int(tail.observed_lengths[i])))
    message = f"the rows start at {starts}, the series goes on at {goes_on}"
    if code == "other_value":
        at = int(_changed_points(tail, rows, seam, k)[0])
        old, new = tail.series(i)[at], rows.series(j)[at - int(seam.steps[k])]
        known = "none" if np.isnan(old) else f"{old:g}"
        message = f"at {format_time(tail.timestamp(i, at))} the value is {new:g}, but {known} was read"
    hints = {
        "off_grid_timestamp": f"give them timestamps on the grid of frequency {tail.freq}",
        "other_value": "send what follows the last point; for another history begin another session",
        "gap_too_long": "send the rows between, or begin another session with the newest history",
    }
    return fault_at(code, message, hints[code], unique_id=rows.ids[j], field="y" if code == "other_value" else "ds")


def _drop_first(panel: Panel, skip: Ints) -> Panel:
    """Every series without its first ``skip`` (N,) points; those that have no more than that are left out."""
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
