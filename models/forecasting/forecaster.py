"""Forecaster: networks and their calibration; turns a panel into a forecast and knows nothing of where it came from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.data.calendar import MAX_TIME, parse_freq
from models.data.concat import known_ahead, stack_panels
from models.data.panel import Panel
from models.engines import Engine
from models.errors import Fault, Findings, InputError, ModelBroken
from models.evaluation.intervals import Calibration, Interval, Prediction
from models.forecasting.forecast import Forecast, Note
from models.forecasting.rollout import roll
from models.network.inputs import Reader, facts_in
from models.network.spec import Spec
from models.types import Floats, Ints, Weights

MAX_PREDICTED = 1e300
# Of a frequency's shortest step: business days over a weekend, long months.
MAX_STEP_RATIO, WEEK_DAYS = 1.5, 7.0  # days


class Member(NamedTuple):
    """One network of a forecaster: ``weights`` by name as ``models.training.fit.fit`` gives them.

    ``share``: how much its forecast counts beside those of the others.
    """

    spec: Spec
    weights: Weights
    share: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """A trained forecaster; one of several members says the mean of what they say, by their shares."""

    members: tuple[Member, ...]
    calibration: Calibration

    @property
    def spec(self) -> Spec:
        """The first member's: frequency, season and horizon are those of all."""
        return self.members[0].spec


class RunnableMember(NamedTuple):
    """A member with an engine that runs its network."""

    member: Member
    engine: Engine


def make_runnable(members: Sequence[Member], engine: Callable[[Spec, Weights], Engine]) -> tuple[RunnableMember, ...]:
    """The members, each with an engine of its own."""
    return tuple(RunnableMember(member, engine(member.spec, member.weights)) for member in members)


