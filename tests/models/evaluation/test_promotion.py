"""The gate: each verdict with its reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.promotion import Evidence, GateOutcome, Policy, decide

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
