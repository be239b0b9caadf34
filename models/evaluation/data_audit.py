"""Audit of the points that series got since a model was trained: are they still the same measurements?

A broken sensor gives numbers as readily as a working one. The new points of a series are cut into blocks of one length,
and each block is compared with the blocks of the series' own past, so that the natural variation of the series sets the
limits. A series is affected if enough of its new blocks lie beyond them, a panel if enough of its series are affected.

A level that has moved while season and noise are as before may be a true change: it is accepted once it has lasted.
Noise, zeros, a repeated value, another unit and missing values are never accepted because of their age.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.data.panel import Panel
from models.evaluation.block_statistics import MIN_PAST, BlockStatistics, block_length, new_blocks, past_blocks
from models.types import Floats, Ints, JsonObject

AuditCode = Literal["missing", "zeros", "stuck", "unit", "noise", "season", "spread", "level"]

# Share of the new blocks of a series from which on the series is affected. Correlations and differences of one block
# may be bad by chance; many of them are not.
SHARE_OF_BLOCKS = 0.1
SHARE_OF_UNCERTAIN_BLOCKS: Mapping[AuditCode, float] = {"season": 0.4, "noise": 0.4, "spread": 0.2}
SHARE_OF_SERIES = 0.15  # of the series with new points, from which on the panel is affected
MAX_SERIES = 1_000  # evenly chosen from the panel, so that an audit takes seconds
SHARE_LIMIT = 0.4  # of points: zeros, repeated or missing values beyond the largest share of a past block
SPREAD_UP, SPREAD_DOWN = 3.0, 5.0  # times the largest, and divisor of the smallest spread of a past block
NOISE_LIMIT = 2.0  # times the largest seasonal difference of a past block
CORRELATION_LIMIT = 0.25  # below the smallest correlation of a past block
MIN_CORRELATION = 0.5  # of the median past block, for its loss to say something
MIN_CORRELATED, MIN_CORRELATED_BLOCKS = 12, 6  # points of a block, and blocks of the past
LEVEL_LIMIT = 2.5  # times the largest move of the level over the same time in the past
FEW_BLOCKS = 8.0  # number of past blocks (or pairs of them) with which the limits are twice as wide
UNIT_LIMIT = 50.0  # ratio of magnitudes
POWER_OF_TEN = 0.02  # tolerance in the logarithm to base 10 of a ratio of magnitudes, 5 %

SHARES: Mapping[AuditCode, str] = {"missing": "missing", "zeros": "zeros", "stuck": "repeats"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """Difference between new points and the past that affects ``series`` of ``checked`` series.

    ``before``, ``after`` and ``limit`` are medians over the affected series, of the past, of the new points and of the
    bound: shares of points for ``missing``, ``zeros`` and ``stuck``, otherwise data units. ``points``: age of the
    difference in steps, the largest of the affected series. ``accepted``: whether it has lasted long enough.
    """

    code: AuditCode
    series: int
    checked: int
    example: str
    before: float
    after: float
    limit: float
    points: int
    accepted: bool = False

    def describe(self) -> str:
        """Return the finding in words."""
        where = f"{self.series} of {self.checked} series"
        return f"{TEXTS[self.code]} in {where}: {self.after:.4g}, {self.before:.4g} before, limit {self.limit:.4g}"


TEXTS: Mapping[AuditCode, str] = {
    "missing": "more values are missing",
    "zeros": "more values are 0",
    "stuck": "the same value is repeated",
    "unit": "the values have another unit or magnitude",
    "noise": "neighbouring values, or those a season apart, differ more",
    "season": "values no longer follow those one step or one season before",
    "spread": "the spread has changed",
    "level": "the level has moved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Result of an audit of the newest ``points`` of ``checked`` series; ``findings`` in the order of ``AuditCode``."""

    checked: int
    points: int
    findings: Sequence[AuditFinding] = ()

    @property
    def open(self) -> list[AuditFinding]:
        """Return the findings that are not accepted."""
        return [finding for finding in self.findings if not finding.accepted]

    def to_json(self) -> JsonObject:
        """Return the audit as JSON values."""
        return asdict(self)

    def describe(self) -> str:
        """Return the open findings in words."""
        return "; ".join(finding.describe() for finding in self.open)


