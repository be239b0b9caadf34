"""Sessions: recurrent states kept between requests, so that a new point costs one step of the network.

Forecasts do not depend on whether the points arrived one by one or all at once; ``models.forecasting.carried_state``
gives the reason. A session can be discarded at any time: started again with the newest ``reach`` points, it gives the
same forecasts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.bounds import bound_rows
from models.data.panel import Panel
from models.data.validation import fault_at
from models.errors import Fault, Findings, InputError
from models.evaluation.intervals import Calibration, Prediction
from models.forecasting import carried_state
from models.forecasting.append import append_rows, contiguous_values, extend, keep_covariates, newest_points
from models.forecasting.bounding import limits_of
from models.forecasting.combination import combine
from models.forecasting.forecast import Forecast, Note
from models.forecasting.forecaster import (
    RunnableMember,
    beyond_calendar,
    check_covariates,
    check_finite,
    check_request,
)
from models.forecasting.rollout import roll, take_rows
from models.forecasting.seasonal_naive import points_read
from models.forecasting.split import ForecastInput, split_forecast
from models.network.inputs import Reader, facts_in
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Floats, Ints

# Measured with tracemalloc: a session of one series takes 5 to 7 kB, most of it overhead of its 18 arrays.
OBJECT_BYTES, ID_BYTES = 250, 64
MAX_STEPS = carried_state.MAX_POINTS_PER_RUN


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """N series: ``tail`` holds their newest points, ``at`` (N,) of them up to the last value, and future covariates.

    ``states``: the carried state of each network, None for one without. ``windows``: consecutive windows over which a
    state is carried; ``restarted``: number of series that the last call started.
    """

    tail: Panel
    at: Ints
    states: tuple[carried_state.CarriedState | None, ...]
    windows: int
    restarted: int
    state_bytes: int  # of ``states`` and the ids: constant while no series is added

    def __len__(self) -> int:
        return len(self.tail)

    @property
    def size_bytes(self) -> int:
        """Return the approximate memory of the session; it does not grow with the number of points read."""
        tail = (self.tail.y, self.tail.starts, self.tail.indptr, self.at, *self.tail.covariates.values())
        return self.state_bytes + sum(OBJECT_BYTES + array.nbytes for array in tail)

    def can_step(self, values: Floats) -> bool:
        """Return whether ``values`` (N, k) are few, none missing, and within the time segment of every network."""
        steps = values.shape[1]
        if steps > MAX_STEPS or np.isnan(values).any() or (self.at * len(self) != len(self.tail.y)).any():
            return False
        return all(carried is None or carried_state.can_step(carried, steps) for carried in self.states)

    def select(self, ids: Sequence[str]) -> "Session":
        """Return the series ``ids``, in their order.

        Raises:
            InputError: ``unknown_series`` for each that the session does not have.
        """
        if tuple(ids) == self.tail.ids:
            return self
        tail, where = self.tail.select(ids), {name: i for i, name in enumerate(self.tail.ids)}
        rows = np.array([where[name] for name in ids], dtype=np.int64)
        kept = take_rows(self.states, rows)
        return replace(self, tail=tail, at=self.at[rows], states=kept, state_bytes=_state_bytes(kept, tail))


def begin(networks: Sequence[RunnableMember], panel: Panel, windows: int) -> Session:
    """Return a session of the series of ``panel``, read up to their last values.

    Args:
        networks: all carry a state, except those that learn nothing.
        panel: the whole history, or at least its newest ``reach`` points, which give the same.
        windows: consecutive windows over which a state is carried, as in training (``Training.carry``). With that of
            the members (``Member.carry``) a session predicts the same as ``models.forecasting.forecaster.forecast``.

    Raises:
        InputError: ``no_state`` if a network carries none; or as for ``models.forecasting.forecaster.check_request``.
    """
    specs = [network.member.spec for network in networks]
    check_carries(specs)
    check_request(specs, panel, 1)
    return _read(networks, keep_covariates(panel, _covariate_names(specs)), None, windows)


def append(networks: Sequence[RunnableMember], session: Session, rows: Panel) -> Session:
    """Return ``session`` after reading ``rows`` too, at the cost of one step of the network for each new point.

    Rows up to a series' last value may be repeated and are ignored. New series are started.

    Raises:
        InputError: as for ``models.forecasting.append.append_rows``; a covariate is missing, or a static one changed.
    """
    specs = [network.member.spec for network in networks]
    if rows.covariates:
        rows = keep_covariates(rows, _covariate_names(specs))
    values = contiguous_values(session.tail, rows)
    if values is not None and session.can_step(values):
        # Gives what _read gives, in a third of the time.
        states = tuple(
            None if carried is None else carried_state.step(network.member.spec, network.engine, carried, values)
            for network, carried in zip(networks, session.states, strict=True)
        )
        longer = _trim(networks, extend(session.tail, values), session.at + values.shape[1])
        return Session(*longer, states, session.windows, 0, session.state_bytes)
    if session.tail.covariates:
        # Columns without a value have the type that they had before.
        empty = [n for n in session.tail.categories if n in rows.covariates and np.isnan(rows.covariates[n]).all()]
        typed = replace(rows, categories={**rows.categories, **{n: session.tail.categories[n] for n in empty}})
        for spec in specs:
            check_covariates(spec, typed)
    panel = append_rows(session.tail, rows)
    if len(panel) > len(session):
        check_request(specs, panel.select(panel.ids[len(session) :]), 1)
    return _read(networks, panel, session, session.windows)


def predict(networks: Sequence[RunnableMember], session: Session, horizon: int) -> Prediction:
    """Predict ``horizon`` steps after the last value of every series; ``session`` is not changed."""
    series, at, predictions = np.arange(len(session)), session.at, []
    for ((spec, weights, *_), engine), carried in zip(networks, session.states, strict=True):
        reader = Reader(spec, facts_in(weights), session.tail)
        if carried is None:
            predictions.append(roll(reader, engine, series, at, horizon))
        else:
            predictions.append(carried_state.forecast(reader, engine, carried, at, horizon))
    specs = [network.member.spec for network in networks]
    points = max(spec.context for spec in specs)  # a session may hold older ones: no forecast depends on them
    combined = combine(predictions, [network.member.share for network in networks])
    return combined._replace(bounds=bound_rows(session.tail, limits_of(specs), series, at, points))


def forecast_session(
    networks: Sequence[RunnableMember], calibration: Calibration, session: Session, horizon: int, levels: Sequence[int]
) -> Forecast:
    """Forecast the next ``horizon`` steps of every series, as ``models.forecasting.forecaster.forecast``.

    Raises:
        ModelBroken, InputError: as for ``models.forecasting.forecaster.forecast``.
    """
    return answer_session(networks, calibration, session, ForecastInput(session.tail, horizon, levels))


def answer_session(
    networks: Sequence[RunnableMember], calibration: Calibration, session: Session, ask: ForecastInput
) -> Forecast:
    """Forecast every series with the parts and bounds of ``ask``, whose panel is the tail of ``session``.

    If the newest call restarted series, a note gives their number.

    Raises:
        ModelBroken, InputError: as for ``models.forecasting.forecaster.forecast``.
    """
    specs, horizon = [network.member.spec for network in networks], ask.horizon
    if horizon < 1 or session.tail.covariates or beyond_calendar(session.tail, session.at, horizon):
        check_request(specs, session.tail, horizon)  # everything else was checked when the points were read
    prediction = predict(networks, session, horizon)
    check_finite(prediction, specs[0].horizon)
    (forecast,) = split_forecast([ask], specs, session.tail, prediction, calibration)
    if not session.restarted:
        return forecast
    message = (
        f"the session started {session.restarted} of its {len(session)} series from the history given; its forecasts "
        f"continue earlier ones if that holds the newest {reach(specs, session.windows)} points"
    )
    return replace(forecast, notes=(Note(code="session_begun", message=message), *forecast.notes))


def reach(specs: Sequence[Spec], windows: int) -> int:
    """Return the number of newest points of a series that determine a session's forecasts."""
    return max(carried_state.reach(spec, windows) for spec in specs)


