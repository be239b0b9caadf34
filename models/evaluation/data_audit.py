"""Audit of the points that series got since a model was trained: are they still the same measurements?

A broken sensor gives numbers as readily as a working one. The new points of a series are cut into blocks of one length,
and each block is compared with the blocks of the series' own past, so that the natural variation of the series sets the
limits. A series is affected if enough of its new blocks lie beyond them, a panel if enough of its series are affected.

A level that has moved while season and noise are as before may be a true change: it is accepted once it has lasted.
Noise, zeros, a repeated value, another unit and missing values are never accepted because of their age.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import get_args

import numpy as np

from models.data.panel import Panel
from models.evaluation.block_comparisons import (
    AuditCode,
    BlockTest,
    compare_level,
    compare_shares,
    compare_unit,
    compare_variation,
)
from models.evaluation.block_statistics import BlockStatistics, block_length, blocks_of
from models.types import Floats, Ints, JsonObject

SHARE_OF_BLOCKS = 0.1  # of the new blocks of a series, from which on the series is affected
SHARE_OF_SERIES = 0.15  # of the series with new points, from which on the panel is affected
MAX_SERIES = 1_000  # evenly chosen from the panel, so that an audit takes seconds


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
    old, now = blocks_of(past, new, length, season)
    level = compare_level(old, now)
    tests = compare_shares(old, now) | compare_variation(old, now)
    tests |= {"unit": compare_unit(old, now, level.beyond), "level": level}
    return {code: _symptom(now, test) for code, test in tests.items() if np.mean(test.beyond) >= SHARE_OF_BLOCKS}


def _symptom(now: BlockStatistics, test: BlockTest) -> _Symptom:
    limits = np.broadcast_to(test.limit, test.after.shape)[test.beyond]
    after, first = float(np.median(test.after[test.beyond])), int(np.flatnonzero(test.beyond)[0])
    # It lasts if no later block is nearer to the past than to the blocks beyond the limit.
    since = test.after[first:]
    lasts = bool((np.abs(since - test.before) >= np.abs(since - after)).all())
    points = int(now.start[-1] + now.length - now.start[first]) if lasts else 0
    return _Symptom(test.before, after, float(np.median(limits)), points)
