"""Forecaster: networks and their calibration, which turn a panel into a forecast."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from models.data.bounds import UNBOUNDED, bound_rows
from models.data.calendar import MAX_TIME, parse_freq
from models.data.concat import known_ahead, stack_panels
from models.data.masks import has_all, has_any
from models.data.panel import Panel
from models.engines import Engine, NoNetwork
from models.errors import Fault, Findings, InputError, ModelBroken
from models.evaluation.intervals import Calibration, Prediction
from models.forecasting import carried_state
from models.forecasting.bounding import limits_of
from models.forecasting.combination import combine, join_rows
from models.forecasting.fallback import replace_unlike
from models.forecasting.forecast import Forecast
from models.forecasting.rollout import roll
from models.forecasting.split import ForecastInput, split_forecast
from models.network.inputs import Reader, facts_in
from models.network.losses import LOSSES
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Ints, Weights

MAX_PREDICTED = 1e300
# Upper bound of a forecast's duration: 1.5 times the frequency's shortest step (business days, long months) + a week.
MAX_STEP_RATIO, WEEK_DAYS = 1.5, 7.0
DAY_US, MAX_TIME_US = 86_400e6, int(MAX_TIME.astype(np.int64))


class Member(NamedTuple):
    """One network of a forecaster: ``weights`` by name as ``models.training.fit.fit`` returns them.

    ``share``: weight of its forecast in the mean of all members. ``carry``: consecutive windows over which its state is
    carried, if it carries one.
    """

    spec: Spec
    weights: Weights
    share: float = 1.0
    carry: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """A trained forecaster; its forecast is the mean of its members' forecasts, weighted by their shares."""

    members: tuple[Member, ...]
    calibration: Calibration

    @property
    def spec(self) -> Spec:
        """Return the spec of the first member: frequency, season and horizon are the same for all."""
        return self.members[0].spec


class RunnableMember(NamedTuple):
    """Member with an engine that runs its network."""

    member: Member
    engine: Engine


def make_runnable(members: Sequence[Member], engine: Callable[[Spec, Weights], Engine]) -> tuple[RunnableMember, ...]:
    """Return the members, each with its own engine."""
    return tuple(
        RunnableMember(
            member, engine(member.spec, member.weights) if STRATEGIES[member.spec.strategy].learns else NoNetwork()
        )
        for member in members
    )