def predict(networks: Sequence[RunnableMember], panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
    """``horizon`` steps from the moments (series, at) of ``panel``: the mean of what the networks say, by their shares.

    Quantiles are averaged level by level, which keeps their shape (Lichtendahl et al., 2013, "Is It Better to Average
    Probabilities or Quantiles?"); one that says only points, says each of them at every level.
    """
    said = [
        roll(Reader(spec, facts_in(weights), panel), engine, series, at, horizon)
        for (spec, weights, _), engine in networks
    ]
    return combine(said, [network.member.share for network in networks])


def combine(said: Sequence[Prediction], shares: Sequence[float]) -> Prediction:
    """The mean of several predictions of the same windows, each counted by its share.

    Predictions whose quantiles are of different levels have none together.
    """
    if len(said) == 1:
        return said[0]
    mean = np.average([p.mean for p in said], axis=0, weights=shares)
    spread = np.average([p.spread for p in said], axis=0, weights=shares)
    levels = {tuple(p.levels) for p in said if p.quantiles is not None}
    if len(levels) != 1:
        return Prediction(mean, spread)
    (known,) = levels
    parts = [np.repeat(p.mean[..., None], len(known), axis=2) if p.quantiles is None else p.quantiles for p in said]
    return Prediction(mean, spread, np.average(parts, axis=0, weights=shares), known)


class ForecastInput(NamedTuple):
    """The next ``horizon`` steps of every series of ``panel``, with a central interval for each level (percent)."""

    panel: Panel
    horizon: int
    levels: Sequence[int]


def forecast(
    networks: Sequence[RunnableMember], calibration: Calibration, panel: Panel, horizon: int, levels: Sequence[int]
) -> Forecast:
    """The next ``horizon`` steps of every series, with a central interval for each level (percent).

    A series ends with its last observed value; rows after that hold what is known ahead.

    Raises:
        ModelBroken: the network gave numbers that are not finite.
        InputError: another frequency than the forecaster's, a series without history, a covariate that is missing or
            not known ahead, a level that the calibration cannot vouch for, timestamps beyond the calendar.
    """
    return forecast_together(networks, calibration, [ForecastInput(panel, horizon, levels)])[0]


def forecast_together(
    networks: Sequence[RunnableMember], calibration: Calibration, asks: Sequence[ForecastInput]
) -> list[Forecast]:
    """What ``forecast`` says of each of ``asks``, by one pass of the networks over all of their series.

    Panels with covariates go alone. What is wrong with one is raised for all: ask for each by itself then.

    Raises:
        ModelBroken, InputError: see ``forecast``.
    """
    specs, horizon = [network.member.spec for network in networks], max(ask.horizon for ask in asks)
    panel = stack_panels([ask.panel for ask in asks])
    check_request(specs, panel, horizon)
    at = panel.observed_lengths
    said = predict(networks, panel, np.arange(len(panel)), at, horizon)
    check_finite(said, specs[0].horizon)
    return split_forecast(asks, specs, panel, said, calibration)


def split_forecast(
    asks: Sequence[ForecastInput], specs: Sequence[Spec], panel: Panel, said: Prediction, calibration: Calibration
) -> list[Forecast]:
    """Return the rows and steps of each of ``asks`` from ``said``, the prediction for all of them."""
    starts = panel.freq.after(panel.starts, panel.observed_lengths)
    noted, trained = _series_notes(specs, panel, said.spread), specs[0].horizon
    bounds: dict[tuple[int, ...], Sequence[tuple[int, Interval]]] = {}
    forecasts, end = [], 0
    for ask in asks:
        rows, steps, levels = slice(end, end := end + len(ask.panel.ids)), slice(ask.horizon), tuple(ask.levels)
        if levels not in bounds:
            bounds[levels] = tuple(calibration.intervals(said, levels).items())
        own = said.part(rows, steps)
        notes: tuple[Note, ...] = ()
        if noted or ask.horizon > trained:
            own_notes = (note for i, note in noted if rows.start <= i < rows.stop)
            notes = (*_horizon_notes(specs, ask.horizon), *own_notes)
        forecasts.append(
            Forecast(
                ids=ask.panel.ids,
                freq=panel.freq,
                starts=starts[rows],
                mean=own.mean,
                intervals={level: Interval(lo[rows, steps], hi[rows, steps]) for level, (lo, hi) in bounds[levels]},
                notes=notes,
                utc=ask.panel.utc,
                prediction=own,
            )
        )
    return forecasts


def check_request(specs: Sequence[Spec], panel: Panel, horizon: int) -> None:
    """Refuse what the networks of ``specs`` cannot forecast.

    Raises:
        InputError: see ``forecast``.
    """
    if panel.freq != parse_freq(specs[0].freq):
        message = f"the history has frequency {panel.freq}, the model was trained on {specs[0].freq}"
        hint = "send history at the model's frequency, or train a model on this one"
        raise InputError([Fault(code="other_frequency", field="freq", message=message, hint=hint)])
    if horizon < 1:
        message = f"horizon is {horizon}"
        raise InputError([Fault(code="bad_field", field="horizon", message=message, hint="give 1 or more")])
    found, at = Findings(), panel.observed_lengths
    if any(spec.context > 0 for spec in specs):
        found.add(np.flatnonzero(at == 0).tolist(), lambda i: _no_history(panel, i))
    found.add(beyond_calendar(panel, at, horizon), lambda i: _too_late(panel, horizon, i))
    found.check()
    for spec in specs:
        check_covariates(spec, panel)
        known_ahead(panel, spec.future_covariates, at, horizon)


def check_finite(said: Prediction, trained: int) -> None:
    """Refuse what is no number: of the ``trained`` steps the network is to blame, beyond them who asked for so many.

    Raises:
        ModelBroken: the network gave NaN or infinity.
        InputError: ``horizon_too_long`` where the forecast, rolled on, leaves the range of numbers.
    """
    values = [said.mean[..., None], *([] if said.quantiles is None else [said.quantiles])]
    # Not of infinity alone: what an interval adds to the mean is to be a number too.
    sound = np.all([(np.abs(each) <= MAX_PREDICTED).all(axis=(0, 2)) for each in values], axis=0)
    if not sound[:trained].all():
        raise ModelBroken("the network gave NaN or infinity; move its alias to another version, or train it anew")
    if not sound.all():
        steps = int(sound.argmin())
        message = f"the forecast grows beyond all numbers after {steps} steps; the model was trained for {trained}"
        hint = f"ask for at most {steps}, better {trained}"
        raise InputError([Fault(code="horizon_too_long", field="horizon", message=message, hint=hint)])


def check_covariates(spec: Spec, panel: Panel) -> None:
    """Refuse a panel without the covariates that ``spec`` names, or with another kind of them.

    Raises:
        InputError: ``missing_covariate`` or ``other_covariate`` for each.
    """
    texts, faults = {name for name, _ in spec.categories}, []
    for role, names in spec.roles().items():
        for name in names:
            if name not in panel.covariates:
                message = f"there is no covariate '{name}'"
                there = ", ".join(panel.covariates) or "none"
                hint = f"the model reads it: send a column of that name (there are: {there})"
                faults.append(Fault(code="missing_covariate", field=role, message=message, hint=hint))
            elif (name in panel.categories) != (name in texts):
                kinds = ("text", "numbers") if name in panel.categories else ("numbers", "text")
                message = f"covariate '{name}' is {kinds[0]}, the model learned {kinds[1]}"
                hint = f"send it as {kinds[1]}, or train a model on it as it is"
                faults.append(Fault(code="other_covariate", field=role, message=message, hint=hint))
    if faults:
        raise InputError(faults)


def beyond_calendar(panel: Panel, at: Ints, horizon: int) -> list[int]:
    """The series whose forecast would end after the calendar does; only those near its end are worked out exactly."""
    days, left = (at + horizon - 1) * panel.freq.min_days, (MAX_TIME - panel.starts) / np.timedelta64(1, "D")
    near = np.flatnonzero(MAX_STEP_RATIO * days + WEEK_DAYS > left).tolist()
    return [i for i in near if days[i] > left[i] or panel.timestamp(i, int(at[i]) + horizon - 1) > MAX_TIME]


def _no_history(panel: Panel, i: int) -> Fault:
    message = "the series has no value"
    hint = "send some history, or ask a model of context 0, which goes by static covariates alone"
    return Fault(code="no_history", unique_id=panel.ids[i], field="y", message=message, hint=hint)


def _too_late(panel: Panel, horizon: int, i: int) -> Fault:
    message = f"{horizon} steps of {panel.freq} end after the year 2261"
    return Fault(code="beyond_calendar", unique_id=panel.ids[i], message=message, hint="ask for a shorter horizon")


def _horizon_notes(specs: Sequence[Spec], horizon: int) -> Iterator[Note]:
    trained = specs[0].horizon
    if horizon > trained:
        message = (
            f"the model was trained and calibrated for {trained} steps; those beyond are rolled forward, "
            "and their intervals are extrapolated"
        )
        yield Note(code="beyond_trained_horizon", message=message)


def _series_notes(specs: Sequence[Spec], panel: Panel, spread: Floats) -> list[tuple[int, Note]]:
    """What should be known of some series, each with the series' number."""
    context, lengths, missing = max(spec.context for spec in specs), panel.observed_lengths, panel.missing
    noted = []
    for i in np.flatnonzero(lengths < context).tolist():
        message = f"the series has {lengths[i]} points; the model reads up to {context}, with fewer it knows less"
        noted.append((i, Note(code="short_history", message=message, unique_id=panel.ids[i])))
    for i in np.flatnonzero(missing).tolist():
        message = f"{missing[i]} values are missing; they are left out, not filled in"
        noted.append((i, Note(code="missing_values", message=message, unique_id=panel.ids[i])))
    for i in np.flatnonzero(spread[:, 0] == 0).tolist():
        message = "the last values are constant; the forecast repeats them and the intervals have no width"
        noted.append((i, Note(code="constant_history", message=message, unique_id=panel.ids[i])))
    return noted
