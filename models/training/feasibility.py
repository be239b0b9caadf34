"""Checks of a training job before it is queued: whether its members can be trained and scored on a panel.

They raise the errors that training would end with later, and train nothing. Importing this module imports no Keras.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np

from models.data.bounds import check_bounds
from models.data.calendar import parse_freq
from models.data.panel import Panel
from models.data.windows import split
from models.errors import Fault, InputError, SpecError, excerpt
from models.evaluation.origins import origins_of, plan_for
from models.forecasting.forecaster import Forecaster, check_covariates
from models.network.build import weight_shapes
from models.network.covariate_roles import ROLES
from models.network.sizes import check_training
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.training.member_plan import MemberPlan
from models.training.recipes import fields_again, suggest
from models.types import JsonMapping

MIN_SHARE_KNOWN = 0.5  # of all points: a network learns only the mean of a future covariate that is known more rarely


def check(panel: Panel, members: Sequence[MemberPlan], searches: bool = False) -> None:
    """Refuse members that cannot be trained or scored on ``panel``.

    ``searches``: a search for the best spec precedes the training. It validates on the newest part of the data before
    the backtest, so these data are checked in the same way.

    Raises:
        SpecError, InputError: the first thing that training would fail on.
    """
    first, longest = members[0].spec, int(panel.observed_lengths.max(initial=0))
    plan = plan_for(panel, first.horizon, first.season)
    origins_of(panel, plan, first.season)
    before_backtest = panel.cut(plan.held_out)
    for member in members:
        spec, training = member.spec, member.training
        if spec.context > longest:
            message = f"a context of {spec.context} is longer than every series; the longest has {longest} points"
            hint = f"use a context of at most {longest}, or leave it out"
            raise SpecError.of("too_short", message, hint, field="context")
        check_training(spec, training)
        check_covariates(spec, panel)
        check_bounds(panel, spec.limits, "non_negative" if spec.bounds is None else "bounds")
        _check_transform(spec, panel)
        if faults := list(_useless_covariates(spec, before_backtest)):
            raise InputError(faults)
        split(before_backtest, training.min_points(spec.context), spec.horizon, training.patience > 0)
    if searches:
        check(before_backtest, members)


def _check_transform(spec: Spec, panel: Panel) -> None:
    """Refuse a transform of positive values on data that are not all above 0.

    Raises:
        SpecError: ``not_positive`` with the first series that has such a value.
    """
    if spec.transform == "none" or not (low := np.flatnonzero(panel.y <= 0)).size:
        return
    first = panel.ids[int(np.searchsorted(panel.indptr, low[0], side="right")) - 1]
    message = f"the transform {spec.transform} needs values above 0; series {excerpt(first)} has {panel.y[low[0]]:g}"
    hint = "leave transform out, or add a constant to the values before they are sent"
    raise SpecError.of("not_positive", message, hint, field="transform")


def _useless_covariates(spec: Spec, panel: Panel) -> Iterator[Fault]:
    """Yield a fault for each covariate that is constant in ``panel``, or is mostly not known ahead."""
    for role, names in spec.roles().items():
        for name in names:
            values = panel.covariates[name] if ROLES[role].varies else panel.latest(name)
            known = values[~np.isnan(values)]
            if len(known) == 0 or (known == known[0]).all():
                reason = "has no value" if len(known) == 0 else "is the same everywhere"
                message = f"the covariate '{name}' {reason} before the backtest, so that nothing can be learned from it"
                yield Fault(code="constant_covariate", field=role, message=message, hint="leave it out")
            elif ROLES[role].varies and ROLES[role].known_ahead and len(known) < MIN_SHARE_KNOWN * len(values):
                message = f"the covariate '{name}' is known at only {len(known)} of {len(values)} points"
                hint = "a future covariate must have a value at each step: fill it in, or use it in past_covariates"
                yield Fault(code="unknown_future", field=role, message=message, hint=hint)


def warm_start_specs(panel: Panel, changes: JsonMapping, parent: Forecaster, name: str) -> list[Spec]:
    """Return the specs with which training continues the members of ``parent`` that have weights.

    Args:
        panel: the data to train on.
        changes: fields of the spec, in place of those of each member.
        parent: the forecaster whose weights are the initial ones.
        name: of the parent, for the error messages.

    Raises:
        SpecError: another frequency than the panel's, no member with weights, or weights of other shapes.
    """
    learned = [member.spec for member in parent.members if STRATEGIES[member.spec.strategy].learns]
    if parse_freq(parent.spec.freq) != panel.freq:
        message = f"{name} has frequency {parent.spec.freq}, the data set {panel.freq}"
        hint = "start from a model of that frequency"
        raise SpecError.of("other_frequency", message, hint, field="warm_start_from")
    if not learned:
        message = f"{name} is {parent.spec.strategy} alone, which has no weights to go on from"
        raise SpecError.of("bad_field", message, "train without it", field="warm_start_from")
    specs = [suggest(panel, {**fields_again(own, panel), **changes}) for own in learned]
    for spec, own in zip(specs, learned, strict=True):
        if weight_shapes(spec) != weight_shapes(own):
            field = _misfit(spec, own)
            message = (
                f"{field} is {excerpt(getattr(spec, field))}, and {excerpt(getattr(own, field))} in {name}, "
                "whose weights do not fit"
            )
            hint = "leave it out, or train without warm_start_from"
            raise SpecError.of("other_weights", message, hint, field=field)
    return specs


def _misfit(spec: Spec, parent: Spec) -> str:
    """Return the first field of ``spec`` for which weights of the shapes of ``parent`` do not fit."""
    differing = [f.name for f in fields(Spec) if getattr(spec, f.name) != getattr(parent, f.name)]
    for name in differing:
        try:
            if weight_shapes(replace(parent, **{name: getattr(spec, name)})) != weight_shapes(parent):
                return name
        except SpecError:  # this field is valid only together with another that differs
            return name
    return differing[0]
