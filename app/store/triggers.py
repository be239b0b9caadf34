"""Triggers of a schedule, and the state that they had when one of them fired last."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Self

from models.json_types import JsonObject

PAUSE_S = 3600.0  # between two firings of a schedule by its triggers, unless the schedule has another pause


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLimit:
    """Fires when realised errors exceed ``ratio`` times those of the backtest with at least this ``confidence``.

    ``least``: actual values that must have arrived.
    """

    ratio: float
    confidence: float
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageLimit:
    """Fires when less than ``coverage`` of at least ``least`` actual values lie within the intervals of ``level``."""

    coverage: float
    level: int
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """Conditions that fire a schedule besides its due times; None: the schedule does not have that condition."""

    new_rows: int | None = None  # since the last training
    older_than_s: float | None = None  # since the last training
    drift: DriftLimit | None = None
    coverage_below: CoverageLimit | None = None
    data_alarm_s: float | None = None  # without new rows; sends an alarm and fires no job
    pause_s: float = PAUSE_S  # after a firing

    @property
    def any(self) -> bool:
        """Whether there is at least one condition."""
        return self != Triggers(pause_s=self.pause_s)

    def to_json(self) -> JsonObject:
        """Return the triggers as the schedule table stores them; empty if there is no condition."""
        return {name: value for name, value in asdict(self).items() if value is not None} if self.any else {}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the triggers that ``to_json`` described."""
        drift, coverage = values.get("drift"), values.get("coverage_below")
        return cls(
            **{
                **values,
                "drift": None if drift is None else DriftLimit(**drift),
                "coverage_below": None if coverage is None else CoverageLimit(**coverage),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """State of the data when a trigger fired last: the id of the data set, its rows with a value, and the time.

    ``alarm`` is the id of the revision that an alarm about old data was sent for. All are None before the first firing.
    """

    dataset: int | None = None
    rows: int | None = None
    at: datetime | None = None
    alarm: int | None = None

    def rows_of(self, dataset_id: int) -> int:
        """Return the rows that the data set had at the last firing; 0 if that was of another data set."""
        return self.rows if self.rows is not None and self.dataset == dataset_id else 0

    def fired(self, dataset_id: int, rows: int, at: datetime) -> "Watermark":
        """Return the state after a firing on ``rows`` of a data set."""
        return replace(self, dataset=dataset_id, rows=rows, at=at)

    def alarmed(self, revision_id: int) -> "Watermark":
        """Return the state after an alarm about a revision."""
        return replace(self, alarm=revision_id)

    def to_json(self) -> JsonObject:
        """Return the state as the schedule table stores it; fields that are None are left out."""
        values: JsonObject = {
            "dataset": self.dataset,
            "values": self.rows,
            "at": None if self.at is None else self.at.isoformat(),
            "alarm": self.alarm,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the state that ``to_json`` described; ``rows`` of an earlier release counted gaps and are not read."""
        at = values.get("at")
        return cls(
            dataset=values.get("dataset"),
            rows=values.get("values"),
            at=None if at is None else datetime.fromisoformat(at),
            alarm=values.get("alarm"),
        )
