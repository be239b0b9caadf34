"""Size of a forecast: its steps, its arithmetic, and the limits of one request."""

from app.forecasting.request_panel import Request
from app.serving.alias_state import ResolvedVersion
from app.serving.model_cache import LoadedModel
from app.settings import Settings
from models.data.panel import Panel
from models.errors import InputError
from models.forecasting.carried_state import reach
from models.forecasting.seasonal_naive import points_read


def horizon_of(request: Request, resolved: ResolvedVersion) -> int:
    """Return the number of steps asked for; by default those that the version was trained for."""
    return request.horizon or resolved.spec.horizon


def cost_gflop(settings: Settings, loaded: LoadedModel, series: int, horizon: int, levels: int) -> float:
    """Return the arithmetic of a forecast in 10^9 operations.

    Raises:
        InputError: the horizon, the numbers of the answer or the arithmetic exceed the limit of one request.
    """
    if horizon > settings.max_horizon:
        message = f"the horizon is {horizon if horizon < 10**15 else 'over 10^15'} steps"
        raise InputError.of("horizon_too_long", message, f"ask for at most {settings.max_horizon}", field="horizon")
    numbers = series * horizon * (1 + 2 * levels)
    if numbers > settings.max_forecast_points:
        message = f"the answer for {series} series of {horizon} steps with {levels} levels would have {numbers} numbers"
        hint = f"ask for at most {settings.max_forecast_points} at a time: fewer series, steps or levels"
        raise InputError.of("answer_too_large", message, hint, field="horizon")
    gflop = series * loaded.forecast_flop(horizon) / 1e9
    if gflop > settings.max_forecast_gflop:
        message = f"{series} series of {horizon} steps need {gflop:.0f} billion operations of this model"
        hint = f"ask for at most {settings.max_forecast_gflop} billion at a time: fewer series or steps"
        raise InputError.of("too_much_work", message, hint, field="horizon")
    return gflop


def trimmed(panel: Panel, loaded: LoadedModel) -> Panel:
    """Return ``panel`` without the old points that no forecast depends on, if most of its points are such."""
    members = [network.member for network in loaded.networks]
    # Two horizons more, from whose ends the model is tested on a series that is unlike its training data.
    reached = max(1, *[reach(member.spec, member.carry) + 2 * member.spec.horizon for member in members])
    if len(panel.y) <= 2 * reached * len(panel):
        return panel
    return panel.tail(max(reached, points_read([member.spec for member in members], panel)))
