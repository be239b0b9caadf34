"""Adaptive intervals: what each version's learned from what came, kept from one value to the next."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.db import insert_if_absent, now
from app.store.tables import AdaptedIntervals, Version
from models.evaluation.adaptive_intervals import Adaptation, adapt, initial_adaptation
from models.evaluation.intervals import Calibration, Prediction
from models.types import Floats

MIN_MOMENTS = 10  # the first steps are large: what a version learned from fewer moments may be far off


def learn(
    session: Session, version: Version, calibration: Calibration, moments: Iterable[tuple[Prediction, Floats]]
) -> None:
    """Let the intervals of ``version`` learn from what was said and what came, moment by moment.

    Another version of the model begins anew: its calibration is of its own backtest.
    """
    row = _row(session, version)
    state = Adaptation.from_json(row.state)
    for said, actual in moments:
        state = adapt(state, calibration, said, actual)
    if state.moments == row.moments:
        return
    row.state, row.moments = state.to_json(), state.moments
    row.stretch, row.changed_at = state.scales.tolist(), now(session)
    session.flush()


def stretches(session: Session, version_ids: Sequence[int]) -> dict[int, list[float]]:
    """By how much the intervals of each version are widened, by level from 1 to 99 %; those that learned from fewer
    than ``MIN_MOMENTS`` are left out.
    """
    query = select(AdaptedIntervals.version_id, AdaptedIntervals.stretch)
    mine = AdaptedIntervals.version_id.in_(version_ids)
    rows = session.execute(query.where(mine, AdaptedIntervals.moments >= MIN_MOMENTS))
    return {row.version_id: row.stretch for row in rows}


def _row(session: Session, version: Version) -> AdaptedIntervals:
    """The row of ``version``, locked until the transaction ends."""
    query = select(AdaptedIntervals).where(AdaptedIntervals.version_id == version.id).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is not None:
        return found
    new = initial_adaptation()
    values = {"moments": 0, "state": new.to_json(), "stretch": new.scales.tolist(), "changed_at": now(session)}
    insert_if_absent(session, AdaptedIntervals, tenant_id=version.tenant_id, version_id=version.id, **values)
    return session.scalars(query.execution_options(populate_existing=True)).one()