def check_carries(specs: Sequence[Spec]) -> None:
    """Refuse networks without a carried state.

    Raises:
        InputError: ``no_state``.
    """
    learning = [spec for spec in specs if STRATEGIES[spec.strategy].learns]
    if not learning or not all(spec.carries for spec in learning):
        message = "the model carries no state from one point to the next"
        hint = "leave the session out, or train a model with the spec field state: carried"
        raise InputError([fault_at("no_state", message, hint, field="session")])


def check_enough(specs: Sequence[Spec], panel: Panel) -> None:
    """Refuse a possibly incomplete history to begin with, if it is shorter than one window.

    Raises:
        InputError: ``unknown_session`` for each series with fewer points than the networks read.
    """
    context, lengths = max(spec.context for spec in specs), panel.observed_lengths
    hint = f"send its whole history again, at least {context} points; with fewer, forecast without a session"

    def fault(i: int) -> Fault:
        message = f"the session has no points of this series, and {lengths[i]} are too few to begin it"
        return fault_at("unknown_session", message, hint, unique_id=panel.ids[i], field="session")

    found = Findings()
    found.add(np.flatnonzero(lengths < context).tolist(), fault)
    found.check()


def _read(networks: Sequence[RunnableMember], panel: Panel, before: Session | None, windows: int) -> Session:
    """Return the session that has read ``panel``: the tail of ``before`` and the later points."""
    known, at = np.zeros(len(panel), dtype=np.int64), panel.observed_lengths
    states: Sequence[carried_state.CarriedState | None] = [None] * len(networks)
    if before is not None:
        states, known[: len(before)] = before.states, before.at
        _check_static_unchanged(panel, known[: len(before)], _static_names(networks))
    new_states = []
    for ((spec, weights, *_), engine), carried in zip(networks, states, strict=True):
        reader, points = Reader(spec, facts_in(weights), panel), carried_state.Lengths(known, at)
        new_states.append(carried_state.read(reader, engine, carried, points, windows) if spec.carries else None)
    restarted = len(panel) - (0 if before is None else len(before))
    size_bytes = _state_bytes(new_states, panel)
    return Session(*_trim(networks, panel, at), tuple(new_states), windows, restarted, size_bytes)


