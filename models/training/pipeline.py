"""make(panel, courses): from data to a forecaster that may be served, with what is known of how good it is.

Importing this module imports Keras and its backend.
"""

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
from models.evaluation.origins import BacktestPlan, Origins, origins_of
from models.evaluation.report import BacktestReport
from models.evaluation.scoring import skill
from models.forecasting.forecaster import Forecaster, Member, make_runnable, predict
from models.network.build import weight_shapes
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.training.blending import blend
from models.training.checkpoint import Checkpoint, CheckpointEntry
from models.training.compile import MAX_COMPILED
from models.training.fit import Progress, SkillProbe, no_skill, train_member
from models.training.member_plan import MemberPlan
from models.training.report import TrainingFacts
from models.types import Weights

MAX_VALIDATION_WINDOWS = 64  # windows of the backtest by which a network in the making is judged
SHARE_REFIT = 0.25  # of the epochs: the weights are nearly right, only the newest points are new to them


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """``forecaster`` is to be served; ``evaluation`` is of its members before they were taught the newest points too.

    ``backtested`` are those members, to be compared with others on the same origins; ``facts`` belong in the report.
    """

    forecaster: Forecaster
    evaluation: Evaluation
    backtested: tuple[Member, ...]
    origins: Origins
    facts: TrainingFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHooks:
    """Callbacks of ``train_pipeline``: start of a phase (``fit``, ``backtest``, ``refit``), progress, cancellation.

    ``is_due``: returns whether to measure the skill of the network now in training. ``enough``: returns whether the
    time for the statistical baselines is over, see ``models.evaluation.backtest.evaluate``. ``checkpoint``: holds the
    steps finished before an interruption; each step stores its state there.
    """

    on_phase: Callable[[str], None] = lambda phase: None
    on_progress: Callable[[str, int, Progress], None] = lambda phase, member, progress: None
    should_stop: Callable[[], bool] = lambda: False
    is_due: Callable[[], bool] = lambda: False
    enough: Callable[[], bool] = lambda: False
    checkpoint: Checkpoint = field(default_factory=Checkpoint)


def train_pipeline(
    panel: Panel,
    plan: BacktestPlan,
    courses: Sequence[MemberPlan],
    *,
    refit: bool = True,
    statistical: Sequence[str] = (),
    watch: TrainingHooks | None = None,
) -> TrainingResult:
    """Teach each of ``courses`` what lies before the first origin of ``plan``, mix in as much of seasonal naive as
    helps, score and calibrate that on the origins; then teach the members the rest as well.

    The intervals remain those of the backtest: nothing that was taught can say how far off it is.

    Raises:
        InputError, Cancelled, Diverged: see ``models.training.fit.fit``.
        ModelBroken: a member gave numbers that are not finite.
        EngineMismatch: the engine that serves says another thing than the one that was taught.
    """
    season = courses[0].spec.season
    watch = watch or TrainingHooks()
    origins = origins_of(panel, plan, season)
    members = _train_members(panel.cut(plan.held_out), courses, "fit", watch, origins)
    watch.on_phase("backtest")
    mixed = blend(members, origins, OnnxEngine)
    evaluation = _evaluate(mixed, origins, statistical, watch)
    served = _refit(panel, courses, mixed, watch) if refit else mixed
    differ = max((_engine_difference(member) for member in served), default=0.0)
    carry = max(course.training.carry for course in courses)
    facts = TrainingFacts(
        seasonal_naive_share=_seasonal_naive_share(mixed), refit=refit, engines_differ_by=differ, carry=carry
    )
    return TrainingResult(Forecaster(served, evaluation.calibration), evaluation, mixed, origins, facts)