@dataclass(frozen=True, slots=True)
class _Symptom:
    """One difference of one series; ``points``: steps from its first block to the end, 0 if it has not lasted."""

    before: float
    after: float
    limit: float
    points: int


@dataclass(frozen=True, slots=True, eq=False)
class _BlockTest:
    """Comparison of K new blocks with the past: whether each is ``beyond`` the ``limit``, and its number ``after``."""

    beyond: NDArray[np.bool_]
    after: Floats
    before: float
    limit: Floats | float


def audit(panel: Panel, known: Ints, season: int, accept_after: int) -> Audit:
    """Compare the points of each series after the first ``known`` (N,) with those before them.

    Series without new or without old points, and series that are too short to have a past, are not checked.

    Args:
        panel: all points, old and new.
        known: number of old points of each series.
        season: steps of a season, 1 for none.
        accept_after: steps after which a moved level with an unchanged season and spread is accepted.
    """
    lengths = panel.observed_lengths
    grown = np.flatnonzero((known > 0) & (lengths > known))
    if len(grown) > MAX_SERIES:
        grown = grown[np.linspace(0, len(grown) - 1, MAX_SERIES).astype(np.int64)]
    found: dict[AuditCode, list[tuple[str, _Symptom]]] = {code: [] for code in get_args(AuditCode)}
    checked = 0
    for i in grown.tolist():
        values = panel.series(i)[: lengths[i]]
        symptoms = _symptoms(values[: known[i]], values[known[i] :], season)
        checked += symptoms is not None
        for code, symptom in (symptoms or {}).items():
            found[code].append((panel.ids[i], symptom))
    broken = {name for code, each in found.items() if code != "level" for name, _ in each}
    findings = []
    for code, each in found.items():
        if len(each) < max(1.0, SHARE_OF_SERIES * checked):
            continue
        lasting = [name not in broken and symptom.points >= accept_after for name, symptom in each]
        findings.append(_finding(code, each, checked, accepted=code == "level" and all(lasting)))
    points = int((lengths - known)[grown].max(initial=0))
    return Audit(checked=checked, points=points, findings=tuple(findings))


def _finding(code: AuditCode, affected: Sequence[tuple[str, _Symptom]], checked: int, accepted: bool) -> AuditFinding:
    before, after, limit = (
        float(np.median([getattr(symptom, name) for _, symptom in affected])) for name in ("before", "after", "limit")
    )
    return AuditFinding(
        code=code,
        series=len(affected),
        checked=checked,
        example=affected[0][0],
        before=before,
        after=after,
        limit=limit,
        points=max(symptom.points for _, symptom in affected),
        accepted=accepted,
    )


def _symptoms(past: Floats, new: Floats, season: int) -> dict[AuditCode, _Symptom] | None:
    """Return the differences between ``past`` and ``new``, the points of one series; None if it is too short."""
    length = block_length(len(past), len(new), season)
    if length is None:
        return None
    old, now = past_blocks(past, length, season), new_blocks(past, new, length, season)
    level = _level_test(old, now)
    tests = _share_tests(old, now) | _variation_tests(old, now)
    tests |= {"unit": _unit_test(old, now, level.beyond), "level": level}
    return {
        code: _symptom(now, test)
        for code, test in tests.items()
        if np.mean(test.beyond) >= SHARE_OF_UNCERTAIN_BLOCKS.get(code, SHARE_OF_BLOCKS)
    }


def _symptom(now: BlockStatistics, test: _BlockTest) -> _Symptom:
    limits = np.broadcast_to(test.limit, test.after.shape)[test.beyond]
    after, first = float(np.median(test.after[test.beyond])), int(np.flatnonzero(test.beyond)[0])
    # It lasts if no later block is nearer to the past than to the blocks beyond the limit.
    since = test.after[first:]
    lasts = bool((np.abs(since - test.before) >= np.abs(since - after)).all())
    points = int(now.start[-1] + now.length - now.start[first]) if lasts else 0
    return _Symptom(test.before, after, float(np.median(limits)), points)


def _share_tests(old: BlockStatistics, now: BlockStatistics) -> dict[AuditCode, _BlockTest]:
    """Return the tests of shares of points: one is beyond if it is far above that of every past block."""
    tests: dict[AuditCode, _BlockTest] = {}
    codes: Sequence[AuditCode] = ("missing", "zeros", "stuck")
    for code in codes:
        usually, recently = (getattr(blocks, SHARES[code]) for blocks in (old, now))
        limit = float(usually.max()) + SHARE_LIMIT
        tests[code] = _BlockTest(recently >= limit, recently, float(np.median(usually)), limit)
    return tests


