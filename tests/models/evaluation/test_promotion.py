"""The gate: each verdict with its reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.data_audit import Audit, AuditFinding
from models.evaluation.origins import WindowSpan
from models.evaluation.promotion import Evidence, FormerErrors, GateOutcome, Policy, decide
from models.evaluation.refit_check import RefitCheck, RefitErrors

BETTER: dict[str, Any] = {"champion": 3, "theirs": 1.25, "ours": 0.75, "baseline": 1.0, "origins": 20, "windows": 60}
SKILL: dict[str, Any] = {"champion": 3, "measure": "skill", "theirs": 0.125, "ours": 0.25}
MERIT = "MASE 0.75 is below the 1.25 of version 3 on windows that neither was trained on"
# policy, evidence, promote, outcome, reason
TABLE: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, str]] = {
    "the first": ({}, {}, "if_better", "promoted", "the first version"),
    "better": ({}, BETTER, "if_better", "promoted", MERIT),
    "equal": (
        {},
        {**BETTER, "ours": 1.25},
        "if_better",
        "kept",
        "MASE 1.25 is not below the 1.25 of version 3 on windows that neither was trained on",
    ),
    "a tie": (
        {},
        {**BETTER, "ours": 1.25 * (1 - 8.8e-10)},
        "if_better",
        "kept",
        "MASE 1.25 is below the 1.25 of version 3 on windows that neither was trained on; but a gain of less than 0.1% "
        "is a tie, in which the champion stays",
    ),
    "a gain that is no tie": (
        {},
        {**BETTER, "ours": 1.0, "theirs": 1.0020},
        "if_better",
        "promoted",
        "MASE 1 is below the 1.002 of version 3 on windows that neither was trained on",
    ),
    "two exact versions, whose rounding differs": (
        {},
        {**BETTER, "ours": 1e-16, "theirs": 4e-16},
        "if_better",
        "kept",
        "MASE 1e-16 is not below the 4e-16 of version 3 on windows that neither was trained on",
    ),
    "a gain that is too small": (
        {"minimum_gain": 0.5},
        BETTER,
        "if_better",
        "kept",
        f"{MERIT}; that is a gain of 40.00%, less than the required 50.00%",
    ),
    "a gain that is just enough": ({"minimum_gain": 0.4}, BETTER, "if_better", "promoted", MERIT),
    "worse than seasonal naive": (
        {},
        {**BETTER, "baseline": 0.5},
        "if_better",
        "kept",
        f"{MERIT}; but it is above the 0.5 of seasonal naive there",
    ),
    "as good as seasonal naive, which it is": ({}, {**BETTER, "baseline": 0.75}, "if_better", "promoted", MERIT),
    "worse than seasonal naive, which may be": (
        {"must_beat_baseline": False},
        {**BETTER, "baseline": 0.5},
        "if_better",
        "promoted",
        MERIT,
    ),
    "sure": ({"confidence": 0.9}, {**BETTER, "confidence": 0.9}, "if_better", "promoted", MERIT),
    "not sure": (
        {"confidence": 0.9},
        {**BETTER, "confidence": 0.75},
        "if_better",
        "kept",
        f"{MERIT}; but the confidence is 75.0%, not the required 90%, from 20 origins",
    ),
    "too few origins": (
        {"confidence": 0.9},
        {**BETTER, "origins": 4},
        "if_better",
        "kept",
        f"{MERIT}; but 4 origins cannot give a confidence, and 90% is required",
    ),
    "manual approval": (
        {"approval": "manual"},
        BETTER,
        "if_better",
        "pending",
        f"{MERIT}; it waits for approval",
    ),
    "a worse version needs no approval": (
        {"approval": "manual"},
        {**BETTER, "ours": 1.5},
        "if_better",
        "kept",
        "MASE 1.5 is not below the 1.25 of version 3 on windows that neither was trained on",
    ),
    "more skill": (
        {},
        SKILL,
        "if_better",
        "promoted",
        "skill 0.25 is above the 0.125 of version 3, each in its own backtest",
    ),
    "no skill, but more than the champion": (
        {},
        {**SKILL, "theirs": -0.5, "ours": -0.25},
        "if_better",
        "kept",
        "skill -0.25 is above the -0.5 of version 3, each in its own backtest; "
        "but it has less skill than seasonal naive",
    ),
    "skill cannot be sure": (
        {"confidence": 0.8},
        SKILL,
        "if_better",
        "kept",
        "skill 0.25 is above the 0.125 of version 3, each in its own backtest; "
        "but separate backtests cannot give a confidence, and 80% is required",
    ),
    "not to be compared": (
        {},
        {"champion": 3, "ours": 0.75},
        "if_better",
        "kept",
        "the two cannot be compared on these data, version 3 stays; move the alias by hand",
    ),
    "not to be used": (
        {"confidence": 0.9},
        {"champion": 3, "usable": False},
        "if_better",
        "promoted",
        "version 3 can no longer be used",
    ),
    "always, though worse": ({}, {**BETTER, "ours": 2.0}, "always", "promoted", "the job says to promote always"),
    "never, though better": ({}, BETTER, "never", "kept", "the job says to promote never"),
}


@pytest.mark.parametrize(("policy", "evidence", "promote", "outcome", "reason"), TABLE.values(), ids=TABLE)
def test_each_verdict_with_its_reason(
    policy: dict[str, Any], evidence: dict[str, Any], promote: str, outcome: GateOutcome, reason: str
) -> None:
    verdict = decide(Policy(**policy), Evidence(**evidence), promote)
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_the_verdict_holds_all_numbers_of_the_decision() -> None:
    numbers = decide(Policy(), Evidence(**BETTER, confidence=0.875)).numbers
    assert numbers == {**BETTER, "usable": True, "measure": "MASE", "confidence": 0.875, "gain": 0.4}


def test_a_policy_survives_json_and_missing_fields_have_defaults() -> None:
    policy = Policy(minimum_gain=0.25, confidence=0.9, approval="manual")
    assert Policy.from_json(policy.to_json()) == policy
    assert Policy.from_json({"confidence": 0.9}) == Policy(confidence=0.9)


ERRORS = st.floats(0, 10)


@given(ERRORS, ERRORS, ERRORS, st.floats(0, 1), st.floats(0, 0.9), st.floats(0.5, 0.99))
def test_a_stricter_policy_promotes_nothing_more(
    ours: float, theirs: float, baseline: float, sure: float, gain: float, asked: float
) -> None:
    evidence = Evidence(champion=1, ours=ours, theirs=theirs, baseline=baseline, confidence=sure)
    loose, strict = Policy(must_beat_baseline=False), Policy(minimum_gain=gain, confidence=asked)
    if decide(strict, evidence).outcome == "promoted":
        assert decide(loose, evidence).outcome == "promoted"
        assert ours < theirs
        assert ours <= baseline * 1.001
        assert sure >= asked


@pytest.mark.parametrize("error", [{"ours": float("nan")}, {"theirs": float("nan")}, {"ours": float("inf")}])
def test_nan_and_infinity_give_no_gain(error: dict[str, float]) -> None:
    verdict = decide(Policy(must_beat_baseline=False), Evidence(**{**BETTER, **error}))
    assert verdict.outcome == "kept"
    assert "cannot be compared" in verdict.reason


SPAN = WindowSpan(first="2024-01-01", last="2024-02-01", origins=5, windows=15)


def former(ours: float, theirs: float = 1.0) -> Evidence:
    return Evidence(**BETTER, former=FormerErrors(ours=ours, theirs=theirs, span=SPAN))


@pytest.mark.parametrize(
    ("tolerance", "ours", "outcome"),
    [
        (0.1, 1.1, "promoted"),
        (0.1, 1.2, "kept"),
        (0.25, 1.2, "promoted"),
        (0.0, 1.0, "promoted"),
        (None, 9.0, "promoted"),
    ],
)
def test_a_version_that_is_worse_on_the_champions_own_windows_is_not_promoted(
    tolerance: float | None, ours: float, outcome: str
) -> None:
    verdict = decide(Policy(former_tolerance=tolerance), former(ours))
    assert verdict.outcome == outcome
    if outcome == "kept":
        assert verdict.reason == (
            f"{MERIT}; but it is worse on those of the champion's backtest: 1.2 to 1, on 15 windows from 2024-01-01 to "
            "2024-02-01"
        )


def audited(accepted: bool = False) -> Audit:
    found = AuditFinding(
        code="level",
        series=2,
        checked=4,
        example="a",
        before=10,
        after=30,
        limit=20,
        points=28,
        accepted=accepted,
    )
    return Audit(checked=4, points=60, findings=(found,))


SAID = "the new rows differ from the past: the level has moved in 2 of 4 series: 30, 10 before, limit 20"


@pytest.mark.parametrize(
    ("policy", "outcome", "reason"),
    [
        ("block", "kept", SAID),
        ("ask", "pending", f"{MERIT}; but {SAID}; it waits for approval"),
        ("warn", "promoted", f"{MERIT}; but {SAID}"),
    ],
)
def test_new_rows_that_differ_from_the_past_block_ask_or_warn(policy: Any, outcome: str, reason: str) -> None:
    verdict = decide(Policy(audit=policy), Evidence(**BETTER, audit=audited()))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert verdict.numbers["audit"]["findings"][0]["code"] == "level"
    accepted = decide(Policy(audit=policy), Evidence(**BETTER, audit=audited(accepted=True)))
    assert (accepted.outcome, accepted.reason) == ("promoted", MERIT)


UNUSABLE = "version 3 can no longer be used"
ALWAYS = "the job says to promote always"


@pytest.mark.parametrize(
    ("policy", "promote", "usable", "outcome", "reason"),
    [
        ("block", "always", True, "kept", SAID),
        ("ask", "always", True, "pending", f"{ALWAYS}; but {SAID}; it waits for approval"),
        ("warn", "always", True, "promoted", f"{ALWAYS}; but {SAID}"),
        ("block", "if_better", False, "kept", SAID),
        ("ask", "if_better", False, "pending", f"{UNUSABLE}; but {SAID}; it waits for approval"),
        ("warn", "if_better", False, "promoted", f"{UNUSABLE}; but {SAID}"),
        ("ask", "never", True, "kept", "the job says to promote never"),
    ],
)
def test_the_audit_holds_without_a_comparison_too(
    policy: Any, promote: str, usable: bool, outcome: str, reason: str
) -> None:
    evidence = Evidence(champion=3, usable=usable, audit=audited())
    verdict = decide(Policy(audit=policy), evidence, promote)
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


@pytest.mark.parametrize("policy", ["block", "ask"])
@pytest.mark.parametrize(("promote", "merit"), [("always", ALWAYS), ("if_better", MERIT)])
def test_force_promotes_against_the_audit_and_the_reason_says_so(policy: Any, promote: str, merit: str) -> None:
    verdict = decide(Policy(audit=policy), Evidence(**BETTER, audit=audited(), forced=True), promote)
    assert (verdict.outcome, verdict.reason) == ("promoted", f"{merit}; {SAID}; 'force' is given")


def test_a_refit_that_is_not_kept_is_part_of_the_reason() -> None:
    errors = RefitErrors(on="former", windows=9, before=1.0, after=2.0, distance=1.5)
    verdict = decide(Policy(), Evidence(**BETTER, refit=RefitCheck(kept=False, sets=(errors,))))
    assert verdict.outcome == "promoted"
    assert verdict.reason == (
        f"{MERIT}; it is served as it was compared, because training on the newest points made it worse"
    )
    assert verdict.numbers["refit"] == {
        "kept": False,
        "sets": ({"on": "former", "windows": 9, "before": 1.0, "after": 2.0, "distance": 1.5},),
    }


def test_numbers_without_an_audit_are_those_of_earlier_releases() -> None:
    assert set(Evidence(**BETTER).to_json()) == {
        "champion",
        "usable",
        "measure",
        "ours",
        "theirs",
        "baseline",
        "confidence",
        "origins",
        "windows",
        "gain",
    }


def test_a_policy_of_an_earlier_release_has_the_defaults_of_the_fields_that_it_lacks() -> None:
    stored = {"minimum_gain": 0.1, "confidence": 0.9, "must_beat_baseline": False, "approval": "manual"}
    assert Policy.from_json(stored) == Policy(
        minimum_gain=0.1, confidence=0.9, must_beat_baseline=False, approval="manual", audit="ask"
    )


def test_a_moved_level_is_accepted_after_three_seasons_two_horizons_or_28_steps() -> None:
    assert [Policy().steps_to_accept(*each) for each in ((1, 1), (12, 6), (7, 30))] == [28, 36, 60]
    assert Policy(accept_after=5).steps_to_accept(12, 6) == 5
