"""Whether the triggers of a schedule say that it is time, by what is known of its model and of its data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from app.store.data_freshness import Freshness
from app.store.quality import Quality

PAUSE_S = 3600.0  # between two firings of a schedule by its triggers, unless it says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerInputs:
    """What there is to look at; ``quality`` is None where nothing is known of it.

    ``busy``: the job that was made last is unfinished, and no other is to be made beside it.
    """

    moment: datetime
    data: Freshness
    quality: Quality | None
    busy: bool = False


class Cause(NamedTuple):
    """What fired, and the numbers that it fired on."""

    name: str
    detail: dict[str, Any]


def cause(triggers: Mapping[str, Any], watermark: Mapping[str, Any], seen: TriggerInputs) -> Cause | None:
    """The first trigger that says so, or None; ``watermark`` is what ``fired`` made of the last time."""
    if seen.busy:  # what is true now will be when the job has ended, unless that was what it took
        return None
    since = _at(watermark)
    if since is not None and (seen.moment - since).total_seconds() < triggers.get("pause_s", PAUSE_S):
        return None
    found = [
        _new_rows(triggers.get("new_rows"), watermark, seen.data),
        _older(triggers.get("older_than_s"), since, seen),
    ]
    if _rows(watermark, seen.data) < seen.data.rows:  # the same data would come to the same again
        quality = seen.quality
        found += [_drift(triggers.get("drift"), quality), _coverage(triggers.get("coverage_below"), quality)]
    return next((each for each in found if each is not None), None)


def fired(watermark: Mapping[str, Any], seen: TriggerInputs) -> dict[str, Any]:
    """The watermark once something has fired on what was ``seen``."""
    return {**watermark, "dataset": seen.data.dataset_id, "rows": seen.data.rows, "at": seen.moment.isoformat()}


def alarm(triggers: Mapping[str, Any], watermark: Mapping[str, Any], seen: TriggerInputs) -> Cause | None:
    """That no data have come for too long; said once, until some come. ``alarmed`` is the watermark then."""
    most_s = triggers.get("data_alarm_s")
    age_s = (seen.moment - seen.data.data_at).total_seconds()
    if most_s is None or age_s <= most_s or watermark.get("alarm") == seen.data.revision_id:
        return None
    return Cause("data_age", {"data_age_s": round(age_s), "data_alarm_s": most_s})


def alarmed(watermark: Mapping[str, Any], seen: TriggerInputs) -> dict[str, Any]:
    """The watermark once the alarm was given for the data ``seen``."""
    return {**watermark, "alarm": seen.data.revision_id}


def _new_rows(least: int | None, watermark: Mapping[str, Any], data: Freshness) -> Cause | None:
    """Rows since the last training, or since the last firing: one that failed is not tried again without new data."""
    if least is None:
        return None
    new = data.rows - max(data.trained_rows or 0, _rows(watermark, data))
    return Cause("new_rows", {"new_rows": new}) if new >= least else None


def _older(most_s: float | None, since: datetime | None, seen: TriggerInputs) -> Cause | None:
    if most_s is None:
        return None
    times = [moment for moment in (seen.data.trained_at, since) if moment is not None]
    if not times:
        return Cause("older_than", {"age_s": None})
    age_s = (seen.moment - max(times)).total_seconds()
    return Cause("older_than", {"age_s": round(age_s)}) if age_s > most_s else None


def _drift(limit: Mapping[str, Any] | None, quality: Quality | None) -> Cause | None:
    """Errors larger than in the backtest by a factor, and that not by chance."""
    if limit is None or quality is None or quality.drift is None or quality.points < limit["least"]:
        return None
    if quality.drift <= limit["ratio"] or (quality.confidence or 0.0) < limit["confidence"]:
        return None
    return Cause("drift", {"ratio": quality.drift, "confidence": quality.confidence, "points": quality.points})


def _coverage(limit: Mapping[str, Any] | None, quality: Quality | None) -> Cause | None:
    if limit is None or quality is None or quality.points < limit["least"]:
        return None
    coverage = quality.coverage.get(limit["level"])
    if coverage is None or coverage >= limit["coverage"]:
        return None
    return Cause("coverage", {"coverage": coverage, "level": limit["level"], "points": quality.points})


def _rows(watermark: Mapping[str, Any], data: Freshness) -> int:
    """How many rows of the data set there were at the last firing; 0 where that was of another one."""
    rows: int = watermark["rows"] if watermark.get("dataset") == data.dataset_id else 0
    return rows


def _at(watermark: Mapping[str, Any]) -> datetime | None:
    return datetime.fromisoformat(watermark["at"]) if "at" in watermark else None
