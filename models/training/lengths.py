"""Suggested lengths of a spec: its season, horizon, context and segment, with the reason for each number."""

from collections.abc import Sequence

import numpy as np

from models.data.calendar import Freq
from models.data.panel import Panel
from models.evaluation.origins import plan_for
from models.network.constraints import MAX_UNROLLED_STEPS
from models.network.fields import FieldValues
from models.network.strategies import STRATEGIES

SEASONS_OF_CONTEXT = 3  # enough to distinguish a season from a trend
HORIZONS_OF_CONTEXT = 3
DAYS_OF_CONTEXT = 8  # for steps shorter than a day: a week and a day identify the weekday
MIN_CONTEXT = 8
MAX_CONTEXT = 1_000
# Contexts as long as the training part of the median series gave higher errors on panels of short series of different
# lengths, and so did contexts that no series can fill.
SHARE_TAUGHT = 0.25  # of the series whose training part holds the whole context
MAX_STEPS = 8  # of the cell; with more, training takes longer and forecasts do not improve
MAX_POINTS = 64  # read one by one, unless a season is longer: each takes as long to train as a whole segment


def default_horizon(freq: Freq) -> int:
    """Return one season, a quarter of it if it is longer than 48 steps, six steps if there is no season."""
    if freq.season == 1:
        return 6
    return freq.season if freq.season <= 48 else max(1, freq.season // 4)


def suggest_lengths(panel: Panel, chosen: FieldValues, given: FieldValues) -> dict[str, int]:
    """Return ``season``, ``horizon``, ``context`` and ``segment`` suited to ``panel``; those ``given`` stay the same.

    A horizon that is not given is halved until half of the series are long enough for it and for its backtest.

    Args:
        panel: the data to train on.
        chosen: the fields of the spec that are known so far, those of the recipe included.
        given: the fields that the user named. A strategy among them that is defined by its steps gets segments of one
            point, and one that decodes segments gets at least two of them.
    """
    # The season of the frequency, if half the series hold it twice.
    season = given.get("season", panel.freq.season if panel.median_length >= 2 * panel.freq.season else 1)
    horizon = given["horizon"] if "horizon" in given else _horizon(panel, chosen, season)
    strategy = STRATEGIES[chosen.get("strategy", "direct")]
    by_season, named = chosen.get("encoder") == "convlstm", "strategy" in given
    by_point = by_season or chosen.get("state") == "carried" or (named and strategy.by_point)
    context = chosen.get("context", _context(panel, season, horizon, named and strategy.by_point))
    segment = given.get("segment", 1)
    if "segment" not in given and not by_point and context > 0:
        divided = ([context] if "context" in chosen else []) + ([horizon] if strategy.decodes else [])
        longest = max(1, horizon // 2) if named and strategy.decodes else context
        segment = _segment(season, context, longest, divided, chosen.get("segment", 0))
    if "context" not in chosen:
        multiple = season if by_season else segment
        context = max(context // multiple, 1) * multiple
    return {"season": season, "horizon": horizon, "context": context, "segment": segment}


def _horizon(panel: Panel, chosen: FieldValues, season: int) -> int:
    """Return the default horizon, halved until a backtest leaves twice as many points, in whole segments if decoded."""
    horizon = default_horizon(panel.freq)
    while horizon > 1 and panel.median_length - plan_for(panel, horizon, season).held_out < 2 * horizon:
        horizon //= 2
    segment = chosen.get("segment", 1) if STRATEGIES[chosen.get("strategy", "direct")].decodes else 1
    return int(max(horizon // segment, 1) * segment)


def _context(panel: Panel, season: int, horizon: int, by_point: bool) -> int:
    """Return a suitable context that the data can teach; windows with fewer points are masked.

    It is at most as long as the training part of the longest quarter of the series. It need not be shorter than
    ``MIN_CONTEXT`` if the whole data, on which a forecaster is trained in the end, have windows of that length.
    """
    points = max(SEASONS_OF_CONTEXT * season, HORIZONS_OF_CONTEXT * horizon, panel.freq.season + horizon, MIN_CONTEXT)
    if panel.freq.min_days < 1 and season > 1:
        points = max(points, int(DAYS_OF_CONTEXT / panel.freq.min_days))
    if by_point:
        points = min(points, max(MAX_POINTS // season, 1) * season)
    held_out = plan_for(panel, horizon, season).held_out
    long = int(np.quantile(panel.observed_lengths, 1 - SHARE_TAUGHT, method="lower")) if len(panel) else 0
    longest = max(long - held_out - 1, min(MIN_CONTEXT, panel.median_length - horizon))
    return max(2, min(points, MAX_CONTEXT, longest))


def _segment(season: int, context: int, longest: int, divided: Sequence[int], preferred: int) -> int:
    """Return ``preferred`` if it divides all of ``divided``, else a segment that makes few steps of the context.

    That is the smallest divisor or multiple of the season that makes 2 to ``MAX_STEPS`` segments and divides all of
    ``divided``; if no season does, any divisor is used, and if there is none, the segment that makes fewest steps.
    """
    parts = [size for size in range(1, season) if season % size == 0]
    sizes: list[int] = [*parts, *range(season, context + season, season), *range(1, context + 1)]
    fitting: list[int] = [size for size in sizes if size <= longest and all(length % size == 0 for length in divided)]
    if preferred in fitting:
        return preferred
    several = [size for size in fitting if 1 < context // size <= MAX_UNROLLED_STEPS]
    few = [size for size in several if context // size <= MAX_STEPS]
    return few[0] if few else max(several or fitting)
