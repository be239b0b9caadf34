"""The promotion gate: decides from a policy and measured errors whether a new version replaces the champion."""

import math
from dataclasses import asdict, dataclass
from typing import Literal

from models.evaluation.data_audit import Audit
from models.evaluation.metrics import relative_error
from models.evaluation.origins import WindowSpan
from models.evaluation.refit_check import RefitCheck
from models.types import JsonObject

Approval = Literal["automatic", "manual"]
AuditPolicy = Literal["block", "ask", "warn"]
GateOutcome = Literal["promoted", "kept", "pending"]

MIN_STEPS_TO_ACCEPT = 28
SMALLEST_GAIN = 0.001  # share of the champion's error; a smaller one is a tie, in which the champion stays
# Fields of the evidence that decisions of earlier releases do not have.
PARTS = ("required_windows", "newest", "former", "refit", "audit", "other_dataset", "forced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Conditions under which a new version replaces the champion.

    ``minimum_gain``: relative reduction of the champion's MASE that is required, in any case ``SMALLEST_GAIN``;
    ``confidence``: required confidence that the new version is better (0.5 to 1), None for none;
    ``must_beat_baseline``: require an error not above seasonal naive's; ``approval``: manual if a person makes the
    final decision. ``former_tolerance``: share by which the error may be larger than the champion's on the champion's
    own backtest windows, None for any.

    ``audit``: effect of new points that differ from the past of their series: ``block`` trains nothing, ``ask`` leaves
    the decision to a person, ``warn`` lists the differences. ``accept_after``: steps after which a moved level with an
    unchanged season and spread counts as a true change; None: see ``steps_to_accept``.
    """

    minimum_gain: float = 0.0
    confidence: float | None = None
    must_beat_baseline: bool = True
    approval: Approval = "automatic"
    former_tolerance: float | None = 0.1
    audit: AuditPolicy = "ask"
    accept_after: int | None = None

    def steps_to_accept(self, season: int, horizon: int) -> int:
        """Return ``accept_after``, by default three seasons, two horizons and 28 steps, the longest of them."""
        return self.accept_after or max(3 * season, 2 * horizon, MIN_STEPS_TO_ACCEPT)

    def to_json(self) -> JsonObject:
        """Return the policy as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: JsonObject) -> "Policy":
        """Return the policy that ``to_json`` described; missing fields have their defaults."""
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerErrors:
    """Errors of the new version and of the champion on the windows of the champion's own backtest.

    ``theirs`` is the larger of two: of the champion as it is served, which has seen the windows, and of its backtest.
    """

    ours: float
    theirs: float
    span: WindowSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Comparison of a new version with the ``champion``, a version's number (None: there is none yet).

    ``measure``: MASE, of both on the same ``windows`` of ``origins`` that neither was trained on; or skill, of each in
    its own backtest on the same data. ``usable``: whether the champion can be served. ``confidence``: that the new
    version has a smaller error, from paired errors at each origin. None means unknown.

    ``required_windows``: set if fewer ``windows`` than this are new to both. ``newest``: the span of the compared
    windows. ``former``: the comparison on the champion's own. ``refit``: the comparison of the served version with the
    compared one. ``other_dataset``: the champion was trained on another data set; ``forced``: it is compared anyway,
    and the findings of the ``audit`` are listed but not obeyed.
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
    required_windows: int | None = None
    newest: WindowSpan | None = None
    former: FormerErrors | None = None
    refit: RefitCheck | None = None
    audit: Audit | None = None
    other_dataset: bool = False
    forced: bool = False

    @property
    def gain(self) -> float | None:
        """Return the relative reduction of the champion's error; with skills, errors are relative to the baseline.

        Two exact forecasts are equal, however their rounding differs.
        """
        if self.ours is None or self.theirs is None or not (math.isfinite(self.ours) and math.isfinite(self.theirs)):
            return None
        ours, theirs = (self.ours, self.theirs) if self.measure == "MASE" else (1 - self.ours, 1 - self.theirs)
        return 1 - relative_error(ours, theirs)

    def to_json(self) -> JsonObject:
        """Return the numbers as JSON values, including ``gain``; without the parts that do not exist."""
        values = {name: value for name, value in asdict(self).items() if name not in PARTS or value}
        return {**values, "gain": self.gain}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Decision of the gate, with its reason: ``promoted``, ``kept`` (the champion stays) or ``pending`` (approval)."""

    outcome: GateOutcome
    reason: str
    numbers: JsonObject


def decide(policy: Policy, evidence: Evidence, promote: str = "if_better") -> Verdict:
    """Apply ``policy`` to ``evidence`` and return the decision.

    The first version of a model is promoted even if it does not beat seasonal naive: without a champion the model
    cannot answer, and its answers state its skill. The same holds for a version that replaces an unusable champion. But
    no version is promoted against the audit: numbers of a broken sensor are no better for being wanted or needed.

    Args:
        policy: the conditions.
        evidence: the comparison.
        promote: ``if_better``; ``always`` omits the comparison, not the audit; ``never`` keeps the champion.
    """
    outcome, reason = _decide(policy, evidence, promote)
    if evidence.refit is not None and not evidence.refit.kept:
        reason += "; it is served as it was compared, because training on the newest points made it worse"
    return Verdict(outcome=outcome, reason=reason, numbers=evidence.to_json())


def _decide(policy: Policy, evidence: Evidence, promote: str) -> tuple[GateOutcome, str]:
    """Return the outcome and its reason."""
    findings = open_findings(evidence.audit)
    if findings is not None and policy.audit == "block" and not evidence.forced:
        return "kept", findings
    order = f"the job says to promote {promote}"
    if promote == "never":
        return "kept", order
    if promote == "if_better":
        objection = _objection(policy, evidence)
        if objection is not None:
            return "kept", objection
    reason = order if promote == "always" else _merit(evidence)
    if findings is not None:
        reason += f"; {findings}; 'force' is given" if evidence.forced else f"; but {findings}"
    asks = findings is not None and policy.audit == "ask" and not evidence.forced
    if asks or (promote == "if_better" and policy.approval == "manual"):
        return "pending", f"{reason}; it waits for approval"
    return "promoted", reason


def open_findings(audit: Audit | None) -> str | None:
    """Return in words how the new points differ from the past; None if they do not, or if they were not audited."""
    if audit is None or not audit.open:
        return None
    return f"the new rows differ from the past: {audit.describe()}"


def _objection(policy: Policy, evidence: Evidence) -> str | None:
    """Return the reason why the champion stays; None if the new version may replace it."""
    if evidence.champion is None or not evidence.usable:
        return None
    gain, obstacle = evidence.gain, _obstacle(policy, evidence)
    if gain is None or obstacle is not None:
        unknown = f"the two cannot be compared on these data, version {evidence.champion} stays; move the alias by hand"
        return obstacle or unknown
    if gain < SMALLEST_GAIN:
        if gain <= 0:
            return _comparison(evidence, "not below", "not above")
        return f"{_merit(evidence)}; but a gain of less than {SMALLEST_GAIN:.1%} is a tie, in which the champion stays"
    if gain < policy.minimum_gain:
        return f"{_merit(evidence)}; that is a gain of {gain:.2%}, less than the required {policy.minimum_gain:.2%}"
    doubt = _worse_before(policy.former_tolerance, evidence.former)
    if doubt is None and policy.must_beat_baseline:
        doubt = _below_baseline(evidence)
    if doubt is None and policy.confidence is not None:
        doubt = _low_confidence(policy.confidence, evidence)
    return None if doubt is None else f"{_merit(evidence)}; but {doubt}"


def _obstacle(policy: Policy, evidence: Evidence) -> str | None:
    """Return the reason why a comparison has no meaning, with the remedy; None if it has."""
    name = f"version {evidence.champion}"
    if evidence.other_dataset and not evidence.forced:
        remedy = "give 'force' to let this version replace it, or move the alias by hand"
        return f"{name} was trained on another data set; {remedy}"
    if evidence.required_windows is None:
        return None
    new = f"{evidence.windows} windows lie after the data that {name} was trained on"
    return f"{new}, and {evidence.required_windows} are required; append more rows, or move the alias by hand"


def _worse_before(tolerance: float | None, former: FormerErrors | None) -> str | None:
    """Return that the new version is worse on the champion's own windows; None if it is not, beyond ``tolerance``."""
    if tolerance is None or former is None:
        return None
    if former.ours <= former.theirs * (1 + tolerance):
        return None
    span = f"{former.span.windows} windows from {former.span.first} to {former.span.last}"
    return f"it is worse on those of the champion's backtest: {former.ours:.4g} to {former.theirs:.4g}, on {span}"


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
    return f"skill {evidence.ours:z.4g} is {above} the {evidence.theirs:z.4g} of {name}, each in its own backtest"
