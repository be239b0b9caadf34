"""Carried recurrent state, restarted at the boundaries of fixed time segments.

A network is trained to carry its state over a few consecutive windows; carried further, the state and the units of its
first window become outdated, and forecasts become worse than without a state. So time is cut into segments of fixed
length, counted in the calendar from 1970. At each boundary the state restarts: it reads the window before the segment
and then the segment in the units of that window, as in training. So forecasts depend only on the newest points of a
series, not on when or in how many parts they arrived. A constant window has no unit, and the unit of a half empty one
is unreliable: then the first point of the segment with a better window is used, and until then a series is read again
with every point.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

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
MAX_POINTS_PER_RUN = 256  # bounds the memory of a run: lower layers keep their outputs at every step


class CarriedState(NamedTuple):
    """Network state of N series; ``remaining`` (N,): points that each may still read in its time segment.

    The state has read every point, except the newest one of a network with known-future covariates: their values may
    arrive later than the point.
    """

    state: NetworkState
    remaining: Ints


class Lengths(NamedTuple):
    """Points of a panel's N series: ``known`` before and ``at`` now, (N,) each; new series are at the end."""

    known: Ints
    at: Ints


def segment_length(spec: Spec, windows: int) -> int:
    """Return the length of a time segment in steps, if a state is carried over ``windows`` consecutive windows."""
    return max(1, (windows - 1) * spec.context)


def read(reader: Reader, engine: Engine, before: CarriedState | None, points: Lengths, windows: int) -> CarriedState:
    """Return the state after reading all ``points`` of ``reader.panel``; ``before`` has read those known before."""
    (known, at), deferred = points, _deferred_points(reader.spec)
    remaining, state = known - at, None
    if before is not None:
        state = before.state
        remaining[: len(before.remaining)] += before.remaining
    position, restarted = known - deferred, np.flatnonzero(remaining < 0)
    if len(restarted):
        segment = segment_length(reader.spec, windows)
        start, remaining[restarted] = _segment_starts(reader, restarted, points, segment)
        batch = reader.read(restarted, start, reader.spec.outputs)
        window = batch._replace(values=batch.values[:, : reader.spec.context - deferred])
        new = without_window(begin(reader.spec, engine, window))
        state = scatter(new if state is None else state, len(at), restarted, new)
        position[restarted] = start - deferred
    assert state is not None, "a panel has at least one series, and every new series was started"
    return CarriedState(_read_to(reader, engine, state, position, at - deferred), remaining)


def reach(spec: Spec, windows: int) -> int:
    """Return the number of newest points of a series that determine its forecasts."""
    return spec.context + (segment_length(spec, windows) - 1 if spec.carries else 0)


def predict(reader: Reader, engine: Engine, moments: tuple[Ints, Ints], horizon: int, windows: int) -> Prediction:
    """Predict ``horizon`` steps from the moments (series, at), as after reading all points before each of them."""
    (series, at), spec, panel = moments, reader.spec, reader.panel
    back = np.minimum(at, reach(spec, windows))
    part = panel.part(series, at - back, at + count_passes(spec, horizon) * spec.outputs)
    static = {name: np.repeat(panel.latest(name)[series], part.lengths) for name in spec.static_covariates}
    own = replace(reader, panel=replace(part, covariates={**part.covariates, **static}))
    return forecast(own, engine, read(own, engine, None, Lengths(np.zeros_like(back), back), windows), back, horizon)


def can_step(carried: CarriedState, steps: int) -> bool:
    """Return whether each series may read ``steps`` more points in its segment, without covariates."""
    return carried.state.batch.known.shape[2] == 0 and bool((carried.remaining >= steps).all())


def step(spec: Spec, engine: Engine, carried: CarriedState, values: Floats) -> CarriedState:
    """Return the state after new ``values`` (N, k) in data units, none missing; ``can_step`` must be true."""
    state = advance(spec, engine, carried.state, carried.state.batch.to_window(values))
    return CarriedState(without_window(state), carried.remaining - values.shape[1])


