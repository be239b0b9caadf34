"""The seasonal naive forecast as a member: the baseline of that name on the whole history, in data units.

It has no network. Only the unit of its intervals is that of a window of the spec.
"""

from collections.abc import Sequence

import numpy as np

from models.data.panel import Panel
from models.data.windows import histories, take
from models.evaluation import baselines
from models.evaluation.prediction import Basis, Prediction
from models.network.inputs import Reader
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Floats, Ints


def predict_seasonal_naive(reader: Reader, series: Ints, at: Ints, horizon: int) -> Prediction:
    """Predict ``horizon`` steps from the moments (series, at), to the digit as the baseline of a backtest does."""
    forecast = repeat_season(reader.panel, series, at, horizon, reader.spec.season)
    batch = reader.read(series, at, 0)
    return Prediction.of_points(forecast, batch.unit, Basis(batch.change, batch.scale.spread, batch.scale.measured))


def repeat_season(panel: Panel, series: Ints, at: Ints, horizon: int, season: int) -> Floats:
    """Return ``baselines.seasonal_naive`` of the values before the moments (series, at), (B, horizon).

    Only rows with a gap in their last season read more of the history than that.
    """
    newest = take(panel.y, panel, series, at - season, season)
    forecast = baselines.seasonal_naive(newest, horizon, season)
    gaps = np.flatnonzero(np.isnan(newest).any(axis=1) & (at > season))
    if len(gaps):
        for rows, past in histories(panel, series[gaps], at[gaps]):
            forecast[gaps[rows]] = baselines.seasonal_naive(past, horizon, season)
    return forecast


def points_read(specs: Sequence[Spec], panel: Panel) -> int:
    """Return the number of newest points of each series of ``panel`` that forecasts by ``specs`` depend on.

    It is the longest context, and more if a value of the last season is missing that seasonal naive, as one of
    ``specs``, replaces by an older one.
    """
    seasons = {spec.season for spec in specs if not STRATEGIES[spec.strategy].learns}
    return max([*(spec.context for spec in specs), *(_reach(panel, season) for season in seasons)])


def _reach(panel: Panel, season: int) -> int:
    """Return the length, in points, of the whole seasons that hold the newest value of each phase of every series."""
    at = panel.observed_lengths
    newest = take(panel.y, panel, np.arange(len(panel)), at - season, season)
    gaps, most = np.flatnonzero(np.isnan(newest).any(axis=1) & (at > season)), 1
    for _, past in histories(panel, gaps, at[gaps]) if len(gaps) else ():
        known = ~np.isnan(past[:, ::-1])
        phases = np.pad(known, ((0, 0), (0, -known.shape[1] % season))).reshape(len(known), -1, season)
        most = max(most, 1 + int(phases.argmax(axis=1).max()))  # 0 for a phase without any value
    return most * season
