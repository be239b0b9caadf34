"""The gate: whether a new version takes the champion's place. A rule and numbers in, a verdict in words out."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Approval = Literal["automatic", "manual"]
GateOutcome = Literal["promoted", "kept", "pending"]

ROUNDING = 1e-6  # of an error: seasonal naive as a member of a forecaster differs from the baseline by no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a new version takes the champion's place.

    ``minimum_gain``: by what share of the champion's MASE its own must be smaller; ``confidence``: how sure that must
    be (0.5 to 1), None for no matter; ``must_beat_baseline``: never where it is worse than seasonal naive;
    ``approval``: manual where a person has the last word.
    """

    minimum_gain: float = 0.0
    confidence: float | None = None
    must_beat_baseline: bool = True
    approval: Approval = "automatic"

    def to_json(self) -> dict[str, Any]:
        """The policy as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Policy":
        """The policy that ``to_json`` described; what is left out is as by default."""
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a new version beside the ``champion``, a version's number (None: there is none yet).

    ``measure``: MASE, all of them on the same ``windows`` of ``origins`` that neither was taught; or skill, that of
    each in its own backtest. ``usable``: whether the champion can be served at all. ``confidence``: how sure it is that
    the new one errs less, from paired errors at each origin. None is what cannot be said.
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
        """By what share of the champion's error the new version's is smaller; of errors relative to the baseline."""
        if self.ours is None or self.theirs is None or not (math.isfinite(self.ours) and math.isfinite(self.theirs)):
            return None
        ours, theirs = (self.ours, self.theirs) if self.measure == "MASE" else (1 - self.ours, 1 - self.theirs)
        if theirs <= 0:
            return 0.0 if ours >= theirs else 1.0
        return 1 - ours / theirs

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON values, ``gain`` among them."""
        return {**asdict(self), "gain": self.gain}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says: ``promoted``, ``kept`` (the champion stays) or ``pending`` (a person must say); and why."""

    outcome: GateOutcome
    reason: str
    numbers: dict[str, Any]


def decide(policy: Policy, evidence: Evidence, promote: str = "if_better") -> Verdict:
    """What ``policy`` makes of ``evidence``.

    The first version of a model is promoted though it may not beat seasonal naive: without a champion the model answers
    nobody, and its answers say how good it is. So is one that takes the place of a champion that cannot be served.

    Args:
        policy: the rule.
        evidence: what it is applied to.
        promote: ``if_better``; ``always`` and ``never`` have their way whatever the policy says.
    """
    numbers = evidence.to_json()
    if promote != "if_better":
        outcome: GateOutcome = "promoted" if promote == "always" else "kept"
        return Verdict(outcome=outcome, reason=f"the job says to promote {promote}", numbers=numbers)
    objection = _objection(policy, evidence)
    if objection is not None:
        return Verdict(outcome="kept", reason=objection, numbers=numbers)
    if policy.approval == "manual":
        return Verdict(outcome="pending", reason=f"{_merit(evidence)}; a person has to approve it", numbers=numbers)
    return Verdict(outcome="promoted", reason=_merit(evidence), numbers=numbers)


def _objection(policy: Policy, evidence: Evidence) -> str | None:
    """Why the champion stays; None where nothing speaks for it."""
    gain, name = evidence.gain, f"version {evidence.champion}"
    if evidence.champion is None or not evidence.usable:
        return None
    if gain is None:
        return f"the two cannot be compared on these data, {name} stays; move the alias by hand if you want"
    if gain <= 0:
        return _compared(evidence, "not below", "not above")
    if gain < policy.minimum_gain:
        return f"{_merit(evidence)}; that is a gain of {gain:.2%}, less than the {policy.minimum_gain:.2%} asked for"
    if policy.must_beat_baseline and _is_worse_than_baseline(evidence):
        return f"{_merit(evidence)}; but {_beside_baseline(evidence)}"
    return _doubt(policy, evidence)


def _is_worse_than_baseline(evidence: Evidence) -> bool:
    # Not where it is as good: then it is seasonal naive itself, and the champion, which errs more, is worse than that.
    if evidence.measure == "skill":
        return evidence.ours is None or evidence.ours < -ROUNDING
    if evidence.ours is None or evidence.baseline is None:
        return False
    return evidence.ours > evidence.baseline * (1 + ROUNDING)


def _beside_baseline(evidence: Evidence) -> str:
    if evidence.measure == "skill":
        return "it has less skill than seasonal naive"
    return f"it is above the {evidence.baseline:.4g} of seasonal naive there"


def _doubt(policy: Policy, evidence: Evidence) -> str | None:
    if policy.confidence is None:
        return None
    if evidence.confidence is None:
        few = f"{evidence.origins} origins" if evidence.measure == "MASE" else "backtests of their own"
        return f"{_merit(evidence)}; but {few} do not tell how sure that is, and {policy.confidence:.0%} is asked for"
    if evidence.confidence < policy.confidence:
        sure = f"{evidence.confidence:.1%} sure, not the {policy.confidence:.0%} asked for"
        return f"{_merit(evidence)}; but that is {sure}, from {evidence.origins} origins"
    return None


def _merit(evidence: Evidence) -> str:
    """What speaks for the new version."""
    if evidence.champion is None:
        return "the first version"
    if not evidence.usable:
        return f"version {evidence.champion} cannot be used any more"
    return _compared(evidence, "below", "above")


def _compared(evidence: Evidence, below: str, above: str) -> str:
    name = f"version {evidence.champion}"
    if evidence.measure == "MASE":
        both = f"MASE {evidence.ours:.4g} is {below} the {evidence.theirs:.4g} of {name}"
        return f"{both} on windows that neither was taught"
    return f"skill {evidence.ours:.4g} is {above} the {evidence.theirs:.4g} of {name}, each in its own backtest"