def forecast(reader: Reader, engine: Engine, carried: CarriedState, at: Ints, horizon: int) -> Prediction:
    """Predict ``horizon`` steps after the ``at`` (N,) points of ``reader.panel``; ``carried`` is not changed."""
    deferred = _deferred_points(reader.spec)
    points = _Points(np.arange(len(at)), at - deferred, deferred)
    steps = count_passes(reader.spec, horizon) * reader.spec.outputs
    state = _with_covariates(reader, carried.state, points, steps)
    if deferred:
        state = _advance(reader, engine, state, points)
    return forecast_from_state(reader.spec, engine, state, horizon)


def _deferred_points(spec: Spec) -> int:
    """Return the number of newest points that are read only for a forecast."""
    return 1 if spec.future_covariates else 0


def _segment_starts(reader: Reader, series: Ints, points: Lengths, segment: int) -> tuple[Ints, Ints]:
    """Return the points at which each of ``series`` (B,) begins in its time segment, and the points left in it.

    It begins at the first point of the segment whose window has a unit and at least half of its values. If there is
    none, it begins at the newest point with none left.
    """
    panel = reader.panel
    since_epoch = panel.freq.steps(np.full_like(panel.starts, EPOCH), panel.starts)[0][series]
    known, last = points.known[series], points.at[series]
    first = (since_epoch + last) // segment * segment - since_epoch
    left, half = first + segment - 1 - last, -(-reader.spec.context // 2)
    start = np.minimum(np.maximum(np.maximum(first, known), half), last)
    pending = np.flatnonzero((start < last) | (left > 0))
    while len(pending):
        batch = reader.read(series[pending], start[pending], 0)
        observed = (~np.isnan(batch.values)).sum(axis=1)
        usable = batch.scale.measured & (batch.unit > 0)
        pending = pending[(observed < half) | ~usable[:, 0]]
        left[pending[start[pending] == last[pending]]] = 0
        pending = pending[start[pending] < last[pending]]
        start[pending] += 1
    return start, left


class _Points(NamedTuple):
    """``size`` points from ``since`` (B,) on of each of ``series`` (B,)."""

    series: Ints
    since: Ints
    size: int


def _read_to(reader: Reader, engine: Engine, state: NetworkState, position: Ints, end: Ints) -> NetworkState:
    """Return ``state``, which has read ``position`` (N,) points, after reading up to ``end`` (N,)."""
    left = end - position
    while (most := int(left.max())) > 0:
        # All points at once if every series has the same number, else a power of two, so that there are few runs.
        ragged = len(left) > 1 and bool(((left != most) & (left > 0)).any())
        size = min(1 << (most.bit_length() - 1) if ragged else most, MAX_POINTS_PER_RUN)
        rows = np.flatnonzero(left >= size)
        points = _Points(rows, (end - left)[rows], size)
        part = state if len(rows) == len(left) else take_rows(state, rows)
        part = _advance(reader, engine, _with_covariates(reader, part, points, reader.spec.outputs), points)
        state = scatter(state, len(left), rows, without_window(part))
        left[rows] -= size
    return state


def _with_covariates(reader: Reader, state: NetworkState, points: _Points, ahead: int) -> NetworkState:
    """Return ``state`` with the covariates of the next ``points`` and of ``ahead`` steps beyond them."""
    series, since, size = points
    if state.batch.known.shape[2] == 0:
        return state
    known = reader.known(series, since + size, size, ahead)
    known[:, size:, : known.shape[2] - reader.spec.ahead_channels] = 0  # past covariates end with the points
    return state._replace(batch=state.batch._replace(known=known))


def _advance(reader: Reader, engine: Engine, state: NetworkState, points: _Points) -> NetworkState:
    """Return ``state`` after reading ``points``."""
    return advance(reader.spec, engine, state, state.batch.to_window(reader.future(*points)))
