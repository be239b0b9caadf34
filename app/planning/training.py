"""A training job as it was asked for becomes an order: the data settle every field, what cannot work is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from app.planning.training_payload import Auto, Order, Wanted, WarmStart
from app.schemas import TrainRequest
from models.data.calendar import parse_freq
from models.data.panel import Panel
from models.data.windows import split
from models.errors import Fault, InputError, SpecError, excerpt
from models.evaluation.origins import origins_of, plan_for
from models.evaluation.promotion import Policy
from models.forecasting.forecaster import Forecaster, check_covariates
from models.network.build import weight_shapes
from models.network.sizes import check_training
from models.network.spec import Spec, Training
from models.network.spec_fields import ROLES
from models.network.strategies import STRATEGIES
from models.training.recipes import RECIPES, suggest, suggest_training

SHARED = ("freq", "season", "horizon")  # what all members of a forecaster have in common
MAX_UNKNOWN = 0.5  # of the points: of what is known ahead less often, nothing is learned but its mean


class Parent(NamedTuple):
    """The version that training goes on from."""

    where: WarmStart
    forecaster: Forecaster


def settled(request: TrainRequest, panel: Panel, parent: Parent | None) -> Order:
    """The order of ``request`` on the data ``panel``.

    Raises:
        SpecError, InputError: a field that cannot work, alone, with another, with the data or with the ``parent``.
    """
    if request.recipe not in RECIPES:
        message = f"no recipe {excerpt(request.recipe)}"
        raise _refusal("bad_field", "recipe", message, f"use one of {', '.join(RECIPES)}")
    if "freq" in request.spec:
        raise _refusal("bad_field", "freq", "the frequency is that of the data set", "leave it out")
    if parent is not None:
        members = _following(request, panel, parent)
    else:
        members = [_member(request, panel, changes) for changes in request.ensemble or [{}]]
    known = _check(panel, members)
    if request.auto is not None:  # which validates on the newest part of what is known before the backtest
        _check(known, members)
    first = members[0].spec
    fixed = {**request.spec, "season": first.season, "horizon": first.horizon}
    return Order(
        members=tuple(members),
        promote=request.promote,
        gate=Policy(**request.gate.model_dump()),
        warm_start=None if parent is None else parent.where,
        auto=None if request.auto is None else Auto(request.auto.budget_s, fixed),
        baselines=tuple(dict.fromkeys(request.baselines)),
        refit=request.refit,
    )


def retaught(order: Order, members: Sequence[Mapping[str, Any]] | None, panel: Panel) -> Order:
    """``order`` once more on the data ``panel``; ``members``: what was made of it, where that was searched for.

    The values of covariates that are text are those of ``panel``.

    Raises:
        SpecError, InputError: it cannot work any more.
    """
    before = [Wanted(Spec.from_json(each["spec"]), Training.from_json(each["training"])) for each in members or []]
    wanted = [
        Wanted(suggest(panel, {name: v for name, v in spec.to_json().items() if name != "categories"}), training)
        for spec, training in before or order.members
    ]
    _check(panel, wanted)
    return replace(order, members=tuple(wanted), auto=None, warm_start=None, register=True)


def _member(request: TrainRequest, panel: Panel, changes: Mapping[str, Any]) -> Wanted:
    """The member that has ``changes``, fields of spec and of training, on top of the request's own."""
    known = {field.name: kind for kind in (Spec, Training) for field in fields(kind)}
    for name in changes:
        if name not in known:
            hint = f"the fields are {', '.join(name for name in known if name not in SHARED)}"
            raise _refusal("unknown_field", "ensemble", f"no field {excerpt(name)}", hint)
        if name in SHARED:
            raise _refusal("bad_field", "ensemble", f"all members have the same {name}", "give it in 'spec'")
    own = {kind: {name: v for name, v in changes.items() if known[name] is kind} for kind in (Spec, Training)}
    spec = suggest(panel, {**request.spec, **own[Spec]}, request.recipe)
    return Wanted(spec, suggest_training(panel, spec, {**request.training, **own[Training]}, request.recipe))