class ValidationSkill:
    """Says how much better than seasonal naive a network in the making is, on some windows of its backtest."""

    def __init__(self, spec: Spec, origins: Origins, is_due: Callable[[], bool]) -> None:
        self._spec, self._origins, self._is_due = spec, origins, is_due
        self._rows = origins.sample(MAX_VALIDATION_WINDOWS)
        self._naive = baseline_errors(origins, self._rows).score()
        self._latest: float | None = None

    def __call__(self, weights: Callable[[], Weights]) -> float | None:
        if self._is_due():
            says = partial(predict, make_runnable([Member(self._spec, weights())], OnnxEngine))
            try:
                self._latest = skill(score(says, self._origins, self._rows), self._naive)
            except ModelBroken:
                self._latest = None  # what is broken now need not be what is kept; if it is, the backtest says so
        return self._latest


def _train_members(
    panel: Panel, courses: Sequence[MemberPlan], phase: str, watch: TrainingHooks, origins: Origins | None = None
) -> list[Member]:
    """The members, judged on ``origins`` meanwhile where these are still before them."""
    watch.on_phase(phase)
    members = []
    for number, course in enumerate(courses):

        def told(progress: Progress, number: int = number) -> None:
            watch.on_progress(phase, number, progress)

        step = f"{phase}/{number}"
        found = watch.checkpoint.find(step)
        if found is None:
            judge: SkillProbe = no_skill if origins is None else ValidationSkill(course.spec, origins, watch.is_due)
            weights = train_member(course, panel, watch.checkpoint.open(step), told, watch.should_stop, judge)
            found = watch.checkpoint.finish(step, CheckpointEntry(arrays=dict(weights)))
        members.append(Member(course.spec, found.arrays))
    return members


def _evaluate(
    mixed: Sequence[Member], origins: Origins, statistical: Sequence[str], watch: TrainingHooks
) -> Evaluation:
    found = watch.checkpoint.find("backtest")
    if found is None:
        says = partial(predict, make_runnable(mixed, OnnxEngine))
        made = evaluate(says, origins, statistical, watch.enough)
        facts = {"report": made.report.to_json(), "count": made.calibration.count}
        found = watch.checkpoint.finish("backtest", CheckpointEntry(facts, {"radii": made.calibration.radii}))
    return Evaluation(
        BacktestReport.from_json(found.facts["report"]), Calibration(found.arrays["radii"], found.facts["count"])
    )


def _refit(
    panel: Panel, courses: Sequence[MemberPlan], mixed: Sequence[Member], watch: TrainingHooks
) -> tuple[Member, ...]:
    """The members that learn, taught on all of ``panel`` from where they are, at the shares they have."""
    again, kept = [], [member for member in mixed if STRATEGIES[member.spec.strategy].learns]
    if not kept:
        return tuple(mixed)
    learning = [course for course in courses if STRATEGIES[course.spec.strategy].learns]
    for course, member in zip(learning, kept, strict=True):
        epochs = max(1, round(SHARE_REFIT * course.training.max_epochs))
        again.append(MemberPlan(course.spec, replace(course.training, max_epochs=epochs, patience=0), member.weights))
    taught = _train_members(panel, again, "refit", watch)
    shared = [new._replace(share=old.share) for new, old in zip(taught, kept, strict=True)]
    return (*shared, *(member for member in mixed if not STRATEGIES[member.spec.strategy].learns))


def _engine_difference(member: Member) -> float:
    spec, weights = member.spec, member.weights
    reference = _reference_engine(spec)
    set_weights(reference.network, weights)
    return check_parity(spec, reference, OnnxEngine(spec, weights))


@lru_cache(maxsize=MAX_COMPILED)
def _reference_engine(spec: Spec) -> KerasEngine:
    """To compile one takes longer than all that it is asked; many small models of a kind share one."""
    return KerasEngine(spec, {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(spec).items()})


def _seasonal_naive_share(mixed: Sequence[Member]) -> float:
    naive = sum(member.share for member in mixed if not STRATEGIES[member.spec.strategy].learns)
    return naive / sum(m.share for m in mixed)
