"""Holding served forecasts against what came: each value counts once, in the transaction that notes that it did."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import NamedTuple

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.problems import CorruptBundle
from app.store import interval_scales, panels, registry
from app.store.db import now
from app.store.tables import Realised, Revision, ServedForecast, Version
from models.data.panel import Panel
from models.errors import BundleError
from models.evaluation.intervals import LEVELS, Calibration, Interval, Prediction
from models.evaluation.realised import ErrorSums, block_of, expected_steps, from_bytes, steps_from, sum_errors
from models.evaluation.scoring import REPORTED_LEVELS
from models.forecasting import bundle
from models.training.report import VersionReport
from models.types import Floats

logger = logging.getLogger(__name__)


def realise(session: Session, limit: int) -> int:
    """Join up to ``limit`` served forecasts with values that were appended since; how many were looked at.

    They are of one data set and were last looked at together; 0 where nothing has come for any. What it adds up is seen
    with the note that it was, so that it may be called as often as one likes, by several at once.
    """
    waiting = _waiting(session)
    if waiting is None:
        return 0
    newest, seen = waiting
    open_rows = (ServedForecast.dataset_id == newest.dataset_id) & ~ServedForecast.done & (ServedForecast.seen == seen)
    query = select(ServedForecast).where(open_rows).order_by(ServedForecast.id).limit(limit)
    rows = session.scalars(query.with_for_update(skip_locked=True)).all()
    arrived = panels.newer(session, newest.tenant_id, newest, seen)
    for version_id, some in _by_version(_came(rows, arrived)):
        try:
            with session.begin_nested():
                _count(session, registry.version(session, newest.tenant_id, version_id), some)
        except (CorruptBundle, BundleError) as error:
            # Looked at once and no more, or they would stand before all that came later.
            logger.warning(
                "a version's forecasts cannot be judged", extra={"version": version_id, "reason": str(error)}
            )
    for row in rows:
        row.seen = newest.number
    session.flush()
    return len(rows)


@dataclass(frozen=True, slots=True, eq=False)
class Came:
    """A served forecast and the values that came for its steps, (H,), NaN where none did."""

    row: ServedForecast
    block: int
    actual: Floats


def _waiting(session: Session) -> tuple[Revision, int] | None:
    """The newest revision of a data set for which forecasts wait, and up to which revision they were looked at."""
    last = select(Revision.dataset_id, func.max(Revision.number).label("number")).group_by(Revision.dataset_id)
    newest = last.where(Revision.dataset_id.in_(select(ServedForecast.dataset_id).where(~ServedForecast.done)))
    known = newest.subquery()
    behind = select(ServedForecast.dataset_id, ServedForecast.seen, known.c.number)
    behind = behind.join(known, known.c.dataset_id == ServedForecast.dataset_id)
    behind = behind.where(~ServedForecast.done, ServedForecast.seen < known.c.number)
    found = session.execute(behind.order_by(ServedForecast.seen, ServedForecast.dataset_id).limit(1)).one_or_none()
    if found is None:
        return None
    dataset_id, seen, number = found
    query = select(Revision).where(Revision.dataset_id == dataset_id, Revision.number == number)
    return session.scalars(query).one(), seen


def _came(rows: Sequence[ServedForecast], arrived: Panel) -> Iterator[Came]:
    where = {name: i for i, name in enumerate(arrived.ids)}
    for row in rows:
        i = where.get(row.series)
        if i is None:
            continue
        values = arrived.series(i)
        steps = steps_from(row.start_us, arrived.starts[i], len(values), arrived.freq)
        own, observed = (steps >= 0) & (steps < row.horizon), ~np.isnan(values)
        row.done = bool((steps[observed] >= row.horizon - 1).any())
        actual = np.full(row.horizon, np.nan)
        actual[steps[own]] = values[own]
        if not np.isnan(actual).all():
            yield Came(row, block_of(row.start_us, row.horizon, arrived.freq), actual)


class Kind(NamedTuple):
    """What is added up together: forecasts of a version that began in one block, with intervals of one width."""

    version_id: int
    shadow: bool
    beside: int
    horizon: int
    block: int
    stretch: tuple[tuple[str, float], ...]


def _kind(came: Came) -> Kind:
    row = came.row
    return Kind(
        row.version_id, row.shadow, row.beside or 0, row.horizon, came.block, tuple(sorted(row.stretch.items()))
    )


def _by_version(came: Iterator[Came]) -> Iterator[tuple[int, list[Came]]]:
    # In one order for all, or two who count at once would wait for each other.
    for version_id, some in groupby(sorted(came, key=_kind), key=lambda one: one.row.version_id):
        yield version_id, list(some)


def _count(session: Session, version: Version, came: Sequence[Came]) -> None:
    """Add up what came for the forecasts of one version, and let its intervals learn from it.

    Raises:
        CorruptBundle, BundleError: the version, a forecast or what its intervals have learned is damaged.
    """
    calibration = bundle.from_bytes(registry.bundle(session, version.tenant_id, version.id)).calibration
    today, moments = now(session).date(), []
    for kind, some in groupby(came, key=_kind):
        group = list(some)
        said, actual = from_bytes([one.row.said for one in group]), np.stack([one.actual for one in group])
        scale = np.array([np.nan if one.row.scale is None else one.row.scale for one in group])
        expected = np.nan_to_num(expected_steps(VersionReport.from_json(version.scores), kind.horizon))
        sums = sum_errors(said, actual, scale, expected, _bounds(calibration, said, kind))
        _add(session, version.tenant_id, kind, today, sums, sum(one.row.points == 0 for one in group))
        if not kind.shadow:
            moments.append((said, actual))
        for one in group:
            one.row.points += int((~np.isnan(one.actual)).sum())
    if moments:
        interval_scales.learn(session, version, calibration, moments)


def _bounds(calibration: Calibration, said: Prediction, kind: Kind) -> Mapping[int, Interval]:
    """The reported intervals, as wide as they were served."""
    stretch = np.ones(len(LEVELS))
    for level, width in kind.stretch:
        stretch[int(level) - 1] = width
    levels = [level for level in REPORTED_LEVELS if level <= calibration.highest_level]
    return calibration.with_scales(stretch).intervals(said, levels)


def _add(
    session: Session, tenant_id: int, kind: Kind, day: date, sums: Mapping[int, ErrorSums], forecasts: int
) -> None:
    """Add to the sums of each band; the forecasts of which nothing had come before count in the lowest."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    own = {"version_id": kind.version_id, "day": day, "shadow": kind.shadow, "beside": kind.beside}
    own |= {"horizon": kind.horizon, "block": kind.block}
    for number, (band, found) in enumerate(sorted(sums.items())):
        added = {**found._asdict(), "forecasts": 0 if number else forecasts}
        row = insert(Realised).values(tenant_id=tenant_id, band=band, **own, **added)
        more = {name: getattr(Realised, name) + row.excluded[name] for name in added}
        session.execute(row.on_conflict_do_update(index_elements=[*own, "band"], set_=more))