def _state_bytes(kept: Sequence[carried_state.CarriedState | None], panel: Panel) -> int:
    arrays = sum(OBJECT_BYTES + array.nbytes for array in _arrays(tuple(kept)))
    return arrays + sum(ID_BYTES + len(name) for name in panel.ids)


def _trim(networks: Sequence[RunnableMember], panel: Panel, at: Ints) -> tuple[Panel, Ints]:
    """Return the part of ``panel`` that a session keeps, and its points up to the last value; ``at`` is that of all."""
    specs = [network.member.spec for network in networks]
    context = max(spec.context for spec in specs)
    if not panel.covariates and len(panel.y) <= 2 * context * len(panel):  # not at every point, because it is slow
        return panel, at
    panel = newest_points(panel, points_read(specs, panel), _static_names(networks))
    return panel, panel.observed_lengths


def _static_names(networks: Sequence[RunnableMember]) -> set[str]:
    return {name for network in networks for name in network.member.spec.static_covariates}


def _check_static_unchanged(panel: Panel, known: Ints, static: set[str]) -> None:
    """Refuse a static covariate with another value than at ``known`` points, because the state was computed with it."""
    faults = []
    for name in sorted(static):
        old, new = panel.covariates[name][panel.indptr[: len(known)] + known - 1], panel.latest(name)[: len(known)]
        message, hint = "this static covariate has changed", "begin another session with the whole history"
        changed = np.flatnonzero((old != new) & ~np.isnan(new))
        faults += [fault_at("other_value", message, hint, unique_id=panel.ids[i], field=name) for i in changed]
    if faults:
        raise InputError(faults)


def _covariate_names(specs: Sequence[Spec]) -> set[str]:
    """Return the covariates that the networks read."""
    return {n for spec in specs for n in spec.covariates}


def _arrays(values: Any) -> Iterator[NDArray[Any]]:
    """Yield the arrays in nested tuples and dicts."""
    if isinstance(values, np.ndarray):
        yield values
    elif isinstance(values, tuple | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _arrays(value)