def predict(networks: Sequence[RunnableMember], panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
    """Predict ``horizon`` steps from the moments (series, at) of ``panel``: the mean of the networks, by their shares.

    Quantiles are averaged level by level, which keeps their shape (Lichtendahl et al., 2013, "Is It Better to Average
    Probabilities or Quantiles?"); for a network without quantiles the point forecast counts at every level.

    For a series without history only the networks of context 0 count, if there are any.
    """
    cold, able = at == 0, [network for network in networks if network.member.spec.context == 0]
    if able and len(able) < len(networks) and has_any(cold):
        combined = _predict_cold(networks, able, (panel, series, at), horizon)
    else:
        predictions = [_predict_one(network, panel, series, at, horizon) for network in networks]
        combined = combine(predictions, [network.member.share for network in networks])
    limits = limits_of([network.member.spec for network in networks])
    return combined if limits == UNBOUNDED else combined._replace(bounds=bound_rows(panel, limits, series, at))


def _predict_one(network: RunnableMember, panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
    """Predict by one network; one that carries its state has read the points that a session would have."""
    (spec, weights, _, carry), engine = network
    reader = Reader(spec, facts_in(weights), panel)
    if spec.carries and carry > 1:
        return carried_state.predict(reader, engine, (series, at), horizon, carry)
    return roll(reader, engine, series, at, horizon)


def _predict_cold(
    networks: Sequence[RunnableMember], able: Sequence[RunnableMember], moments: tuple[Panel, Ints, Ints], horizon: int
) -> Prediction:
    """Predict by ``able`` the moments (panel, series, at) without history, and by all ``networks`` the others."""
    panel, series, at = moments
    cold, others = np.flatnonzero(at == 0), np.flatnonzero(at > 0)
    parts = [(cold, predict(able, panel, series[cold], at[cold], horizon))]
    if len(others):
        parts.append((others, predict(networks, panel, series[others], at[others], horizon)))
    levels = {n.member.spec.quantiles for n in networks if LOSSES[n.member.spec.loss].has_quantiles}
    return join_rows(parts, levels)


def predict_corrected(
    networks: Sequence[RunnableMember], calibration: Calibration, panel: Panel, series: Ints, at: Ints, horizon: int
) -> Prediction:
    """Predict as ``predict``, with the corrected mean that a forecast has."""
    return calibration.correct(predict(networks, panel, series, at, horizon))


def forecast(
    networks: Sequence[RunnableMember], calibration: Calibration, panel: Panel, horizon: int, levels: Sequence[int]
) -> Forecast:
    """Forecast the next ``horizon`` steps of every series, with a central interval for each level (percent).

    A series ends with its last observed value; later rows hold known future covariates.

    Raises:
        ModelBroken: the network gave NaN or infinity.
        InputError: another frequency than the forecaster's, a series without history, a covariate that is missing or
            not known ahead, a level too high for the calibration, timestamps beyond the calendar.
    """
    return forecast_together(networks, calibration, [ForecastInput(panel, horizon, levels)])[0]


def forecast_together(
    networks: Sequence[RunnableMember], calibration: Calibration, inputs: Sequence[ForecastInput]
) -> list[Forecast]:
    """Return one forecast for each of ``inputs``, with one pass of the networks over all series.

    For series unlike those of the training it may be seasonal naive's (see ``models.forecasting.fallback``).
    The forecasts equal those of ``forecast``. A panel with covariates must be the only input. An invalid input raises
    an error for all of them; the caller can then call ``forecast`` for each.

    Raises:
        ModelBroken, InputError: as for ``forecast``; or a quantile that is no bound of an interval, or a value out of
            the bounds of its input.
    """
    specs, horizon = [network.member.spec for network in networks], max(one.horizon for one in inputs)
    panel = stack_panels([one.panel for one in inputs])
    check_request(specs, panel, horizon)
    at = panel.observed_lengths
    prediction = predict(networks, panel, np.arange(len(panel)), at, horizon)
    check_finite(prediction, specs[0].horizon)
    forecasts = split_forecast(inputs, specs, panel, prediction, calibration)
    return replace_unlike(forecasts, panel, [network.member[:2] for network in networks], partial(predict, networks))


def check_request(specs: Sequence[Spec], panel: Panel, horizon: int) -> None:
    """Refuse a panel and horizon that the networks of ``specs`` cannot forecast.

    Raises:
        InputError: as for ``forecast``.
    """
    if panel.freq != parse_freq(specs[0].freq):
        message = f"the history has frequency {panel.freq}, the model was trained on {specs[0].freq}"
        hint = "send history at the model's frequency, or train a model on this one"
        raise InputError.of("other_frequency", message, hint, field="freq")
    if horizon < 1:
        raise InputError.of("bad_field", f"horizon is {horizon}", "give 1 or more", field="horizon")
    found, at = Findings(), panel.observed_lengths

    def no_history(i: int) -> Fault:
        hint = "send some history, or use a model of context 0, which reads static covariates only"
        return Fault(code="no_history", unique_id=panel.ids[i], field="y", message="the series has no value", hint=hint)

    def too_late(i: int) -> Fault:
        message, hint = f"{horizon} steps of {panel.freq} end after the year 2261", "ask for a shorter horizon"
        return Fault(code="beyond_calendar", unique_id=panel.ids[i], message=message, hint=hint)

    if all(spec.context > 0 for spec in specs):
        found.add((at == 0).nonzero()[0].tolist(), no_history)
    found.add(beyond_calendar(panel, at, horizon), too_late)
    found.check()
    for spec in specs:
        check_covariates(spec, panel)
        known_ahead(panel, spec.future_covariates, at, horizon)


def check_finite(prediction: Prediction, trained: int) -> None:
    """Refuse NaN and infinity: within the ``trained`` steps the network is broken, beyond them the horizon is too long.

    Raises:
        ModelBroken: the network gave NaN or infinity.
        InputError: ``horizon_too_long`` if the forecast overflows beyond the trained steps.
    """
    values = [prediction.median] if prediction.mean is prediction.median else [prediction.median, prediction.mean]
    if prediction.quantiles is not None:
        values.append(prediction.quantiles)
    # Below infinity, so that the bounds of the intervals are finite too.
    good = [np.abs(array) <= MAX_PREDICTED for array in values]
    if all(map(has_all, good)):
        return
    finite = np.logical_and.reduce([one.reshape(*one.shape[:2], -1).all(axis=(0, 2)) for one in good])
    if not finite[:trained].all():
        raise ModelBroken("the network gave NaN or infinity; move its alias to another version, or train it again")
    steps = int(finite.argmin())
    message = f"the forecast overflows after {steps} steps; the model was trained for {trained}"
    hint = f"ask for at most {steps}, better {trained}"
    raise InputError.of("horizon_too_long", message, hint, field="horizon")


def check_covariates(spec: Spec, panel: Panel) -> None:
    """Refuse a panel without the covariates of ``spec``, or with other types of them.

    Raises:
        InputError: ``missing_covariate`` or ``other_covariate`` for each.
    """
    categorical, faults = {name for name, _ in spec.categories}, []
    for role, names in spec.roles().items():
        for name in names:
            if name not in panel.covariates:
                message = f"there is no covariate '{name}'"
                there = ", ".join(panel.covariates) or "none"
                hint = f"the model reads it: send a column of that name (there are: {there})"
                faults.append(Fault(code="missing_covariate", field=role, message=message, hint=hint))
            elif (name in panel.categories) != (name in categorical):
                kinds = ("text", "numbers") if name in panel.categories else ("numbers", "text")
                message = f"covariate '{name}' is {kinds[0]}, the model learned {kinds[1]}"
                hint = f"send it as {kinds[1]}, or train a model on it as it is"
                faults.append(Fault(code="other_covariate", field=role, message=message, hint=hint))
    if faults:
        raise InputError(faults)


def beyond_calendar(panel: Panel, at: Ints, horizon: int) -> list[int]:
    """Return the series whose forecast would end after the calendar; only those near its end are computed exactly."""
    starts_us, min_days = panel.starts.astype(np.int64), panel.freq.min_days
    most_days = (int(at.max(initial=0)) + horizon - 1) * min_days
    if MAX_STEP_RATIO * most_days + WEEK_DAYS <= (MAX_TIME_US - int(starts_us.max(initial=0))) / DAY_US:
        return []
    days, left = (at + horizon - 1) * min_days, (MAX_TIME_US - starts_us) / DAY_US
    near = (MAX_STEP_RATIO * days + WEEK_DAYS > left).nonzero()[0].tolist()
    return [i for i in near if days[i] > left[i] or panel.timestamp(i, int(at[i]) + horizon - 1) > MAX_TIME]
