"""State of the adaptive intervals of each version, updated with the actual values of its forecasts."""

from collections.abc import Iterable, Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.db import insert_if_absent, now
from app.store.tables import AdaptedIntervals, Version
from models.evaluation.adaptive_intervals import Adaptation, adapt, initial_adaptation
from models.evaluation.horizon_parts import PARTS
from models.evaluation.intervals import LEVELS, Calibration, Prediction
from models.types import Floats

MIN_MOMENTS = 10  # the first updates are large: after fewer the factors may be far off


def update(
    session: Session, version: Version, calibration: Calibration, moments: Iterable[tuple[Prediction, Floats]]
) -> None:
    """Update the intervals of ``version`` with pairs of prediction and actual values, in order of time.

    Each version starts from its own calibration.
    """
    row = _row(session, version)
    state = before = Adaptation.from_json(row.state)
    for prediction, actual in moments:
        state = adapt(state, calibration, prediction, actual)
    if state is before:
        return
    row.state, row.moments = state.to_json(), state.moments
    row.stretch, row.changed_at = state.scales.tolist(), now(session)
    session.flush()


def load(session: Session, version_ids: Sequence[int]) -> dict[int, Floats]:
    """Return the factors by which the intervals of each version are widened, (P, 99): by part of the horizon and level.

    Versions with fewer than ``MIN_MOMENTS`` updates are left out. Earlier releases stored one row for all parts.
    """
    query = select(AdaptedIntervals.version_id, AdaptedIntervals.stretch)
    wanted = AdaptedIntervals.version_id.in_(version_ids)
    rows = session.execute(query.where(wanted, AdaptedIntervals.moments >= MIN_MOMENTS))
    shape = (len(PARTS), len(LEVELS))
    return {row.version_id: np.broadcast_to(np.array(row.stretch, dtype=np.float64), shape) for row in rows}


def _row(session: Session, version: Version) -> AdaptedIntervals:
    """Return the row of ``version``, created if absent, locked until the transaction ends."""
    query = select(AdaptedIntervals).where(AdaptedIntervals.version_id == version.id).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is not None:
        return found
    new = initial_adaptation()
    values = {"moments": 0, "state": new.to_json(), "stretch": new.scales.tolist(), "changed_at": now(session)}
    insert_if_absent(session, AdaptedIntervals, tenant_id=version.tenant_id, version_id=version.id, **values)
    return session.scalars(query.execution_options(populate_existing=True)).one()