def _variation_tests(old: BlockStatistics, now: BlockStatistics) -> dict[AuditCode, _BlockTest]:
    """Return the tests of spread, noise and correlation. A larger level explains a larger spread and noise."""
    doubt = 1 + FEW_BLOCKS / len(old.level)
    growth = np.fmax(1.0, now.magnitude / (_largest(old.magnitude) or np.nan))
    wide, narrow = SPREAD_UP * doubt * growth * _largest(old.spread), _smallest(old.spread) / (SPREAD_DOWN * doubt)
    loud = NOISE_LIMIT * doubt * growth * _largest(old.difference)
    is_narrow = now.spread < narrow
    correlations = [
        _BlockTest(now_each < least, now_each, _usual(old_each), least)
        for old_each, now_each in (
            (old.step_correlation, now.step_correlation),
            (old.season_correlation, now.season_correlation),
        )
        for least in [_least_correlation(old_each, now.length)]
    ]
    return {
        "noise": _BlockTest(now.difference > loud, now.difference, _usual(old.difference), loud),
        "season": max(correlations, key=lambda test: float(np.mean(test.beyond))),
        "spread": _BlockTest(
            (now.spread > wide) | is_narrow, now.spread, _usual(old.spread), np.where(is_narrow, narrow, wide)
        ),
    }


def _unit_test(old: BlockStatistics, now: BlockStatistics, moved: NDArray[np.bool_]) -> _BlockTest:
    """Return the test of the magnitude: far from that of every past block, or moved by about a power of ten."""
    usual = _usual(old.magnitude[-MIN_PAST:])
    largest, smallest = _largest(old.magnitude), _smallest(old.magnitude)
    far = (now.magnitude > UNIT_LIMIT * largest) | (now.magnitude < smallest / UNIT_LIMIT)
    tens = np.log10(now.magnitude / (usual or np.nan))
    near_ten = (np.abs(tens - np.rint(tens)) <= POWER_OF_TEN) & (np.rint(tens) != 0) & moved
    return _BlockTest(far | near_ten, now.magnitude, usual, UNIT_LIMIT * usual)


def _least_correlation(usually: Floats, length: int) -> float:
    """Return the smallest plausible correlation of a block, -1 if the past has too few or has none to lose."""
    if length < MIN_CORRELATED or (~np.isnan(usually)).sum() < MIN_CORRELATED_BLOCKS:
        return -1.0
    usual = float(np.nanmedian(usually))
    if usual < MIN_CORRELATION:
        return -1.0
    return min(float(np.nanmin(usually)) - CORRELATION_LIMIT, usual / 2)


def _usual(values: Floats) -> float:
    """Return the median without NaN; 0 if there are only NaN."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _largest(values: Floats) -> float:
    """Return the largest value without NaN; NaN if there are only NaN: then no value is above it."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else np.nan


def _smallest(values: Floats) -> float:
    """Return the smallest value without NaN; NaN if there are only NaN: then no value is below it."""
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else np.nan


def _level_test(old: BlockStatistics, now: BlockStatistics) -> _BlockTest:
    """Return the test of the distance of the level from that of the last past block.

    The limit is a multiple of the largest distance between two past blocks as far apart. If the past is shorter than
    that, the largest distance grows with time as a trend would.
    """
    apart = np.ceil((now.start + now.length) / now.length).astype(np.int64)
    lags = np.minimum(apart, max(1, len(old.level) // 2))
    by_lag = np.zeros(int(lags.max()) + 1)
    for lag in np.unique(lags):
        distances = np.abs(old.level[lag:] - old.level[:-lag])
        by_lag[lag] = np.max(distances[~np.isnan(distances)], initial=0.0)
    reach = np.maximum.accumulate(by_lag)[lags] * np.maximum(1.0, apart / lags)
    doubt = 1 + FEW_BLOCKS / (len(old.level) - lags)
    most = LEVEL_LIMIT * doubt * reach + 2 * _usual(old.difference)
    last = float(old.level[-1])
    move = now.level - last
    return _BlockTest(np.abs(move) > most, now.level, last, last + np.sign(move) * most)
