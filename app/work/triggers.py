"""Evaluation of a schedule's triggers on the state of its model and of its data."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from app.store.data_freshness import Freshness
from app.store.quality import Quality
from app.store.triggers import CoverageLimit, DriftLimit, Triggers, Watermark
from models.types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerInputs:
    """State at ``moment``; ``quality`` is None if it is unknown or no trigger needs it.

    ``busy``: the last job of the schedule is unfinished, and the schedule allows no second one.
    """

    moment: datetime
    data: Freshness
    quality: Quality | None
    busy: bool = False


class Cause(NamedTuple):
    """The trigger that fired, and the numbers that it fired on."""

    name: str
    detail: JsonObject


def find_cause(triggers: Triggers, watermark: Watermark, inputs: TriggerInputs) -> Cause | None:
    """Return the first trigger that fires, or None; ``watermark`` is the state at the last firing."""
    if inputs.busy:  # a condition that holds now still holds when the job has ended, unless the job removed it
        return None
    since = watermark.at
    if since is not None and (inputs.moment - since).total_seconds() < triggers.pause_s:
        return None
    found = [_new_rows(triggers.new_rows, watermark, inputs.data), _older_than(triggers.older_than_s, since, inputs)]
    if watermark.rows_of(inputs.data.dataset_id) < inputs.data.rows:  # the same data would give the same result again
        found += [_drift(triggers.drift, inputs.quality), _coverage(triggers.coverage_below, inputs.quality)]
    return next((cause for cause in found if cause is not None), None)


def find_alarm(triggers: Triggers, watermark: Watermark, inputs: TriggerInputs) -> Cause | None:
    """Return the alarm that no new rows have arrived for too long, or None; there is one alarm for each revision."""
    limit_s = triggers.data_alarm_s
    age_s = (inputs.moment - inputs.data.data_at).total_seconds()
    if limit_s is None or age_s <= limit_s or watermark.alarm == inputs.data.revision_id:
        return None
    return Cause("data_age", {"data_age_s": round(age_s), "data_alarm_s": limit_s})


def _new_rows(min_rows: int | None, watermark: Watermark, data: Freshness) -> Cause | None:
    """Count rows since the last training or firing: a job that failed is not repeated without new data."""
    if min_rows is None:
        return None
    new = data.rows - max(data.trained_rows or 0, watermark.rows_of(data.dataset_id))
    return Cause("new_rows", {"new_rows": new}) if new >= min_rows else None


def _older_than(limit_s: float | None, since: datetime | None, inputs: TriggerInputs) -> Cause | None:
    if limit_s is None:
        return None
    times = [moment for moment in (inputs.data.trained_at, since) if moment is not None]
    if not times:
        return Cause("older_than", {"age_s": None})
    age_s = (inputs.moment - max(times)).total_seconds()
    return Cause("older_than", {"age_s": round(age_s)}) if age_s > limit_s else None


def _drift(limit: DriftLimit | None, quality: Quality | None) -> Cause | None:
    """Compare realised errors with those of the backtest; a difference by chance does not fire."""
    if limit is None or quality is None or quality.drift is None or quality.points < limit.least:
        return None
    if quality.drift <= limit.ratio or (quality.confidence or 0.0) < limit.confidence:
        return None
    return Cause("drift", {"ratio": quality.drift, "confidence": quality.confidence, "points": quality.points})


def _coverage(limit: CoverageLimit | None, quality: Quality | None) -> Cause | None:
    if limit is None or quality is None or quality.points < limit.least:
        return None
    coverage = quality.coverage.get(limit.level)
    if coverage is None or coverage >= limit.coverage:
        return None
    return Cause("coverage", {"coverage": coverage, "level": limit.level, "points": quality.points})
