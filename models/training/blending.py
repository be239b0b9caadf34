"""How much of seasonal naive to mix into a forecaster: what its backtest says.

A network that learned too little of too few points is worse than seasonal naive; one that learned much is better than
any mixture. Between them lies a mean of both (Bates & Granger, "The Combination of Forecasts", 1969), and its share is
one number that many windows vouch for.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from models.engines import Engine
from models.evaluation import metrics
from models.evaluation.backtest import predict_windows
from models.evaluation.origins import Origins
from models.forecasting.forecaster import Member, make_runnable, predict
from models.network.inputs import Facts
from models.network.spec import Spec
from models.types import Floats, Ints, Weights

SHARES = np.linspace(0, 1, 21)  # of seasonal naive
MAX_WINDOWS = 2_000  # to choose the share by
TOLERANCE = 0.005  # of shares whose errors differ by less than this, the network gets the largest


def blend(members: Sequence[Member], origins: Origins, engine: Callable[[Spec, Weights], Engine]) -> tuple[Member, ...]:
    """``members`` with shares that add up to one, and seasonal naive among them where it helps.

    Its share is that of the least mean MASE on ``origins``, which the members must not have been taught on. It may be
    all of it: then seasonal naive is all that is given back.

    Raises:
        ModelBroken: a member gave numbers that are not finite.
    """
    rows, naive = origins.sample(MAX_WINDOWS), seasonal_naive_for(members[0].spec)
    ours, theirs = _mean_forecasts(members, origins, rows, engine), _mean_forecasts([naive], origins, rows, engine)
    actuals = origins.actuals(rows)
    mases = [metrics.mase(actuals.actual, (1 - share) * ours + share * theirs, actuals.scale) for share in SHARES]
    share = _best_share([float(np.nanmean(mase)) for mase in mases if np.isfinite(mase).any()])
    if share == 1:
        return (naive,)
    total = sum(member.share for member in members)
    kept = tuple(member._replace(share=(1 - share) * member.share / total) for member in members)
    return (*kept, naive._replace(share=share)) if share > 0 else kept


def seasonal_naive_for(spec: Spec) -> Member:
    """Seasonal naive as a member beside one of ``spec``: two seasons, lest a value of one is missing; no weights."""
    context = max(2, min(2 * spec.season, 10_000))
    naive = Spec(freq=spec.freq, season=spec.season, context=context, horizon=spec.horizon, strategy="seasonal_naive")
    return Member(naive, Facts.none().to_weights())


def _mean_forecasts(
    members: Sequence[Member], origins: Origins, rows: Ints, engine: Callable[[Spec, Weights], Engine]
) -> Floats:
    """The mean forecasts of the windows of number ``rows``, (B, H)."""
    says = partial(predict, make_runnable(members, engine))
    return np.concatenate([prediction.mean for _, prediction in predict_windows(says, origins, rows)])


def _best_share(errors: list[float]) -> float:
    """The smallest share that is about as good as the best; 0 where the series do not vary and nothing can be said."""
    return float(SHARES[np.flatnonzero(np.array(errors) <= min(errors) * (1 + TOLERANCE))[0]]) if errors else 0.0
