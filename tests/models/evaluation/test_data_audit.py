"""New points that differ from the past of their series, and honest ones that do not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.panel import Panel
from models.evaluation.data_audit import Audit, AuditCode, audit
from models.types import Floats
from tests.models.samples import panel_of

DAYS, NEW = 900, 120


def days(begin: int, end: int, seed: int = 5) -> Floats:
    """Return days with a weekly and a yearly season and noise, the same ones for the same seed."""
    t = np.arange(begin, end)
    noise = 2 * np.random.default_rng(seed).normal(size=2_000)[begin:end]
    return 50 + 10 * np.sin(2 * np.pi * t / 7) + 4 * np.sin(2 * np.pi * t / 365) + noise


GOOD, HONEST = days(0, DAYS), days(DAYS, DAYS + NEW)
RANDOM = np.random.default_rng(3)


def grown(new: Floats, past: Floats = GOOD, season: int = 7, accept_after: int = 28) -> Audit:
    """Return the audit of a single series that got ``new``."""
    return audit(panel_of(np.concatenate([past, new])), np.array([len(past)]), season, accept_after)


def codes(found: Audit) -> set[AuditCode]:
    return {finding.code for finding in found.findings}


BROKEN: dict[str, tuple[Floats, AuditCode]] = {
    "noise of the same mean and spread": (RANDOM.normal(GOOD.mean(), GOOD.std(), NEW), "season"),
    "zeros": (np.zeros(NEW), "zeros"),
    "the same values in another order": (np.random.default_rng(1).permutation(HONEST), "season"),
    "noise in the last third": (np.concatenate([HONEST[:80], RANDOM.normal(GOOD.mean(), GOOD.std(), 40)]), "season"),
    "a stuck value": (np.full(NEW, GOOD[-1]), "stuck"),
    "another unit": (1_000 * HONEST, "unit"),
    "another unit that is smaller": (HONEST / 100, "unit"),
    "the values of another data set": (200 + 60 * np.sin(np.arange(NEW) / 3) + 20 * RANDOM.normal(size=NEW), "season"),
    "values clipped at a limit": (np.minimum(HONEST, 44.0), "stuck"),
    "every other value missing": (np.where(np.arange(NEW) % 2 == 1, HONEST, np.nan), "missing"),
    "wild noise": (RANDOM.normal(50, 40, NEW), "noise"),
    "a broken last third": (np.concatenate([HONEST[:80], np.zeros(40)]), "zeros"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_sensor_is_found_and_never_accepted_because_of_its_age(name: str) -> None:
    new, code = BROKEN[name]
    found = grown(new, accept_after=1)
    assert code in codes(found)
    assert found.open
    assert all(not finding.accepted for finding in found.findings)
    assert f"{found.open[0].series} of 1 series" in found.describe()


def test_honest_new_points_have_no_finding() -> None:
    assert grown(HONEST) == Audit(checked=1, points=NEW)
    assert not any(grown(HONEST[:count]).findings for count in range(1, NEW, 7))


HONEST_CHANGES: dict[str, tuple[Floats, Floats]] = {
    "growth as before": (GOOD * 1.002 ** np.arange(DAYS), HONEST * 1.002 ** np.arange(DAYS, DAYS + NEW)),
    "a trend as before": (GOOD + 0.3 * np.arange(DAYS), HONEST + 0.3 * np.arange(DAYS, DAYS + NEW)),
    "a single outlier": (GOOD, np.where(np.arange(NEW) == 60, 500.0, HONEST)),
    "a gap as in the past": (
        np.where(np.arange(DAYS) // 30 % 7 == 3, np.nan, GOOD),
        np.where(np.arange(NEW) // 30 == 2, np.nan, HONEST),
    ),
    "rare demand": (
        np.where(np.arange(DAYS) % 11 < 2, np.abs(GOOD) // 10, 0.0),
        np.where(np.arange(NEW) % 11 < 2, np.abs(HONEST) // 10, 0.0),
    ),
    "a constant": (np.full(DAYS, 5.0), np.full(NEW, 5.0)),
}


@pytest.mark.parametrize("name", HONEST_CHANGES)
def test_what_the_past_has_known_already_is_no_finding(name: str) -> None:
    past, new = HONEST_CHANGES[name]
    assert grown(new, past).findings == ()


@pytest.mark.parametrize(("count", "accepted"), [(20, False), (27, False), (28, True), (60, True), (120, True)])
def test_a_moved_level_with_season_and_noise_as_before_is_accepted_once_it_has_lasted(
    count: int, accepted: bool
) -> None:
    [finding] = grown(HONEST[:count] + 30).findings
    assert (finding.code, finding.points, finding.accepted) == ("level", count, accepted)
    assert finding.after - finding.before == pytest.approx(30, abs=5)


def test_a_level_that_has_returned_has_not_lasted() -> None:
    moved = HONEST + np.where((np.arange(NEW) >= 30) & (np.arange(NEW) < 80), 30, 0)
    assert all(not finding.accepted for finding in grown(moved).findings)
    assert grown(moved).open


def test_a_moved_level_that_is_noise_is_not_accepted() -> None:
    found = grown(RANDOM.normal(90, 40, NEW), accept_after=1)
    assert "level" in codes(found)
    assert len(found.open) == len(found.findings)


def many(broken: int, of: int = 20) -> Panel:
    """Return series of which the first few have zeros as new points."""
    series = []
    for i in range(of):
        values = days(0, 400, seed=i)
        series.append(np.concatenate([values[:340], np.zeros(60)]) if i < broken else values)
    return panel_of(*series)


def test_a_panel_has_a_finding_from_a_share_of_its_series_on() -> None:
    known = np.full(20, 340)
    assert audit(many(2), known, 7, 28).findings == ()
    found = audit(many(3), known, 7, 28)
    assert [
        (each.code, each.series, each.checked, each.example) for each in found.findings if each.code == "zeros"
    ] == [("zeros", 3, 20, "s0")]


def test_new_series_series_without_new_points_and_short_series_are_not_checked() -> None:
    panel = panel_of(days(0, 100), np.zeros(100), np.concatenate([np.arange(9.0), np.zeros(30)]))
    assert audit(panel, np.array([100, 0, 9]), 7, 28) == Audit(checked=0, points=30)


@pytest.mark.parametrize("unit", [1e-15, 1e-12, 2.0**-40, 1e6, 1e12, 2.0**40, 1e13])
def test_a_change_of_the_unit_of_all_values_changes_no_finding(unit: float) -> None:
    for new, _ in BROKEN.values():
        usual, changed = grown(new), grown(unit * new, unit * GOOD)
        assert [replace(each, before=0, after=0, limit=0) for each in usual.findings] == [
            replace(each, before=0, after=0, limit=0) for each in changed.findings
        ]
    assert grown(unit * HONEST, unit * GOOD).findings == ()


def test_noise_on_a_large_level_is_found_as_noise_on_a_small_one() -> None:
    assert grown(1e13 + BROKEN["noise of the same mean and spread"][0], 1e13 + GOOD).open
    assert grown(1e13 + np.full(NEW, 50.0), 1e13 + GOOD).open
    assert grown(1e13 + HONEST, 1e13 + GOOD).findings == ()


@given(
    st.lists(st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e99, float("nan"), 3.5]), min_size=2, max_size=80),
    st.integers(1, 79),
    st.sampled_from([1, 7, 24]),
)
def test_any_values_give_findings_of_finite_numbers(values: list[float], known: int, season: int) -> None:
    panel = panel_of([*values, 1.0])
    for finding in audit(panel, np.array([min(known, len(values))]), season, 28).findings:
        assert np.isfinite([finding.before, finding.after, finding.limit]).all()
