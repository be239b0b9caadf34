"""Size of a forecast: its steps, its arithmetic, and the limits of one request."""

import numpy as np

from app.forecasting.request_panel import Request
from app.serving.alias_state import ResolvedVersion
from app.serving.model_cache import LoadedModel
from app.settings import Settings
from models.data.bounds import Bounds, check_bounds, find_broken, replace_bounds
from models.data.panel import Panel
from models.errors import InputError
from models.forecasting.bounding import limits_of
from models.forecasting.carried_state import reach
from models.forecasting.seasonal_naive import points_read
from models.network.spec import Spec


def horizon_of(request: Request, resolved: ResolvedVersion) -> int:
    """Return the number of steps asked for; by default those that the version was trained for."""
    return request.horizon or resolved.spec.horizon


def numbers_of(request: Request) -> int:
    """Return the numbers of the answer for each series and step: median, mean, intervals and quantiles."""
    return 2 + 2 * len(request.levels) + len(request.quantiles)


def bounds_of(request: Request, spec: Spec, panel: Panel) -> Bounds | None:
    """Return the bounds that ``request`` asks for in place of those of ``spec``; None: it asks for none.

    Raises:
        InputError: ``out_of_bounds`` for each series of ``panel``, the history, with a value out of them.
    """
    bounds = replace_bounds(spec.bounds, request.non_negative, request.bounds)
    if bounds is not None:
        check_bounds(panel, bounds, "non_negative" if request.bounds is None else "bounds")
    return bounds


def cost_gflop(settings: Settings, loaded: LoadedModel, series: int, horizon: int, numbers_each: int) -> float:
    """Return the arithmetic of a forecast in 10^9 operations; ``numbers_each``: those of ``numbers_of``.

    Raises:
        InputError: the horizon, the numbers of the answer or the arithmetic exceed the limit of one request.
    """
    if horizon > settings.max_horizon:
        message = f"the horizon is {horizon if horizon < 10**15 else 'over 10^15'} steps"
        raise InputError.of("horizon_too_long", message, f"ask for at most {settings.max_horizon}", field="horizon")
    numbers = series * horizon * numbers_each
    if numbers > settings.max_forecast_points:
        message = (
            f"the answer for {series} series of {horizon} steps with {numbers_each} numbers each would have {numbers}"
        )
        hint = f"ask for at most {settings.max_forecast_points} at a time: fewer series, steps, levels or quantiles"
        raise InputError.of("answer_too_large", message, hint, field="horizon")
    gflop = series * loaded.forecast_flop(horizon) / 1e9
    if gflop > settings.max_forecast_gflop:
        message = f"{series} series of {horizon} steps need {gflop:.0f} billion operations of this model"
        hint = f"ask for at most {settings.max_forecast_gflop} billion at a time: fewer series or steps"
        raise InputError.of("too_much_work", message, hint, field="horizon")
    return gflop


def trimmed(panel: Panel, loaded: LoadedModel) -> Panel:
    """Return ``panel`` without the old points that no forecast depends on, if these are most of its points.

    A panel with a value out of the model's bounds stays whole: each value decides whether its series is bounded.
    """
    members = [network.member for network in loaded.networks]
    # Two horizons more, from whose ends the model is tested on a series that is unlike its training data.
    reached = max(1, *[reach(member.spec, member.carry) + 2 * member.spec.horizon for member in members])
    if len(panel.y) <= 2 * reached * len(panel):
        return panel
    specs = [member.spec for member in members]
    if find_broken(panel, limits_of(specs), np.arange(len(panel)), panel.observed_lengths) is not None:
        return panel
    return panel.tail(max(reached, points_read(specs, panel)))
