"""Specs for those who name none: what a panel suggests."""

from collections.abc import Mapping
from typing import Any

from models.backtest import plan_for
from models.calendar import Freq, parse_freq
from models.errors import Fault, SpecError
from models.panel import Panel
from models.spec import Spec
from models.windows import newest_points

SEASONS_OF_CONTEXT = 3  # enough to tell a season from a trend; a longer context costs its length in time
HORIZONS_OF_CONTEXT = 2
LEAST_CONTEXT = 2
SHARE_OF_HISTORY = 0.4  # of the median series' taught part: the rest gives windows at different places


def default_horizon(freq: Freq) -> int:
    """One season, a quarter of it where that is more than a month of days, six steps where there is none."""
    if freq.season == 1:
        return 6
    return freq.season if freq.season <= 48 else max(1, freq.season // 4)


def suggest(panel: Panel, fields: Mapping[str, Any]) -> Spec:
    """The spec with ``fields`` as given and the rest suited to ``panel``.

    A horizon that is not given is halved until half the series are long enough for it and for its backtest.

    Raises:
        SpecError: a field that does not exist or cannot work, or another frequency than the panel's.
    """
    season = fields.get("season", panel.freq.season)
    horizon = fields.get("horizon", default_horizon(panel.freq))
    given = {"freq": str(panel.freq), "context": LEAST_CONTEXT, **fields, "season": season, "horizon": horizon}
    Spec.from_json(given)  # a field that cannot work is refused before it is used
    if "horizon" not in fields:
        while horizon > 1 and _room(panel, horizon, season) < given["context"]:
            horizon //= 2
        given["horizon"] = horizon
    if "context" not in fields:
        wanted = max(SEASONS_OF_CONTEXT * season, HORIZONS_OF_CONTEXT * horizon, 8)
        given["context"] = max(LEAST_CONTEXT, min(wanted, _room(panel, horizon, season)))
    spec = Spec.from_json(given)
    if parse_freq(spec.freq) != panel.freq:
        message = f"freq is {spec.freq}, the data set has {panel.freq}"
        hint = "leave freq out, or train on data of that frequency"
        raise SpecError([Fault(code="other_frequency", field="freq", message=message, hint=hint)])
    return spec


def _room(panel: Panel, horizon: int, season: int) -> int:
    """The longest context that leaves the median series windows to teach, to choose by, and to be scored on."""
    taught = panel.median_length - plan_for(panel, horizon, season).held_out
    return min(int(SHARE_OF_HISTORY * taught), taught - horizon - newest_points(taught, horizon))
