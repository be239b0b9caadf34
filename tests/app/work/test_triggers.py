"""The conditions of each trigger, at and beside their limits."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.store.data_freshness import Freshness
from app.store.quality import Quality
from app.store.triggers import CoverageLimit, DriftLimit, Triggers, Watermark
from app.work.triggers import TriggerInputs, find_alarm, find_cause
from tests.app.work.schedule_harness import at

NOON = at("12:00")
NEVER = Watermark()


def seen(quality: Quality | None = None, **data: Any) -> TriggerInputs:
    """Inputs at noon: 100 rows that came at 11:00; the newest version was trained on 90 of them at 10:00."""
    fresh = {
        "dataset_id": 3,
        "revision_id": 7,
        "rows": 100,
        "data_at": at("11:00"),
        "trained_rows": 90,
        "trained_at": at("10:00"),
    }
    return TriggerInputs(moment=NOON, data=Freshness(**{**fresh, **data}), quality=quality)


DRIFT = DriftLimit(ratio=1.5, confidence=0.9, least=50)
COVERAGE = CoverageLimit(coverage=0.7, level=95, least=5)


def known(within: float | None = None, points: int = 50, **figures: float | None) -> Quality:
    """Scores of forecasts: the share ``within`` the intervals of 95 percent, and all within those of 80."""
    return Quality(points=points, coverage={80: 1.0, 95: within}, **{"confidence": 0.9, **figures})


@pytest.mark.parametrize(
    ("triggers", "sight", "detail"),
    [
        (Triggers(new_rows=10), seen(), {"new_rows": 10}),
        (Triggers(new_rows=11), seen(), None),
        (Triggers(new_rows=100), seen(trained_rows=None, trained_at=None), {"new_rows": 100}),
        (Triggers(older_than_s=7199.0), seen(), {"age_s": 7200}),
        (Triggers(older_than_s=7200.0), seen(), None),
        (Triggers(older_than_s=1e9), seen(trained_rows=None, trained_at=None), {"age_s": None}),
        (Triggers(drift=DRIFT), seen(known(drift=1.6)), {"ratio": 1.6, "confidence": 0.9, "points": 50}),
        (Triggers(drift=DRIFT), seen(known(drift=1.6, points=49)), None),
        (Triggers(drift=DRIFT), seen(known(drift=1.6, confidence=0.89)), None),
        (Triggers(drift=DRIFT), seen(known(drift=1.6, confidence=None)), None),
        (Triggers(drift=DRIFT), seen(known(drift=1.5)), None),
        (Triggers(drift=DRIFT), seen(known(drift=None)), None),
        (Triggers(drift=DRIFT), seen(), None),
        (Triggers(coverage_below=COVERAGE), seen(known(within=0.69)), {"coverage": 0.69, "level": 95, "points": 50}),
        (Triggers(coverage_below=COVERAGE), seen(known(within=0.7)), None),
        (Triggers(coverage_below=COVERAGE), seen(known(within=None)), None),
        (Triggers(coverage_below=COVERAGE), seen(known(within=0.69, points=4)), None),
        (Triggers(coverage_below=COVERAGE), seen(), None),
        (Triggers(), seen(known(drift=9, within=0.0)), None),
    ],
)
def test_a_trigger_fires_from_its_limit_on(
    triggers: Triggers, sight: TriggerInputs, detail: dict[str, Any] | None
) -> None:
    found = find_cause(triggers, NEVER, sight)
    assert (None if found is None else found.detail) == detail


def test_after_a_firing_there_is_a_pause_for_every_trigger() -> None:
    watermark = Watermark(at=NOON - timedelta(seconds=59), rows=0)
    triggers = Triggers(new_rows=1, older_than_s=1.0)
    assert find_cause(replace(triggers, pause_s=60.0), watermark, seen()) is None
    assert find_cause(replace(triggers, pause_s=59.0), watermark, seen()) is not None
    assert find_cause(triggers, watermark, seen()) is None  # the default pause is an hour


def test_a_training_that_failed_is_not_tried_again_without_new_rows() -> None:
    watermark = NEVER.fired(3, 100, NOON)
    assert watermark.to_json() == {"dataset": 3, "values": 100, "at": NOON.isoformat()}
    assert Watermark.from_json(watermark.to_json()) == watermark
    assert find_cause(Triggers(new_rows=1, pause_s=0.0), watermark, seen()) is None
    assert find_cause(Triggers(new_rows=1, pause_s=0.0), watermark, seen(rows=101)) == ("new_rows", {"new_rows": 1})


@pytest.mark.parametrize("triggers", [Triggers(drift=DRIFT), Triggers(coverage_below=COVERAGE)])
def test_drift_and_coverage_fire_again_only_on_new_data(triggers: Triggers) -> None:
    bad, steady = known(within=0.1, drift=9.0), replace(triggers, pause_s=0.0)
    watermark = NEVER.fired(3, 100, NOON)
    assert find_cause(steady, watermark, seen(bad)) is None
    assert find_cause(steady, watermark, seen(bad, rows=101)) is not None


def test_rows_of_another_data_set_are_not_counted() -> None:
    watermark = NEVER.fired(2, 10_000, NOON)
    assert find_cause(Triggers(new_rows=10, pause_s=0.0), watermark, seen()) == ("new_rows", {"new_rows": 10})
    assert find_cause(Triggers(drift=DRIFT, pause_s=0.0), watermark, seen(known(drift=9.0))) is not None


def test_the_age_counts_from_the_last_firing_too() -> None:
    watermark = Watermark(at=at("11:59"), rows=100)
    assert find_cause(Triggers(older_than_s=60.0, pause_s=0.0), watermark, seen()) is None
    assert find_cause(Triggers(older_than_s=59.0, pause_s=0.0), watermark, seen()) == ("older_than", {"age_s": 60})


def test_the_first_of_several_triggers_is_named() -> None:
    both = Triggers(older_than_s=1.0, new_rows=1)
    found = find_cause(both, NEVER, seen())
    assert found is not None
    assert found.name == "new_rows"


def test_the_alarm_is_raised_once_for_the_same_data() -> None:
    limit = Triggers(data_alarm_s=3599.0)
    assert find_alarm(Triggers(data_alarm_s=3600.0), NEVER, seen()) is None
    assert find_alarm(Triggers(), NEVER, seen()) is None
    assert find_alarm(limit, NEVER, seen()) == ("data_age", {"data_age_s": 3600, "data_alarm_s": 3599.0})
    watermark = Watermark(rows=5).alarmed(7)
    assert watermark.to_json() == {"values": 5, "alarm": 7}
    assert find_alarm(limit, watermark, seen()) is None
    assert find_alarm(limit, watermark, seen(revision_id=8)) is not None


def test_triggers_are_stored_without_conditions_that_they_do_not_have() -> None:
    stored = {
        "new_rows": 3,
        "drift": {"ratio": 1.5, "confidence": 0.9, "least": 50},
        "coverage_below": {"coverage": 0.7, "level": 95, "least": 5},
        "pause_s": 60.0,
    }
    assert Triggers.from_json(stored) == Triggers(new_rows=3, drift=DRIFT, coverage_below=COVERAGE, pause_s=60.0)
    assert Triggers.from_json(stored).to_json() == stored
    assert Triggers.from_json({}) == Triggers(pause_s=3600.0)
    assert Triggers(pause_s=60.0).to_json() == {}  # a pause alone is no condition


def test_rows_of_an_earlier_release_which_counted_gaps_hold_no_firing_back() -> None:
    stored = {"dataset": 1, "rows": 500, "at": at("11:00").isoformat(), "alarm": 7}
    watermark = Watermark.from_json(stored)
    assert (watermark.rows_of(1), watermark.at, watermark.alarm) == (0, at("11:00"), 7)
    assert Watermark.from_json(watermark.fired(1, 30, at("12:00")).to_json()).rows_of(1) == 30
