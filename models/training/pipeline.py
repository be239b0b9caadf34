"""Training pipeline: from a panel to a forecaster that may be served, with its backtest.

Importing this module imports Keras and its backend.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import numpy as np

from models.data.panel import Panel
from models.engines.keras import KerasEngine, set_weights
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.errors import ModelBroken
from models.evaluation.backtest import Evaluation, baseline_errors, evaluate, score
from models.evaluation.intervals import Calibration
from models.evaluation.mean import MeanCorrection
from models.evaluation.origins import BacktestPlan, Origins, origins_of
from models.evaluation.report import BacktestReport
from models.evaluation.scoring import skill
from models.evaluation.width_match import match_widths
from models.forecasting.bounding import limits_of
from models.forecasting.forecaster import Forecaster, Member, make_runnable, predict
from models.network.build import weight_shapes
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.training.blending import blend
from models.training.checkpoint import Checkpoint, CheckpointEntry
from models.training.compile import MAX_COMPILED
from models.training.fit import Progress, no_skill, train_member
from models.training.member_plan import MemberPlan, refit_epochs
from models.training.report import TrainingFacts
from models.types import Weights

MIN_MATCHED, MAX_MATCHED = 64, 1_024  # windows on which the intervals after a refit are made as wide as before
MAX_VALIDATION_WINDOWS = 64  # windows of the backtest on which the skill is measured during training


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """``forecaster`` is served; ``evaluation`` is the backtest of its members before they were refitted.

    ``backtested`` are those members, for comparison with others on the same origins; ``facts`` belong in the report.
    """

    forecaster: Forecaster
    evaluation: Evaluation
    backtested: tuple[Member, ...]
    origins: Origins
    facts: TrainingFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHooks:
    """Callbacks of ``train_pipeline``: start of a phase (``fit``, ``backtest``, ``refit``), progress, cancellation.

    ``is_due``: returns whether to measure the skill of the network now in training. ``checkpoint``: holds the steps
    finished before an interruption; each step stores its state there. ``keeps_refit``: returns whether to serve
    members after their refit, from the members before and after it and the origins; otherwise those before are served.
    """

    on_phase: Callable[[str], None] = lambda phase: None
    on_progress: Callable[[str, int, Progress], None] = lambda phase, member, progress: None
    should_stop: Callable[[], bool] = lambda: False
    is_due: Callable[[], bool] = lambda: False
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    keeps_refit: Callable[[Sequence[Member], Sequence[Member], Origins], bool] = lambda before, after, origins: True


def train_pipeline(
    panel: Panel,
    plan: BacktestPlan,
    members: Sequence[MemberPlan],
    *,
    refit: bool = True,
    statistical: Sequence[str] = (),
    hooks: TrainingHooks | None = None,
) -> TrainingResult:
    """Train ``members`` on the data before the first origin of ``plan``, blend, score and calibrate them, then refit.

    Seasonal naive is blended in as far as it reduces the error on the origins. With ``refit`` the members are then
    trained on the rest of the data too, unless ``hooks`` reject the result. The intervals stay as wide as those of the
    backtest: residuals on training data would be too small.

    Raises:
        InputError, Cancelled, Diverged: as for ``models.training.fit.train_member``.
        ModelBroken: a member gave NaN or infinity.
        EngineMismatch: the serving engine gives other outputs than the training engine.
    """
    season = members[0].spec.season
    hooks = hooks or TrainingHooks()
    limits = limits_of([member.spec for member in members])
    origins = replace(origins_of(panel, plan, season), limits=limits)
    trained = _train_members(panel.cut(plan.held_out), members, "fit", hooks, origins)
    hooks.on_phase("backtest")
    blended = blend(trained, origins, OnnxEngine)
    found = hooks.checkpoint.find("backtest")
    if found is None:
        predict_all = partial(predict, make_runnable(blended, OnnxEngine))
        corrects_mean = not all(member.spec.gives_mean for member in blended)
        scored = evaluate(predict_all, origins, statistical, corrects_mean=corrects_mean)
        made = scored.calibration
        entry = CheckpointEntry(
            {"report": scored.report.to_json(), "count": made.count, "mean": list(made.mean)},
            {"radii": made.radii} if made.beyond is None else {"radii": made.radii, "beyond": made.beyond},
        )
        found = hooks.checkpoint.finish("backtest", entry)
    mean = MeanCorrection(*found.facts.get("mean", ()))  # earlier releases measured none
    calibration = Calibration(found.arrays["radii"], found.facts["count"], found.arrays.get("beyond"), mean=mean)
    evaluation = Evaluation(BacktestReport.from_json(found.facts["report"]), calibration)
    served = _refit(panel, members, blended, hooks) if refit else blended
    if refit and not hooks.keeps_refit(blended, served, origins):
        served, refit = blended, False
    if refit:
        calibration = _calibrate_refit(calibration, panel, blended, served)
    naive_share = sum(member.share for member in blended if not _learns(member))
    facts = TrainingFacts(
        seasonal_naive_share=naive_share / sum(member.share for member in blended),
        refit=refit,
        engines_differ_by=max((_engine_difference(member) for member in served if _learns(member)), default=0.0),
        carry=max(member.training.carry for member in members),
    )
    return TrainingResult(Forecaster(served, calibration), evaluation, blended, origins, facts)


class ValidationSkill:
    """Skill of a network during training, on some windows of its backtest, measured when ``is_due`` returns True."""

    def __init__(self, plan: MemberPlan, origins: Origins, is_due: Callable[[], bool]) -> None:
        self._plan, self._origins, self._is_due = plan, origins, is_due
        self._rows = origins.sample(MAX_VALIDATION_WINDOWS)
        self._naive = baseline_errors(origins, self._rows).score()
        self._latest: float | None = None

    def __call__(self, weights: Callable[[], Weights]) -> float | None:
        if self._is_due():
            member = Member(self._plan.spec, weights(), carry=self._plan.training.carry)
            predict_one = partial(predict, make_runnable([member], OnnxEngine))
            try:
                self._latest = skill(score(predict_one, self._origins, self._rows), self._naive)
            except ModelBroken:
                self._latest = None  # a later epoch may be kept; if this one is, the backtest fails
        return self._latest


def _train_members(
    panel: Panel, plans: Sequence[MemberPlan], phase: str, hooks: TrainingHooks, origins: Origins | None = None
) -> list[Member]:
    """Train the members; measure their skill on ``origins`` meanwhile, if these lie after the training data."""
    hooks.on_phase(phase)
    members, carry = [], max(plan.training.carry for plan in plans)  # a session has one for all of its networks
    for number, plan in enumerate(plans):
        step = f"{phase}/{number}"
        found = hooks.checkpoint.find(step)
        if found is None:
            skill = no_skill if origins is None else ValidationSkill(plan, origins, hooks.is_due)
            on_progress = partial(hooks.on_progress, phase, number)
            weights = train_member(plan, panel, hooks.checkpoint.open(step), on_progress, hooks.should_stop, skill)
            found = hooks.checkpoint.finish(step, CheckpointEntry(arrays=dict(weights)))
        members.append(Member(plan.spec, found.arrays, carry=carry))
    return members


def _refit(
    panel: Panel, plans: Sequence[MemberPlan], blended: Sequence[Member], hooks: TrainingHooks
) -> tuple[Member, ...]:
    """Continue the training of the members that learn on all of ``panel``; their shares stay the same."""
    learned = [member for member in blended if _learns(member)]
    if not learned:
        return tuple(blended)
    refits = []
    for plan, member in zip([p for p in plans if STRATEGIES[p.spec.strategy].learns], learned, strict=True):
        training = replace(plan.training, max_epochs=refit_epochs(plan.training.max_epochs), patience=0)
        refits.append(MemberPlan(plan.spec, training, member.weights))
    trained = _train_members(panel, refits, "refit", hooks)
    shared = [new._replace(share=old.share) for new, old in zip(trained, learned, strict=True)]
    return (*shared, *(member for member in blended if not _learns(member)))


def _calibrate_refit(
    calibration: Calibration, panel: Panel, before: Sequence[Member], after: Sequence[Member]
) -> Calibration:
    """Return the calibration of the members ``before`` their refit for those ``after`` it, on the newest windows.

    Few series have several windows each, which begin one step apart. Covariates known ahead end with the panel.
    """
    spec = after[0].spec
    least = spec.horizon if any(member.spec.future_covariates for member in after) else 0
    back = least + np.arange(min(spec.horizon, math.ceil(MIN_MATCHED / len(panel))))
    series = np.tile(np.arange(len(panel)), len(back))
    at = panel.observed_lengths[series] - np.repeat(back, len(panel))
    rows = np.flatnonzero(at > 0)
    if len(rows) == 0:
        return calibration
    rows = np.random.default_rng(0).choice(rows, min(MAX_MATCHED, len(rows)), replace=False)
    networks = [make_runnable(members, OnnxEngine) for members in (before, after)]
    return match_widths(calibration, *(predict(each, panel, series[rows], at[rows], spec.horizon) for each in networks))


def _learns(member: Member) -> bool:
    return STRATEGIES[member.spec.strategy].learns


def _engine_difference(member: Member) -> float:
    """Return the largest difference between the outputs of the training engine and the serving engine.

    Raises:
        EngineMismatch: it is larger than the tolerance.
    """
    reference = _reference_engine(member.spec)
    set_weights(reference.network, member.weights)
    return check_parity(member.spec, reference, OnnxEngine(member.spec, member.weights))


@lru_cache(maxsize=MAX_COMPILED)
def _reference_engine(spec: Spec) -> KerasEngine:
    """Return a Keras engine for ``spec``; cached, because compiling one takes longer than its use."""
    return KerasEngine(spec, {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(spec).items()})
