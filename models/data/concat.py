"""Concatenation of panels: rows appended to a data set, and covariates known ahead."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain

import numpy as np

from models.data.panel import Panel, panel_from_bytes
from models.data.validation import MAX_CATEGORIES, fault_at, format_time, max_missing
from models.errors import Fault, Findings, InputError, excerpt
from models.types import Floats, Ints

Future = Mapping[str, Floats]  # name of a covariate -> its values (N, horizon) after each series of a panel


def extend(panel: Panel, rows: Panel) -> Panel:
    """Return ``panel`` followed by ``rows``: known series continue after their last value, new series are added.

    Points between the two have no value. Rows after a series' last value (known ahead) may be sent again: their values
    replace the earlier ones.

    Raises:
        InputError: rows with other columns, or rows that cannot follow (see ``with_future``).
    """
    missing, unknown = panel.covariates.keys() - rows.covariates, rows.covariates.keys() - panel.covariates
    faults = []
    for name in sorted(missing):
        message = f"the column {excerpt(name)} is missing"
        faults.append(fault_at("missing_column", message, "send it too; cells may be empty", field=name))
    for name in sorted(unknown):
        message, hint = (
            f"the column {excerpt(name)} is not in the data set",
            "leave it out, or start another data set with it",
        )
        faults.append(fault_at("unknown_column", message, hint, field=name))
    if faults:
        raise InputError(faults)
    return with_future(panel, rows)


def with_future(panel: Panel, rows: Panel) -> Panel:
    """Return ``panel`` followed by ``rows`` with some of its covariates, such as those known ahead (without ``y``).

    A series that only ``rows`` has is a series without history.

    Raises:
        InputError: rows of another frequency or zone, off the grid of their series, not after its last value, or so far
            after it that most points would be missing; a covariate that is text in one and numbers in the other.
    """
    if rows.freq != panel.freq:
        message = f"the rows have frequency {rows.freq}, the data set has {panel.freq}"
        raise InputError.of("other_frequency", message, "send rows at the data set's frequency")
    if rows.utc != panel.utc:
        zones = {True: "end in Z (UTC)", False: "have no zone"}
        message = f"the timestamps {zones[rows.utc]}, those of the data set {zones[panel.utc]}"
        raise InputError.of("other_zone", message, "write them as in the data set", field="ds")
    _check_kinds(panel, rows)
    _check_starts(panel, rows)
    return join_panels([panel, rows])


def concat(chunks: Iterable[bytes]) -> Panel:
    """Return the panel of the parts ``chunks`` (at least one), each of which ``Panel.to_bytes`` wrote.

    ``extend`` checked that a part can follow the one before when the part was written.
    """
    return join_panels([panel_from_bytes(chunk) for chunk in chunks])


def stack_panels(panels: Sequence[Panel]) -> Panel:
    """Return the series of all panels, panel after panel, also with equal ids; several panels have no covariates.

    Only their frequency is checked.

    Raises:
        InputError: panels of several frequencies.
    """
    first, *others = panels
    if not others:
        return first
    assert not any(panel.covariates for panel in panels), "panels with covariates cannot be stacked"
    if any(panel.freq != first.freq for panel in others):
        raise InputError.of(
            "other_frequency", "the panels are of several frequencies", "request a forecast of each alone"
        )
    begins, counts = list(accumulate((len(panel.y) for panel in panels), initial=0)), [len(panel) for panel in panels]
    ends = np.concatenate([panel.indptr[1:] for panel in panels]) + np.repeat(begins[:-1], counts)
    return Panel(
        ids=tuple(chain.from_iterable(panel.ids for panel in panels)),
        starts=np.concatenate([panel.starts for panel in panels]),
        y=np.concatenate([panel.y for panel in panels]),
        indptr=np.concatenate([[0], ends]),
        freq=first.freq,
        utc=first.utc,
    )


def join_panels(panels: Sequence[Panel]) -> Panel:
    """Return the panels as one, series by series; of two values for one point, that of the later panel counts."""
    number: dict[str, int] = {}  # id -> index of the series in the joined panel
    starts = np.array([start for panel in panels for start in _add_series(panel, number)], dtype="datetime64[us]")
    rows = [np.array([number[name] for name in panel.ids], dtype=np.int64) for panel in panels]
    offsets = [panel.freq.steps(starts[row], panel.starts)[0] for panel, row in zip(panels, rows, strict=True)]
    lengths = np.zeros(len(number), dtype=np.int64)
    for panel, row, offset in zip(panels, rows, offsets, strict=True):
        lengths[row] = np.maximum(lengths[row], offset + panel.lengths)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = [
        np.repeat(indptr[row] + offset - panel.indptr[:-1], panel.lengths) + np.arange(len(panel.y))
        for panel, row, offset in zip(panels, rows, offsets, strict=True)
    ]

    def spread(columns: Sequence[Floats | None]) -> Floats:
        whole = np.full(indptr[-1], np.nan)
        for at, column in zip(places, columns, strict=True):
            if column is not None:
                known = ~np.isnan(column)
                whole[at[known]] = column[known]
        return whole

    categories = _merge_categories(panels)
    names = sorted({name for panel in panels for name in panel.covariates})
    return Panel(
        tuple(number),
        starts,
        spread([panel.y for panel in panels]),
        indptr,
        panels[0].freq,
        panels[0].utc,
        {name: spread([_recode(panel, name, categories) for panel in panels]) for name in names},
        categories,
    )


def known_ahead(panel: Panel, names: Sequence[str], at: Ints, horizon: int) -> Future:
    """Return the covariates ``names`` at the ``horizon`` points of each series from point ``at`` (N,) on.

    Raises:
        InputError: ``missing_future`` for each series and covariate with an unknown value.
    """
    if not names:
        return {}
    steps = at[:, None] + np.arange(horizon)
    inside = steps < panel.lengths[:, None]
    places = panel.indptr[:-1, None] + np.minimum(steps, panel.lengths[:, None] - 1)
    nothing = np.full(len(panel.y), np.nan)
    future = {name: np.where(inside, panel.covariates.get(name, nothing)[places], np.nan) for name in names}
    hint = "send it for every step of the forecast in 'future', or as rows of the data set with an empty y"

    def fault(name: str, first: Ints, i: int) -> Fault:
        message = f"the covariate '{name}' is not known at {format_time(panel.timestamp(i, int(first[i])))}"
        return fault_at("missing_future", message, hint, unique_id=panel.ids[i], field=name)

    found = Findings()
    for name, values in future.items():
        unknown = np.isnan(values)
        first = at + unknown.argmax(axis=1)
        found.add(np.flatnonzero(unknown.any(axis=1)).tolist(), partial(fault, name, first))
    found.check()
    return future


def _add_series(panel: Panel, number: dict[str, int]) -> Iterator[np.datetime64]:
    """Number the series that are not in ``number`` yet, and yield their starts."""
    for name, start in zip(panel.ids, panel.starts, strict=True):
        if name not in number:
            number[name] = len(number)
            yield start


def _merge_categories(panels: Sequence[Panel]) -> dict[str, tuple[str, ...]]:
    texts: dict[str, set[str]] = {}
    for panel in panels:
        for name, values in panel.categories.items():
            texts.setdefault(name, set()).update(values)
    return {name: tuple(sorted(values)) for name, values in texts.items()}


def _recode(panel: Panel, name: str, categories: Mapping[str, tuple[str, ...]]) -> Floats | None:
    """Return the covariate ``name`` of ``panel`` as indices into ``categories``; None if the panel does not have it."""
    own, merged = panel.categories.get(name), categories.get(name)
    if own is None or own == merged or merged is None:
        return panel.covariates.get(name)
    place = np.append(np.searchsorted(np.array(merged), np.array(own)).astype(np.float64), np.nan)
    return place[np.nan_to_num(panel.covariates[name], nan=len(own)).astype(np.int64)]


def _check_kinds(panel: Panel, rows: Panel) -> None:
    """Refuse a column that is text in one panel and numbers in the other; an empty column fits both."""
    kinds = {name: (_kind(panel, name), _kind(rows, name)) for name in sorted(rows.covariates)}
    faults = []
    for name, (old, new) in kinds.items():
        if old != new and "nothing" not in (old, new):
            message = f"the column '{name}' holds {new}, in the data set {old}"
            faults.append(fault_at("other_kind", message, "write it as in the data set", field=name))
    for name, texts in _merge_categories([panel, rows]).items():
        if len(texts) > MAX_CATEGORIES:
            message = f"with these rows the column '{name}' would have {len(texts)} different texts"
            faults.append(fault_at("too_many_categories", message, f"send at most {MAX_CATEGORIES}", field=name))
    if faults:
        raise InputError(faults)


def _kind(panel: Panel, name: str) -> str:
    values = panel.covariates.get(name)
    if values is None or np.isnan(values).all():
        return "nothing"
    return "text" if name in panel.categories else "numbers"


def _check_starts(panel: Panel, rows: Panel) -> None:
    """Refuse rows that are off the grid of their series, not after its last value, or too far after it."""
    where = {name: i for i, name in enumerate(panel.ids)}
    shared = np.array([j for j, name in enumerate(rows.ids) if name in where], dtype=np.int64)
    known = np.array([where[rows.ids[j]] for j in shared], dtype=np.int64)
    steps, on_grid = panel.freq.steps(panel.starts[known], rows.starts[shared])
    before = steps < panel.observed_lengths[known]
    gaps = np.maximum(steps - panel.lengths[known], 0)
    sparse = gaps.sum() > max_missing(len(panel.y) + len(rows.y))
    kinds = {
        "off_grid_timestamp": ~on_grid,
        "already_known": on_grid & before,
        "gap_too_long": on_grid & sparse & (gaps == gaps.max(initial=1)),
    }
    hints = {
        "off_grid_timestamp": f"give them timestamps on the grid of frequency {panel.freq}",
        "already_known": "send the rows that follow the last known value",
        "gap_too_long": "send the rows between, or start another data set",
    }

    def fault(code: str, k: int) -> Fault:
        i, j = int(known[k]), int(shared[k])
        following = format_time(panel.timestamp(i, int(panel.observed_lengths[i])))
        message = f"the new rows start at {format_time(rows.starts[j])}, the data set continues at {following}"
        return fault_at(code, message, hints[code], unique_id=rows.ids[j], field="ds")

    found = Findings()
    for code, bad in kinds.items():
        found.add(np.flatnonzero(bad).tolist(), partial(fault, code))
    found.check()
