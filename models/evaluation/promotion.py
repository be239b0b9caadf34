"""The promotion gate: decides from a policy and measured errors whether a new version replaces the champion."""

import math
from dataclasses import asdict, dataclass
from typing import Literal

from models.types import JsonObject

Approval = Literal["automatic", "manual"]
GateOutcome = Literal["promoted", "kept", "pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Conditions under which a new version replaces the champion.

    ``minimum_gain``: relative reduction of the champion's MASE that is required; ``confidence``: required confidence
    that the new version is better (0.5 to 1), None for none; ``must_beat_baseline``: require an error not above
    seasonal naive's; ``approval``: manual if a person makes the final decision.
    """

    minimum_gain: float = 0.0
    confidence: float | None = None
    must_beat_baseline: bool = True
    approval: Approval = "automatic"

    def to_json(self) -> JsonObject:
        """Return the policy as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: JsonObject) -> "Policy":
        """Return the policy that ``to_json`` described; missing fields have their defaults."""
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Comparison of a new version with the ``champion``, a version's number (None: there is none yet).

    ``measure``: MASE, of both on the same ``windows`` of ``origins`` that neither was trained on; or skill, of each in
    its own backtest. ``usable``: whether the champion can be served. ``confidence``: that the new version has a smaller
    error, from paired errors at each origin. None means unknown.
    """

    champion: int | None = None
    usable: bool = True
    measure: Literal["MASE", "skill"] = "MASE"
    ours: float | None = None
    theirs: float | None = None
    baseline: float | None = None
    confidence: float | None = None
    origins: int = 0
    windows: int = 0

    @property
    def gain(self) -> float | None:
        """Return the relative reduction of the champion's error; with skills, errors are relative to the baseline."""
        if self.ours is None or self.theirs is None or not (math.isfinite(self.ours) and math.isfinite(self.theirs)):
            return None
        ours, theirs = (self.ours, self.theirs) if self.measure == "MASE" else (1 - self.ours, 1 - self.theirs)
        if theirs <= 0:
            return 0.0 if ours >= theirs else 1.0
        return 1 - ours / theirs

    def to_json(self) -> JsonObject:
        """Return the numbers as JSON values, including ``gain``."""
        return {**asdict(self), "gain": self.gain}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Decision of the gate, with its reason: ``promoted``, ``kept`` (the champion stays) or ``pending`` (approval)."""

    outcome: GateOutcome
    reason: str
    numbers: JsonObject


def decide(policy: Policy, evidence: Evidence, promote: str = "if_better") -> Verdict:
    """Apply ``policy`` to ``evidence`` and return the decision.

    The first version of a model is promoted even if it does not beat seasonal naive: without a champion the model
    cannot answer, and its answers state its skill. The same holds for a version that replaces an unusable champion.

    Args:
        policy: the conditions.
        evidence: the comparison.
        promote: ``if_better``; ``always`` and ``never`` override the policy.
    """
    numbers = evidence.to_json()
    if promote != "if_better":
        outcome: GateOutcome = "promoted" if promote == "always" else "kept"
        return Verdict(outcome=outcome, reason=f"the job says to promote {promote}", numbers=numbers)
    objection = _objection(policy, evidence)
    if objection is not None:
        return Verdict(outcome="kept", reason=objection, numbers=numbers)
    if policy.approval == "manual":
        return Verdict(outcome="pending", reason=f"{_merit(evidence)}; it waits for approval", numbers=numbers)
    return Verdict(outcome="promoted", reason=_merit(evidence), numbers=numbers)


def _objection(policy: Policy, evidence: Evidence) -> str | None:
    """Return the reason why the champion stays; None if the new version may replace it."""
    gain, doubt = evidence.gain, None
    if evidence.champion is None or not evidence.usable:
        return None
    if gain is None:
        return f"the two cannot be compared on these data, version {evidence.champion} stays; move the alias by hand"
    if gain <= 0:
        return _comparison(evidence, "not below", "not above")
    if gain < policy.minimum_gain:
        return f"{_merit(evidence)}; that is a gain of {gain:.2%}, less than the required {policy.minimum_gain:.2%}"
    if policy.must_beat_baseline:
        doubt = _below_baseline(evidence)
    if doubt is None and policy.confidence is not None:
        doubt = _low_confidence(policy.confidence, evidence)
    return None if doubt is None else f"{_merit(evidence)}; but {doubt}"


def _low_confidence(required: float, evidence: Evidence) -> str | None:
    """Return that the confidence is below ``required``; None if it is not."""
    if evidence.confidence is None:
        few = f"{evidence.origins} origins" if evidence.measure == "MASE" else "separate backtests"
        return f"{few} cannot give a confidence, and {required:.0%} is required"
    if evidence.confidence < required:
        reached = f"{evidence.confidence:.1%}, not the required {required:.0%}"
        return f"the confidence is {reached}, from {evidence.origins} origins"
    return None


def _below_baseline(evidence: Evidence) -> str | None:
    """Return that the new version is worse than seasonal naive; None if it is not, or if that is unknown.

    An equal error is accepted: then the new version is seasonal naive itself, and the champion is worse than that.
    """
    if evidence.measure == "skill":
        worse = evidence.ours is None or evidence.ours < 0
        return "it has less skill than seasonal naive" if worse else None
    if evidence.ours is None or evidence.baseline is None or evidence.ours <= evidence.baseline:
        return None
    return f"it is above the {evidence.baseline:.4g} of seasonal naive there"


def _merit(evidence: Evidence) -> str:
    """Return the reason to promote the new version."""
    if evidence.champion is None:
        return "the first version"
    if not evidence.usable:
        return f"version {evidence.champion} can no longer be used"
    return _comparison(evidence, "below", "above")


def _comparison(evidence: Evidence, below: str, above: str) -> str:
    name = f"version {evidence.champion}"
    if evidence.measure == "MASE":
        both = f"MASE {evidence.ours:.4g} is {below} the {evidence.theirs:.4g} of {name}"
        return f"{both} on windows that neither was trained on"
    return f"skill {evidence.ours:.4g} is {above} the {evidence.theirs:.4g} of {name}, each in its own backtest"
