"""Realised quality of served forecasts: MASE beside that of the backtest, bias and coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.store import registry
from app.store.db import now
from app.store.tables import Realised, ServedForecast, Version
from models.evaluation.metrics import relative_error
from models.evaluation.realised import ErrorSums
from models.evaluation.significance import confidence

WINDOW_DAYS = 30
MAX_BLOCKS = 500  # the newest ones, enough for the test
OVERLAP = 2  # blocks: forecasts that begin in one block end in the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Quality of ``forecasts`` that a version served, over ``points`` actual values; None where it is undefined.

    ``mase`` is the realised error, ``backtest_mase`` the error of the backtest at the same steps, ``drift`` their
    ratio: above 1 the present is harder than the backtest was, with ``confidence`` (0 to 1). ``bias`` is the mean error
    in MASE's unit, above 0 if forecasts were too high; ``coverage`` the share of values within the served intervals of
    80 and 95 percent.
    """

    forecasts: int = 0
    points: int = 0
    mase: float | None = None
    backtest_mase: float | None = None
    drift: float | None = None
    confidence: float | None = None
    bias: float | None = None
    coverage: Mapping[int, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Errors of a challenger and of the served version on the same values.

    ``gain``: share by which the challenger's error is smaller; ``confidence``: that it is smaller, 0 to 1.
    """

    challenger: int
    champion: int
    points: int
    mase: float | None
    champion_mase: float | None
    gain: float | None
    confidence: float | None


def quality_of(session: Session, tenant_id: int, model: str, window_days: int = WINDOW_DAYS) -> Quality:
    """Return the quality of the champion's forecasts, from values that arrived in the last ``window_days``.

    Empty if the model has no champion.
    """
    champion = registry.champion(session, tenant_id, model)
    return Quality(coverage={}) if champion is None else of_version(session, champion, window_days)


def of_version(session: Session, version: Version, window_days: int) -> Quality:
    """Return the quality of the forecasts that ``version`` served."""
    served = _served(session, version, window_days)
    return _quality(_sums(session, served), _drifting(session, served))


def waiting(session: Session, version: Version) -> int:
    """Return how many logged forecasts of ``version`` wait for actual values."""
    own = (ServedForecast.version_id == version.id, ServedForecast.shadow.is_(False), ServedForecast.done.is_(False))
    return session.scalars(select(func.count()).select_from(ServedForecast).where(*own)).one()


def by_band(session: Session, version: Version, window_days: int) -> dict[int, Quality]:
    """Return the quality by band; a band is the steps from 2^band to below the next power of two."""
    served = _served(session, version, window_days)
    bands = session.scalars(select(Realised.band).where(*served).distinct().order_by(Realised.band)).all()
    return {band: _quality(_sums(session, [*served, Realised.band == band]), None) for band in bands}


def comparisons(session: Session, version: Version, window_days: int) -> list[Comparison]:
    """Compare ``version`` with the challengers that made shadow forecasts beside it."""
    shadows: Conditions = [*_since(session, window_days), Realised.beside == version.id, Realised.shadow.is_(True)]
    challengers = session.scalars(select(Realised.version_id).where(*shadows).distinct()).all()
    return [
        _compared(session, version, registry.version(session, version.tenant_id, other), window_days)
        for other in sorted(challengers)
    ]


def totals(session: Session, window_days: int) -> Quality:
    """Return the quality of all served forecasts of all tenants."""
    return _quality(_sums(session, [*_since(session, window_days), ~Realised.shadow]), None)


def by_version(session: Session, version_ids: Sequence[int], window_days: int) -> dict[int, Quality]:
    """Return the quality of the forecasts that each of these versions served; none for one without actual values."""
    names = ("forecasts", *ErrorSums._fields)
    columns = [func.sum(getattr(Realised, name)) for name in names]
    served = [*_since(session, window_days), Realised.version_id.in_(version_ids), ~Realised.shadow]
    rows = session.execute(select(Realised.version_id, *columns).where(*served).group_by(Realised.version_id))
    return {version_id: _quality((int(count), ErrorSums(*sums)), None) for version_id, count, *sums in rows}


Conditions = Sequence[ColumnElement[bool]]


def _since(session: Session, window_days: int) -> list[ColumnElement[bool]]:
    return [Realised.day > (now(session) - timedelta(days=window_days)).date()]


def _served(session: Session, version: Version, window_days: int) -> list[ColumnElement[bool]]:
    return [*_since(session, window_days), Realised.version_id == version.id, ~Realised.shadow]


def _sums(session: Session, where: Conditions) -> tuple[int, ErrorSums]:
    """Return the number of forecasts, and the sums of their errors."""
    columns = [func.coalesce(func.sum(getattr(Realised, name)), 0) for name in ("forecasts", *ErrorSums._fields)]
    forecasts, *sums = session.execute(select(*columns).where(*where)).one()
    return int(forecasts), ErrorSums(*sums)


def _quality(counted: tuple[int, ErrorSums], confidence_of_drift: float | None) -> Quality:
    forecasts, sums = counted
    covered = {80: (sums.covered_80, sums.judged_80), 95: (sums.covered_95, sums.judged_95)}
    return Quality(
        forecasts=forecasts,
        points=int(sums.points),
        mase=_share(sums.scaled, sums.points),
        backtest_mase=_share(sums.expected, sums.points) or None,
        drift=_share(sums.scaled, sums.expected),
        confidence=confidence_of_drift,
        bias=_share(sums.signed, sums.points),
        coverage={level: _share(*counts) for level, counts in covered.items()},
    )


def _drifting(session: Session, served: Conditions) -> float | None:
    """Return the confidence that errors are larger than in the backtest.

    Errors are summed by block, because neighbouring windows are correlated.
    """
    gains = (func.sum(Realised.scaled) - func.sum(Realised.expected)).label("gain")
    query = select(gains).where(*served, Realised.expected > 0).group_by(Realised.horizon, Realised.block)
    began = Realised.block * Realised.horizon  # in order of time: blocks of each horizon have numbers of their own
    found = session.scalars(query.order_by(began.desc(), Realised.horizon).limit(MAX_BLOCKS)).all()
    return confidence(np.array(found[::-1], dtype=np.float64), OVERLAP)


def _compared(session: Session, version: Version, other: Version, window_days: int) -> Comparison:
    since = _since(session, window_days)
    theirs: Conditions = [*since, Realised.version_id == version.id, ~Realised.shadow, Realised.beside == other.id]
    ours: Conditions = [
        *since,
        Realised.version_id == other.id,
        Realised.shadow.is_(True),
        Realised.beside == version.id,
    ]
    (_, champion), (_, challenger) = _sums(session, theirs), _sums(session, ours)
    mases = _share(champion.scaled, champion.points), _share(challenger.scaled, challenger.points)
    gains = _blocks(session, theirs), _blocks(session, ours)
    both = sorted(gains[0].keys() & gains[1].keys(), key=lambda one: (one[0] * one[1], one))[-MAX_BLOCKS:]
    paired = np.array([gains[0][block] - gains[1][block] for block in both], dtype=np.float64)
    return Comparison(
        challenger=other.number,
        champion=version.number,
        points=int(challenger.points),
        mase=mases[1],
        champion_mase=mases[0],
        gain=None if mases[0] is None or mases[1] is None else 1 - relative_error(mases[1], mases[0]),
        confidence=confidence(paired, OVERLAP),
    )


def _blocks(session: Session, where: Conditions) -> dict[tuple[int, int], float]:
    """Return the sum of errors by block and horizon."""
    query = select(Realised.block, Realised.horizon, func.sum(Realised.scaled)).where(*where)
    rows = session.execute(query.group_by(Realised.block, Realised.horizon))
    return {(block, horizon): float(scaled) for block, horizon, scaled in rows}


def _share(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None