def _following(request: TrainRequest, panel: Panel, parent: Parent) -> list[Wanted]:
    """The members of ``parent`` that learned, each with the request's fields in place of its own."""
    name, theirs = parent.where.name, parent.forecaster.spec
    learned = [m.spec for m in parent.forecaster.members if STRATEGIES[m.spec.strategy].learns]
    if parse_freq(theirs.freq) != panel.freq:
        message = f"{name} has frequency {theirs.freq}, the data set {panel.freq}"
        raise _refusal("other_frequency", "warm_start_from", message, "start from a model of that frequency")
    if not learned:
        message = f"{name} is {theirs.strategy} alone, which has no weights to go on from"
        raise _refusal("bad_field", "warm_start_from", message, "train without it")
    specs = [suggest(panel, {**own.to_json(), **request.spec}) for own in learned]
    for spec, own in zip(specs, learned, strict=True):
        if weight_shapes(spec) != weight_shapes(own):
            field = _misfit(spec, own)
            message = (
                f"{field} is {excerpt(getattr(spec, field))}, and {excerpt(getattr(own, field))} in {name}, "
                "whose weights do not fit"
            )
            raise _refusal("other_weights", field, message, "leave it out, or train without warm_start_from")
    return [Wanted(spec, suggest_training(panel, spec, request.training, request.recipe)) for spec in specs]


def _misfit(spec: Spec, theirs: Spec) -> str:
    """The first field by which the weights of ``theirs`` do not fit ``spec``."""
    differing = [f.name for f in fields(Spec) if getattr(spec, f.name) != getattr(theirs, f.name)]
    for name in differing:
        try:
            if weight_shapes(replace(theirs, **{name: getattr(spec, name)})) != weight_shapes(theirs):
                return name
        except SpecError:  # this field needs another with it
            return name
    return differing[0]


def _check(panel: Panel, members: Sequence[Wanted]) -> Panel:
    """Do what the worker will do first: better refused now than failed later. What is known before the backtest.

    Raises:
        SpecError, InputError: for the first thing that would fail.
    """
    first, longest = members[0].spec, int(panel.observed_lengths.max(initial=0))
    plan = plan_for(panel, first.horizon, first.season)
    origins_of(panel, plan, first.season)
    known = panel.cut(plan.held_out)
    for spec, training in members:
        if spec.context > longest:
            message = f"a context of {spec.context} is longer than every series; the longest has {longest} points"
            raise _refusal("too_short", "context", message, f"use a context of at most {longest}, or leave it out")
        check_training(spec, training)
        check_covariates(spec, panel)
        faults = list(_idle_covariates(spec, known))
        if faults:
            raise InputError(faults)
        split(known, training.least(spec.context), spec.horizon, training.patience > 0)
    return known


def _idle_covariates(spec: Spec, known: Panel) -> Iterator[Fault]:
    """The covariates from which nothing can be learned, or which are mostly not known ahead."""
    for role, names in spec.roles().items():
        for name in names:
            values = known.covariates[name] if ROLES[role].varies else known.latest(name)
            seen = values[~np.isnan(values)]
            if len(seen) == 0 or (seen == seen[0]).all():
                what = "has no value" if len(seen) == 0 else "is the same everywhere"
                message = f"the covariate '{name}' {what} before the backtest, so that nothing can be learned of it"
                yield Fault(code="constant_covariate", field=role, message=message, hint="leave it out")
            elif ROLES[role].varies and ROLES[role].known_ahead and len(seen) < MAX_UNKNOWN * len(values):
                message = f"the covariate '{name}' is known at only {len(seen)} of {len(values)} points"
                hint = "what is known ahead must have a value at each step: fill it in, or use it in past_covariates"
                yield Fault(code="unknown_future", field=role, message=message, hint=hint)


def _refusal(code: str, field: str, message: str, hint: str) -> SpecError:
    return SpecError([Fault(code=code, field=field, message=message, hint=hint)])
