"""Lanes: how far a network carries its state, and where it begins anew.

A state that was taught over a few windows in a row is worse than none over many, and in units of one long gone. So a
state is carried along a lane: it begins with the window before the lane and reads the lane in that window's units, as
in training. Lanes lie in the calendar, one after another from 1970 on; so only the newest points of a series decide
what is said of it, and not when, or in how many pieces, they came. A window that is constant has no unit, and one that
is half empty a poor one: then the first moment of the lane with a better window takes over, and until then a series is
read anew with every point.
"""

from typing import NamedTuple

import numpy as np

from models.data.panel import Panel
from models.engines import Engine
from models.evaluation.intervals import Prediction
from models.forecasting.rollout import (
    NetworkState,
    advance,
    begin,
    count_passes,
    forecast_from_state,
    scatter,
    take_rows,
    without_window,
)
from models.network.inputs import Reader
from models.network.spec import Spec
from models.types import Floats, Ints

EPOCH = np.datetime64("1970-01-01", "us")
MAX_POINTS_PER_RUN = 256  # points in one run: a layer below another gives its outputs at every step


class CarriedState(NamedTuple):
    """Network state of N series; ``remaining`` (N,): points that each may still read in its time segment.

    The state has read every point, except the newest one of a network with known-future covariates: their values may
    arrive later than the point.
    """

    state: NetworkState
    remaining: Ints


class Lengths(NamedTuple):
    """Of a panel's N series the points known before, ``was``, and now, ``at``; new series stand at the end."""

    was: Ints
    at: Ints


def segment_length(spec: Spec, windows: int) -> int:
    """The steps of a lane, if a state is to be carried over ``windows`` windows in a row and no more."""
    return max(1, (windows - 1) * spec.context)


def read(reader: Reader, engine: Engine, kept: CarriedState | None, points: Lengths, windows: int) -> CarriedState:
    """What is kept once all ``points`` of ``reader.panel`` are read, of which those before are in ``kept``."""
    (was, at), held = points, _deferred_points(reader.spec)
    left, state = was - at, None
    if kept is not None:
        state = kept.state
        left[: len(kept.remaining)] += kept.remaining
    upto, anew = was - held, np.flatnonzero(left < 0)
    if len(anew):
        start, left[anew] = _segment_starts(reader, anew, points, segment_length(reader.spec, windows))
        fresh = _begin(reader, engine, anew, start)
        state = scatter(fresh if state is None else state, len(at), anew, fresh)
        upto[anew] = start - held
    assert state is not None, "a panel has a series, and a series that is new is begun"
    return CarriedState(_read_to(reader, engine, state, upto, at - held), left)


def can_step(kept: CarriedState, steps: int) -> bool:
    """Whether each series may read so many more points where it is, and nothing is read beside them."""
    return kept.state.batch.known.shape[2] == 0 and bool((kept.remaining >= steps).all())


def step(spec: Spec, engine: Engine, kept: CarriedState, values: Floats) -> CarriedState:
    """What ``read`` gives once ``values`` (N, k) in data units came, none of them missing, to one that ``can_step``."""
    state = advance(spec, engine, kept.state, kept.state.batch.to_window(values))
    return CarriedState(without_window(state), kept.remaining - values.shape[1])


def forecast(reader: Reader, engine: Engine, kept: CarriedState, at: Ints, horizon: int) -> Prediction:
    """``horizon`` steps after the ``at`` (N,) points of ``reader.panel`` that were read; ``kept`` stays as it is."""
    series, held, ahead = (
        np.arange(len(at)),
        _deferred_points(reader.spec),
        count_passes(reader.spec, horizon) * reader.spec.outputs,
    )
    state = _with_covariates(reader, kept.state, _Points(series, at - held, held), ahead)
    if held:
        state = _advance(reader, engine, state, _Points(series, at - held, held))
    return forecast_from_state(reader.spec, engine, state, horizon)


def _deferred_points(spec: Spec) -> int:
    """How many of the newest points are read only when a forecast is asked for."""
    return 1 if spec.future_covariates else 0


def _segment_starts(reader: Reader, series: Ints, points: Lengths, lane: int) -> tuple[Ints, Ints]:
    """The moment at which each of ``series`` (B,) begins in its lane, and how many points of that are left.

    The first moment whose window has a unit and half its values; the newest moment, and none left, where none has.
    """
    (was, at), clock = points, _steps_since_epoch(reader.panel)[series]
    last = at[series]
    first = (clock + last) // lane * lane - clock
    left, half = first + lane - 1 - last, -(-reader.spec.context // 2)
    start = np.minimum(np.maximum(np.maximum(first, was[series]), half), last)
    poor = np.flatnonzero((start < last) | (left > 0))
    while len(poor):
        batch = reader.read(series[poor], start[poor], 0)
        seen = (~np.isnan(batch.values)).sum(axis=1)
        poor = poor[(seen < half) | (batch.unit[:, 0] == 0)]
        left[poor[start[poor] == last[poor]]] = 0
        poor = poor[start[poor] < last[poor]]
        start[poor] += 1
    return start, left


def _steps_since_epoch(panel: Panel) -> Ints:
    """The steps from 1970 to the start of each series, (N,)."""
    return panel.freq.steps(np.full_like(panel.starts, EPOCH), panel.starts)[0]


def _begin(reader: Reader, engine: Engine, series: Ints, at: Ints) -> NetworkState:
    """Each of ``series`` (B,) begun with the window before ``at`` (B,), as far as its points are read."""
    batch = reader.read(series, at, reader.spec.outputs)
    values = batch.values[:, : reader.spec.context - _deferred_points(reader.spec)]
    return without_window(begin(reader.spec, engine, batch._replace(values=values)))


class _Points(NamedTuple):
    """Of each of ``series`` (B,) as many points as ``size`` from ``since`` (B,) on."""

    series: Ints
    since: Ints
    size: int


def _read_to(reader: Reader, engine: Engine, state: NetworkState, upto: Ints, end: Ints) -> NetworkState:
    """``state``, which knows ``upto`` (N,) points, once it knows ``end`` (N,)."""
    left, ahead = end - upto, reader.spec.outputs
    while (most := int(left.max())) > 0:
        size = _chunk_size(left, most)
        rows = np.flatnonzero(left >= size)
        points = _Points(rows, (end - left)[rows], size)
        part = state if len(rows) == len(left) else take_rows(state, rows)
        part = without_window(_advance(reader, engine, _with_covariates(reader, part, points, ahead), points))
        state = scatter(state, len(left), rows, part)
        left[rows] -= size
    return state


def _chunk_size(left: Ints, most: int) -> int:
    """How many points to read at once: all where all series have as many, else a power of two, so that runs are few."""
    ragged = len(left) > 1 and bool(((left != most) & (left > 0)).any())
    return min(1 << (most.bit_length() - 1) if ragged else most, MAX_POINTS_PER_RUN)


def _with_covariates(reader: Reader, state: NetworkState, points: _Points, ahead: int) -> NetworkState:
    """``state`` with what is known of the ``points`` that come, and of as many as ``ahead`` beyond them."""
    series, since, size = points
    if state.batch.known.shape[2] == 0:
        return state
    known = reader.known(series, since + size, size, ahead)
    known[:, size:, : known.shape[2] - reader.spec.ahead_channels] = 0  # covariates of the past end with the points
    return state._replace(batch=state.batch._replace(known=known))


def _advance(reader: Reader, engine: Engine, state: NetworkState, points: _Points) -> NetworkState:
    """``state`` once ``points`` are read as well."""
    return advance(reader.spec, engine, state, state.batch.to_window(reader.future(*points)))
