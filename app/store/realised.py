"""Comparison of served forecasts with actual values; each value counts once, in the transaction that records it."""

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
from models.evaluation.horizon_parts import PARTS
from models.evaluation.intervals import LEVELS, Calibration, Interval, Prediction
from models.evaluation.realised import ErrorSums, block_of, expected_steps, from_bytes, steps_from, sum_errors
from models.evaluation.scoring import REPORTED_LEVELS
from models.forecasting import bundle
from models.training.report import VersionReport
from models.types import Floats

logger = logging.getLogger(__name__)


def realise(session: Session, limit: int) -> int:
    """Compare up to ``limit`` served forecasts with values that were appended since; return the number of forecasts.

    They are of one data set and were last compared at the same revision; 0 if no forecast has new values. The sums and
    the mark of the revision are written in one transaction, so several processes may call it, any number of times.
    """
    waiting = _waiting(session)
    if waiting is None:
        return 0
    newest, seen = waiting
    open_rows = (ServedForecast.dataset_id == newest.dataset_id) & ~ServedForecast.done & (ServedForecast.seen == seen)
    query = select(ServedForecast).where(open_rows).order_by(ServedForecast.id).limit(limit)
    rows = session.scalars(query.with_for_update(skip_locked=True)).all()
    arrived = panels.load_after(session, newest.tenant_id, newest, seen)
    for version_id, group in _by_version(_match(rows, arrived)):
        try:
            with session.begin_nested():
                _count(session, registry.version(session, newest.tenant_id, version_id), group)
        except (CorruptBundle, BundleError) as error:
            # Marked as compared all the same, or they would block all later forecasts.
            logger.warning(
                "forecasts of a version cannot be compared with actual values",
                extra={"version": version_id, "reason": str(error)},
            )
    for row in rows:
        row.seen = newest.number
    session.flush()
    return len(rows)


@dataclass(frozen=True, slots=True, eq=False)
class ArrivedValues:
    """A served forecast and the new actual values of its steps, (H,), NaN where there is none."""

    row: ServedForecast
    block: int
    actual: Floats


def _waiting(session: Session) -> tuple[Revision, int] | None:
    """Return the newest revision of a data set with waiting forecasts, and the revision of their last comparison."""
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


def _match(rows: Sequence[ServedForecast], arrived: Panel) -> Iterator[ArrivedValues]:
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
            yield ArrivedValues(row, block_of(row.start_us, row.horizon, arrived.freq), actual)


class ErrorGroup(NamedTuple):
    """Key of forecasts that are summed together: one version, block, and width of the intervals."""

    version_id: int
    shadow: bool
    beside: int
    horizon: int
    block: int
    stretch: tuple[tuple[str, tuple[float, ...]], ...]


def _group_of(one: ArrivedValues) -> ErrorGroup:
    row = one.row
    stretch = tuple((level, tuple(np.atleast_1d(factors).tolist())) for level, factors in sorted(row.stretch.items()))
    return ErrorGroup(row.version_id, row.shadow, row.beside or 0, row.horizon, one.block, stretch)


def _by_version(matches: Iterator[ArrivedValues]) -> Iterator[tuple[int, list[ArrivedValues]]]:
    # One order in all processes, so that concurrent transactions do not wait for each other.
    for version_id, group in groupby(sorted(matches, key=_group_of), key=lambda one: one.row.version_id):
        yield version_id, list(group)


def _count(session: Session, version: Version, matches: Sequence[ArrivedValues]) -> None:
    """Add the errors of one version's forecasts, and update its adaptive intervals.

    Raises:
        CorruptBundle, BundleError: the version, a forecast or the state of its intervals is damaged.
    """
    calibration = bundle.from_bytes(registry.bundle(session, version.tenant_id, version.id)).calibration
    today, moments = now(session).date(), []
    for key, rows in groupby(matches, key=_group_of):
        group = list(rows)
        predicted, actual = from_bytes([one.row.said for one in group]), np.stack([one.actual for one in group])
        scale = np.array([np.nan if one.row.scale is None else one.row.scale for one in group])
        expected = np.nan_to_num(expected_steps(VersionReport.from_json(version.scores), key.horizon))
        sums = sum_errors(predicted, actual, scale, expected, _bounds(calibration, predicted, key))
        _add(session, version.tenant_id, key, today, sums, sum(one.row.points == 0 for one in group))
        if not key.shadow:
            moments.append((predicted, actual))
        for one in group:
            one.row.points += int((~np.isnan(one.actual)).sum())
    if moments:
        interval_scales.update(session, version, calibration, moments)


def _bounds(calibration: Calibration, predicted: Prediction, key: ErrorGroup) -> Mapping[int, Interval]:
    """Return the reported intervals as they were served."""
    levels = [level for level in REPORTED_LEVELS if level <= calibration.highest_level]
    if not key.stretch:
        return calibration.intervals(predicted, levels)
    stretch = np.zeros((len(PARTS), len(LEVELS)))  # an interval is as wide as those of lower levels: these count as 0
    for level, factors in key.stretch:
        stretch[:, int(level) - 1] = factors
    return calibration.with_scales(stretch).intervals(predicted, levels)


def _add(
    session: Session, tenant_id: int, key: ErrorGroup, day: date, sums: Mapping[int, ErrorSums], forecasts: int
) -> None:
    """Add to the sums of each band; forecasts without earlier values are counted in the lowest band."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    own = {"version_id": key.version_id, "day": day, "shadow": key.shadow, "beside": key.beside}
    own |= {"horizon": key.horizon, "block": key.block}
    for number, (band, found) in enumerate(sorted(sums.items())):
        added = {**found._asdict(), "forecasts": 0 if number else forecasts}
        row = insert(Realised).values(tenant_id=tenant_id, band=band, **own, **added)
        more = {name: getattr(Realised, name) + row.excluded[name] for name in added}
        session.execute(row.on_conflict_do_update(index_elements=[*own, "band"], set_=more))
