"""Share of seasonal naive in a forecaster, chosen on the windows of its backtest.

A network that learned from too few points is worse than seasonal naive; one that learned enough is better than any
mixture. Between them a mean of both is best (Bates & Granger, "The Combination of Forecasts", 1969), and its share is a
single number, which many windows determine reliably.
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
MAX_WINDOWS = 2_000  # on which the share is chosen
TOLERANCE = 0.005  # relative: among shares with errors this close, the smallest one of seasonal naive is taken


def blend(members: Sequence[Member], origins: Origins, engine: Callable[[Spec, Weights], Engine]) -> tuple[Member, ...]:
    """Return ``members`` with shares that add up to one, with seasonal naive as another member if that helps.

    Its share minimises the mean MASE on ``origins``, which the members must not have been trained on. If the share is
    1, only seasonal naive is returned.

    Raises:
        ModelBroken: a member gave NaN or infinity.
    """
    rows, naive = origins.sample(MAX_WINDOWS), seasonal_naive_for(members[0].spec)
    network, baseline = (
        _median_forecasts(members, origins, rows, engine),
        _median_forecasts([naive], origins, rows, engine),
    )
    actuals = origins.actuals(rows)
    mases = [metrics.mase(actuals.actual, (1 - share) * network + share * baseline, actuals.scale) for share in SHARES]
    errors = np.array([float(np.nanmean(mase)) for mase in mases])
    # The smallest share whose error is close to the smallest error.
    close = max(float(errors.min()) * (1 + TOLERANCE), metrics.ROUNDING)
    share = float(SHARES[np.flatnonzero(errors <= close)[0]])
    if share == 1:
        return (naive,)
    total = sum(member.share for member in members)
    kept = tuple(member._replace(share=(1 - share) * member.share / total) for member in members)
    return (*kept, naive._replace(share=share)) if share > 0 else kept


def seasonal_naive_for(spec: Spec) -> Member:
    """Return seasonal naive as a member beside one of ``spec``; it has no weights.

    Its context of two seasons gives the unit of its intervals; a missing value is replaced from as far back as needed.
    """
    context = max(2, min(2 * spec.season, 10_000))
    same = {name: getattr(spec, name) for name in ("freq", "season", "horizon", "non_negative", "bounds")}
    naive = Spec(**same, context=context, strategy="seasonal_naive")
    return Member(naive, Facts.none().to_weights())


def _median_forecasts(
    members: Sequence[Member], origins: Origins, rows: Ints, engine: Callable[[Spec, Weights], Engine]
) -> Floats:
    """Return the median forecasts of the windows with the numbers ``rows``, (B, H)."""
    predict_all = partial(predict, make_runnable(members, engine))
    return np.concatenate([prediction.median for _, prediction in predict_windows(predict_all, origins, rows)])
