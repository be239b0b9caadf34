"""Panels one after another: what is appended to a data set, and what is known of the time ahead."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain

import numpy as np

from models.data.panel import Panel, panel_from_bytes
from models.data.validation import MAX_TEXTS, fault_at, most_missing, text_of
from models.errors import Fault, Findings, InputError, excerpt
from models.types import Floats, Ints, Times

Future = Mapping[str, Floats]  # name of a covariate -> its values (N, horizon) after each series of a panel


def extend(panel: Panel, rows: Panel) -> Panel:
    """``panel`` followed by ``rows``: known series go on after their last value, new series are added.

    Moments between the two have no value. Rows after a series' last value, known ahead, may come again: what they say
    replaces what was said before.

    Raises:
        InputError: rows with other columns, or that cannot follow (see ``with_future``).
    """
    missing, unknown = panel.covariates.keys() - rows.covariates, rows.covariates.keys() - panel.covariates
    faults = [_other_column("missing_column", name, "send it too; cells may be empty") for name in sorted(missing)]
    hint = "leave it out, or start another data set with it"
    faults += [_other_column("unknown_column", name, hint) for name in sorted(unknown)]
    if faults:
        raise InputError(faults)
    return with_future(panel, rows)


def with_future(panel: Panel, rows: Panel) -> Panel:
    """``panel`` followed by ``rows`` that hold any of its covariates, such as those that are known ahead (no ``y``).

    A series that only ``rows`` has is one without history.

    Raises:
        InputError: rows of another frequency or zone, off the grid of their series, not after its last value, or so far
            after it that most points would be missing; a covariate that is text in one and numbers in the other.
    """
    if rows.freq != panel.freq:
        message = f"the rows have frequency {rows.freq}, the data set has {panel.freq}"
        raise InputError([fault_at("other_frequency", message, "send rows at the data set's frequency")])
    if rows.utc != panel.utc:
        said = {True: "say Z (UTC)", False: "have no zone"}
        message = f"the timestamps {said[rows.utc]}, those of the data set {said[panel.utc]}"
        raise InputError([fault_at("other_zone", message, "write them as in the data set", field="ds")])
    _check_kinds(panel, rows)
    _check_seams(panel, rows)
    return joined([panel, rows])


def concat(chunks: Iterable[bytes]) -> Panel:
    """The panel whose parts, one ``Panel.to_bytes`` after another, are ``chunks`` (at least one).

    That each can follow the one before was checked when it was written, by ``extend``.
    """
    return joined([panel_from_bytes(chunk) for chunk in chunks])


def beside(panels: Sequence[Panel]) -> Panel:
    """The series of all panels, one panel after another, whatever their names; none has covariates where several are.

    What they have in common is not checked but for the frequency.

    Raises:
        InputError: panels of several frequencies.
    """
    first, *others = panels
    if not others:
        return first
    assert not any(panel.covariates for panel in panels), "panels with covariates are not put beside others"
    if any(panel.freq != first.freq for panel in others):
        raise InputError([fault_at("other_frequency", "the panels are of several frequencies", "ask for each alone")])
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


def joined(panels: Sequence[Panel]) -> Panel:
    """The panels as one, series by series; where two say something of the same moment, the later one counts."""
    where: dict[str, int] = {}
    starts = np.array([start for panel in panels for start in _new(panel, where)], dtype="datetime64[us]")
    indptr, places = _places(panels, where, starts)

    def spread(columns: Sequence[Floats | None]) -> Floats:
        whole = np.full(indptr[-1], np.nan)
        for at, column in zip(places, columns, strict=True):
            if column is not None:
                known = ~np.isnan(column)
                whole[at[known]] = column[known]
        return whole

    categories = _categories(panels)
    names = sorted({name for panel in panels for name in panel.covariates})
    return Panel(
        tuple(where),
        starts,
        spread([panel.y for panel in panels]),
        indptr,
        panels[0].freq,
        panels[0].utc,
        {name: spread([_recoded(panel, name, categories) for panel in panels]) for name in names},
        categories,
    )


def known_ahead(panel: Panel, names: Sequence[str], at: Ints, horizon: int) -> Future:
    """The covariates ``names`` at the ``horizon`` points of each series that begin at point ``at`` (N,).

    Raises:
        InputError: ``missing_future`` for each series and covariate of which not all are known.
    """
    if not names:
        return {}
    steps = at[:, None] + np.arange(horizon)
    inside = steps < panel.lengths[:, None]
    places = panel.indptr[:-1, None] + np.minimum(steps, panel.lengths[:, None] - 1)
    nothing = np.full(len(panel.y), np.nan)
    future = {name: np.where(inside, panel.covariates.get(name, nothing)[places], np.nan) for name in names}
    found = Findings()
    for name, values in future.items():
        unknown = np.isnan(values)
        first = at + unknown.argmax(axis=1)
        found.add(np.flatnonzero(unknown.any(axis=1)).tolist(), partial(_missing_future, panel, name, first))
    found.check()
    return future


def _missing_future(panel: Panel, name: str, first: Ints, i: int) -> Fault:
    message = f"the covariate '{name}' is not known at {text_of(panel.moment(i, int(first[i])))}"
    hint = "send it for every step of the forecast in 'future', or as rows of the data set with an empty y"
    return fault_at("missing_future", message, hint, unique_id=panel.ids[i], field=name)


def _new(panel: Panel, where: dict[str, int]) -> Iterator[np.datetime64]:
    """The starts of the series that are not in ``where``; there they are now."""
    for name, start in zip(panel.ids, panel.starts, strict=True):
        if name not in where:
            where[name] = len(where)
            yield start


def _places(panels: Sequence[Panel], where: Mapping[str, int], starts: Times) -> tuple[Ints, list[Ints]]:
    """Where the series ``where``, from ``starts`` on, lie in flat arrays, and in there the points of each panel."""
    rows = [np.array([where[name] for name in panel.ids], dtype=np.int64) for panel in panels]
    offsets = [panel.freq.steps(starts[row], panel.starts)[0] for panel, row in zip(panels, rows, strict=True)]
    lengths = np.zeros(len(where), dtype=np.int64)
    for panel, row, offset in zip(panels, rows, offsets, strict=True):
        lengths[row] = np.maximum(lengths[row], offset + panel.lengths)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return indptr, [
        np.repeat(indptr[row] + offset - panel.indptr[:-1], panel.lengths) + np.arange(len(panel.y))
        for panel, row, offset in zip(panels, rows, offsets, strict=True)
    ]


def _categories(panels: Sequence[Panel]) -> dict[str, tuple[str, ...]]:
    texts: dict[str, set[str]] = {}
    for panel in panels:
        for name, values in panel.categories.items():
            texts.setdefault(name, set()).update(values)
    return {name: tuple(sorted(values)) for name, values in texts.items()}


def _recoded(panel: Panel, name: str, categories: Mapping[str, tuple[str, ...]]) -> Floats | None:
    """The covariate ``name`` of ``panel`` as indices into ``categories``; None where it has none."""
    own, all_ = panel.categories.get(name), categories.get(name)
    if own is None or own == all_ or all_ is None:
        return panel.covariates.get(name)
    place = np.append(np.searchsorted(np.array(all_), np.array(own)).astype(np.float64), np.nan)
    return place[np.nan_to_num(panel.covariates[name], nan=len(own)).astype(np.int64)]


def _check_kinds(panel: Panel, rows: Panel) -> None:
    """Refuse a column that is text on one side and numbers on the other; one that is empty is either."""
    kinds = {name: (_kind(panel, name), _kind(rows, name)) for name in sorted(rows.covariates)}
    faults = []
    for name, (old, new) in kinds.items():
        if old != new and "nothing" not in (old, new):
            message = f"the column '{name}' holds {new}, in the data set {old}"
            faults.append(fault_at("other_kind", message, "write it as in the data set", field=name))
    for name, texts in _categories([panel, rows]).items():
        if len(texts) > MAX_TEXTS:
            message = f"with these the column '{name}' would have {len(texts)} different texts"
            hint = f"at most {MAX_TEXTS} can be told apart"
            faults.append(fault_at("too_many_categories", message, hint, field=name))
    if faults:
        raise InputError(faults)


def _kind(panel: Panel, name: str) -> str:
    values = panel.covariates.get(name)
    if values is None or np.isnan(values).all():
        return "nothing"
    return "text" if name in panel.categories else "numbers"


def _check_seams(panel: Panel, rows: Panel) -> None:
    """Refuse rows that are off the grid of their series, not after its last value, or too far after it."""
    where = {name: i for i, name in enumerate(panel.ids)}
    both = np.array([j for j, name in enumerate(rows.ids) if name in where], dtype=np.int64)
    known = np.array([where[rows.ids[j]] for j in both], dtype=np.int64)
    steps, on_grid = panel.freq.steps(panel.starts[known], rows.starts[both])
    before = steps < panel.observed_lengths[known]
    gaps = np.maximum(steps - panel.lengths[known], 0)
    sparse = gaps.sum() > most_missing(len(panel.y) + len(rows.y))
    kinds = {
        "off_grid_timestamp": ~on_grid,
        "already_known": on_grid & before,
        "gap_too_long": on_grid & sparse & (gaps == gaps.max(initial=1)),
    }
    found = Findings()
    for code, bad in kinds.items():
        found.add(np.flatnonzero(bad).tolist(), partial(_seam, code, (panel, known), (rows, both)))
    found.check()


def _seam(code: str, old: tuple[Panel, Ints], new: tuple[Panel, Ints], k: int) -> Fault:
    """The fault of the k-th series that both have, by its number in each."""
    (panel, known), (rows, both) = old, new
    i, j = int(known[k]), int(both[k])
    goes_on = text_of(panel.moment(i, int(panel.observed_lengths[i])))
    message = f"the new rows start at {text_of(rows.starts[j])}, the data set goes on at {goes_on}"
    hints = {
        "off_grid_timestamp": f"give them timestamps on the grid of frequency {panel.freq}",
        "already_known": "send the rows that follow the last known value",
        "gap_too_long": "send the rows between, or start another data set",
    }
    return fault_at(code, message, hints[code], unique_id=rows.ids[j], field="ds")


def _other_column(code: str, name: str, hint: str) -> Fault:
    what = "is missing" if code == "missing_column" else "is not in the data set"
    return fault_at(code, f"the column {excerpt(name)} {what}", hint, field=name)
