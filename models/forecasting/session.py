"""Sessions: what is kept of series from one request to the next, so that a new point costs one step of the cell.

However the points came, one by one or all at once, a session says the same; ``models.forecasting.carried_state`` has
the reason. A session
can be thrown away at any time: begun again with the newest ``reach`` points, it goes on as if nothing had happened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.panel import Panel
from models.data.validation import fault_at
from models.errors import Fault, Findings, InputError
from models.evaluation.intervals import Calibration, Prediction
from models.forecasting import carried_state
from models.forecasting.append import append_rows, contiguous_values, extend, keep_covariates, newest_points
from models.forecasting.forecast import Forecast, Note
from models.forecasting.forecaster import (
    ForecastInput,
    RunnableMember,
    beyond_calendar,
    check_covariates,
    check_finite,
    check_request,
    combine,
    split_forecast,
)
from models.forecasting.rollout import roll, take_rows
from models.network.inputs import Reader, facts_in
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Floats, Ints

# Measured with tracemalloc: a session of one series takes 5 to 7 kB, most of it for what is around its 18 arrays.
OBJECT_BYTES, ID_BYTES = 250, 64
MAX_STEPS = carried_state.MAX_POINTS_PER_RUN


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """N series: in ``tail`` as many of their newest points as may be read again, ``at`` (N,), and what is known ahead.

    ``states``: what each network keeps, None of one that carries no state. ``windows``: over how many windows in a row
    a state is carried; ``restarted``: how many series were new to the call that made this value.
    """

    tail: Panel
    at: Ints
    states: tuple[carried_state.CarriedState | None, ...]
    windows: int
    restarted: int
    state_bytes: int  # of ``states`` and the names: the same from point to point

    def __len__(self) -> int:
        return len(self.tail)

    @property
    def size_bytes(self) -> int:
        """The memory that this takes, roughly; it does not grow with the points that were read."""
        tail = (self.tail.y, self.tail.starts, self.tail.indptr, self.at, *self.tail.covariates.values())
        return self.state_bytes + sum(OBJECT_BYTES + array.nbytes for array in tail)

    def select(self, ids: Sequence[str]) -> "Session":
        """Some of the series alone, in the order named.

        Raises:
            InputError: ``unknown_series`` for each that is not there.
        """
        if tuple(ids) == self.tail.ids:
            return self
        tail, where = self.tail.select(ids), {name: i for i, name in enumerate(self.tail.ids)}
        rows = np.array([where[name] for name in ids], dtype=np.int64)
        kept = take_rows(self.states, rows)
        return replace(self, tail=tail, at=self.at[rows], states=kept, state_bytes=_state_bytes(kept, tail))


def begin(networks: Sequence[RunnableMember], panel: Panel, windows: int) -> Session:
    """A session of the series of ``panel``, read up to their last values.

    Args:
        networks: all of them carry a state, but for those that learn nothing.
        panel: the whole history, or at least its newest ``reach`` points, which is the same.
        windows: over how many windows in a row a state is carried, as in training (``Training.carry``). With 1
            each point is read in a window of its own, and a session predicts what
            ``models.forecasting.forecaster.forecast`` predicts.

    Raises:
        InputError: ``no_state`` where a network carries none; and see ``models.forecasting.forecaster.check_request``.
    """
    specs = [network.member.spec for network in networks]
    check_carries(specs)
    check_request(specs, panel, 1)
    return _read(networks, keep_covariates(panel, _covariate_names(specs)), None, windows)


def append(networks: Sequence[RunnableMember], session: Session, rows: Panel) -> Session:
    """``session`` after ``rows`` were read too, which costs one step of the cell for each new point.

    Rows up to a series' last value may come again, and count for nothing. A series that is new is begun.


    Raises:
        InputError: see ``models.forecasting.append.append_rows``; a covariate is missing, or a static one has changed.
    """
    specs = [network.member.spec for network in networks]
    if rows.covariates:
        rows = keep_covariates(rows, _covariate_names(specs))
    values = contiguous_values(session.tail, rows)
    if values is not None and _can_step(session, values):
        return _step(networks, session, values)
    for spec in specs if session.tail.covariates else ():
        check_covariates(spec, _with_empty_categories(rows, session.tail))
    panel = append_rows(session.tail, rows)
    if len(panel) > len(session):
        check_request(specs, panel.select(panel.ids[len(session) :]), 1)
    return _read(networks, panel, session, session.windows)


def _can_step(session: Session, values: Floats) -> bool:
    """Whether ``values`` (N, k) are a few that follow at once, none missing, and all networks go on where they are."""
    steps = values.shape[1]
    if steps > MAX_STEPS or np.isnan(values).any() or (session.at * len(session) != len(session.tail.y)).any():
        return False
    return all(kept is None or carried_state.can_step(kept, steps) for kept in session.states)


def _step(networks: Sequence[RunnableMember], session: Session, values: Floats) -> Session:
    """What ``_read`` gives of such ``values``, in a third of the time."""
    kept = tuple(
        None if one is None else carried_state.step(network.member.spec, network.engine, one, values)
        for network, one in zip(networks, session.states, strict=True)
    )
    longer, at = extend(session.tail, values), session.at + values.shape[1]
    return Session(*_trim(networks, longer, at), kept, session.windows, 0, session.state_bytes)


def predict(networks: Sequence[RunnableMember], session: Session, horizon: int) -> Prediction:
    """``horizon`` steps after the last value of every series; ``session`` stays as it is."""
    series, at, said = np.arange(len(session)), session.at, []
    for ((spec, weights, _), engine), kept in zip(networks, session.states, strict=True):
        reader = Reader(spec, facts_in(weights), session.tail)
        if kept is None:
            said.append(roll(reader, engine, series, at, horizon))
        else:
            said.append(carried_state.forecast(reader, engine, kept, at, horizon))
    return combine(said, [network.member.share for network in networks])


def forecast_session(
    networks: Sequence[RunnableMember], calibration: Calibration, session: Session, horizon: int, levels: Sequence[int]
) -> Forecast:
    """The next ``horizon`` steps of every series, as ``models.forecasting.forecaster.forecast`` gives them.

    Where the newest call began series, a note says how many.

    Raises:
        ModelBroken, InputError: see ``models.forecasting.forecaster.forecast``.
    """
    specs = [network.member.spec for network in networks]
    if horizon < 1 or session.tail.covariates or beyond_calendar(session.tail, session.at, horizon):
        check_request(specs, session.tail, horizon)  # all else was looked at when the points came
    said = predict(networks, session, horizon)
    check_finite(said, specs[0].horizon)
    (made,) = split_forecast([ForecastInput(session.tail, horizon, levels)], specs, session.tail, said, calibration)
    return replace(made, notes=(*_notes(specs, session), *made.notes))


def _notes(specs: Sequence[Spec], session: Session) -> Iterator[Note]:
    if session.restarted:
        message = (
            f"the session began anew with {session.restarted} of its {len(session)} series, from the history at hand; "
            f"it says what it would have said before if that holds the newest {reach(specs, session.windows)} points"
        )
        yield Note(code="session_begun", message=message)


def reach(specs: Sequence[Spec], windows: int) -> int:
    """So many newest points of a series decide what a session says of it."""
    return max(
        spec.context + (carried_state.segment_length(spec, windows) - 1 if spec.carries else 0) for spec in specs
    )


def check_carries(specs: Sequence[Spec]) -> None:
    """Refuse networks of which nothing can be kept.

    Raises:
        InputError: ``no_state``.
    """
    learning = [spec for spec in specs if STRATEGIES[spec.strategy].learns]
    if not learning or not all(spec.carries for spec in learning):
        message = "the model keeps no state from one point to the next"
        hint = "leave the session out, or train a model whose spec has state carried"
        raise InputError([fault_at("no_state", message, hint, field="session")])


def check_enough(specs: Sequence[Spec], panel: Panel) -> None:
    """Refuse history to begin with of which nobody knows that it is whole, if it does not even hold a window.

    Raises:
        InputError: ``unknown_session`` for each series with fewer points than the networks read.
    """
    context, lengths = max(spec.context for spec in specs), panel.observed_lengths
    hint = f"send its whole history again, at least {context} points; with fewer, forecast without a session"

    def fault(i: int) -> Fault:
        message = f"no points of this series are kept under the session's name, and {lengths[i]} cannot begin one"
        return fault_at("unknown_session", message, hint, unique_id=panel.ids[i], field="session")

    found = Findings()
    found.add(np.flatnonzero(lengths < context).tolist(), fault)
    found.check()


def _read(networks: Sequence[RunnableMember], panel: Panel, before: Session | None, windows: int) -> Session:
    """The session that has read ``panel``: the tail of ``before``, and what came after it."""
    was, at = np.zeros(len(panel), dtype=np.int64), panel.observed_lengths
    known: Sequence[carried_state.CarriedState | None] = [None] * len(networks)
    if before is not None:
        known, was[: len(before)] = before.states, before.at
        _check_static_unchanged(panel, was[: len(before)], _static_names(networks))
    kept = []
    for ((spec, weights, _), engine), one in zip(networks, known, strict=True):
        reader = Reader(spec, facts_in(weights), panel)
        kept.append(
            carried_state.read(reader, engine, one, carried_state.Lengths(was, at), windows) if spec.carries else None
        )
    begun = len(panel) - (0 if before is None else len(before))
    return Session(*_trim(networks, panel, at), tuple(kept), windows, begun, _state_bytes(kept, panel))


def _state_bytes(kept: Sequence[carried_state.CarriedState | None], panel: Panel) -> int:
    arrays = sum(OBJECT_BYTES + array.nbytes for array in _arrays(tuple(kept)))
    return arrays + sum(ID_BYTES + len(name) for name in panel.ids)


def _trim(networks: Sequence[RunnableMember], panel: Panel, at: Ints) -> tuple[Panel, Ints]:
    """Of ``panel``, with ``at`` points up to the last value, the tail that is kept."""
    context = max(network.member.spec.context for network in networks)
    if not panel.covariates and len(panel.y) <= 2 * context * len(panel):  # not with every point: it takes a while
        return panel, at
    panel = newest_points(panel, context, _static_names(networks))
    return panel, panel.observed_lengths


def _static_names(networks: Sequence[RunnableMember]) -> set[str]:
    return {name for network in networks for name in network.member.spec.static_covariates}


def _check_static_unchanged(panel: Panel, was: Ints, static: set[str]) -> None:
    """Refuse a static covariate that is not what it ``was`` when the points before were read: they are read with it."""
    faults = []
    for name in sorted(static):
        old, new = panel.covariates[name][panel.indptr[: len(was)] + was - 1], panel.latest(name)[: len(was)]
        message, hint = "this static covariate is not what it was", "begin another session with the whole history"
        changed = np.flatnonzero((old != new) & ~np.isnan(new))
        faults += [fault_at("other_value", message, hint, unique_id=panel.ids[i], field=name) for i in changed]
    if faults:
        raise InputError(faults)


def _covariate_names(specs: Sequence[Spec]) -> set[str]:
    """The covariates that are read."""
    return {n for spec in specs for n in spec.covariates}


def _with_empty_categories(rows: Panel, tail: Panel) -> Panel:
    """``rows`` whose columns without a value count as text where they were text before."""
    empty = [name for name in tail.categories if name in rows.covariates and np.isnan(rows.covariates[name]).all()]
    return replace(rows, categories={**rows.categories, **{name: tail.categories[name] for name in empty}})


def _arrays(values: Any) -> Iterator[NDArray[Any]]:
    """The arrays in tuples and dicts."""
    if isinstance(values, np.ndarray):
        yield values
    elif isinstance(values, tuple | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _arrays(value)
