"""Log of served forecasts, kept for comparison with the actual values that arrive later."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.records import ForecastRecord
from app.store.db import insert_if_absent, now
from app.store.tables import Realised, ServedForecast


def add(session: Session, served: Sequence[ForecastRecord]) -> int:
    """Store forecasts, each once however often it was served; return the number of new ones.

    A shadow is stored only if the served forecast beside it is new, so that both are compared with the same values.
    """
    moment, new, count = now(session), set(), 0
    for one in sorted(served, key=lambda each: each.shadow):
        place = (one.dataset_id, one.series, one.start_us, one.horizon)
        if one.shadow and (one.beside, *place) not in new:
            continue
        values = asdict(one)
        seen = values.pop("revision")
        inserted = insert_if_absent(
            session, ServedForecast, **values, seen=seen, points=0, done=False, served_at=moment
        )
        if inserted is not None:
            new.add((one.version_id, *place))
            count += 1
    return count


def forget(session: Session, log_days: int, quality_days: int, max_rows: int) -> int:
    """Delete old rows and return their number.

    At most ``max_rows`` forecasts older than ``log_days`` and as many sums of errors older than ``quality_days``.
    """
    moment = now(session)
    old = select(ServedForecast.id).where(ServedForecast.served_at < moment - timedelta(days=log_days)).limit(max_rows)
    past = select(Realised.id).where(Realised.day < (moment - timedelta(days=quality_days)).date()).limit(max_rows)
    gone = session.scalars(delete(ServedForecast).where(ServedForecast.id.in_(old)).returning(ServedForecast.id)).all()
    sums = session.scalars(delete(Realised).where(Realised.id.in_(past)).returning(Realised.id)).all()
    return len(gone) + len(sums)
