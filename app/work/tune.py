"""The search for the spec of a job, the trials that were made before an interruption included."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from app.planning.training_payload import Auto, Order, Wanted
from app.work.progress_reporter import ProgressReporter
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.network.spec import Spec, Training
from models.training.checkpoint import Checkpoint, CheckpointEntry
from models.training.fit import OnProgress, Progress, fit
from models.training.member_plan import MemberPlan
from models.training.parallel import ParallelMap, run_sequentially
from models.training.search import SearchTools, search_spec
from models.types import Weights

STEP = "search"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search chose, how to finish it in the time that is left, and all that was tried (JSON values)."""

    course: MemberPlan
    trials: tuple[Mapping[str, Any], ...]

    @property
    def wanted(self) -> Wanted:
        """What is to be made of it."""
        return Wanted(self.course.spec, self.course.training)


def search(
    order: Order, known: Panel, reporter: ProgressReporter, diary: Checkpoint, each: ParallelMap = run_sequentially
) -> Found:
    """What does best on the newest origins of ``known``, which ends before those of the backtest.

    ``each`` does the trials of a rung, here or elsewhere.

    Raises:
        InputError, SpecError, Cancelled: see ``models.training.search.search_spec``.
    """
    assert order.auto is not None
    reporter.enter("search")
    entry = diary.done(STEP)
    if entry is None:
        tools = _tools(order.auto, reporter, diary, each)
        entry = diary.close(STEP, _searched(order.auto, order.members[0].training, known, tools))
    spec, training = Spec.from_json(entry.facts["spec"]), Training.from_json(entry.facts["training"])
    return Found(MemberPlan(spec, training, entry.arrays), tuple(entry.facts["trials"]))


def _searched(auto: Auto, training: Training, known: Panel, tools: SearchTools) -> CheckpointEntry:
    choice = search_spec(known, auto.fixed, training, tools, auto.budget_s, auto.trials)
    facts = {"spec": choice.member.spec.to_json(), "training": choice.training.to_json()}
    return CheckpointEntry(facts | {"trials": [asdict(trial) for trial in choice.trials]}, dict(choice.member.weights))


def _tools(auto: Auto, reporter: ProgressReporter, diary: Checkpoint, each: ParallelMap) -> SearchTools:
    if each is run_sequentially:
        teach = partial(_teach, reporter.searching(auto.budget_s))
        return SearchTools(teach, OnnxEngine, reporter.clock, reporter.should_stop, diary)
    # Trials elsewhere report nothing, and share no clock with this machine but that on the wall.
    return SearchTools(partial(_teach, _in_silence), OnnxEngine, time.time, diary=diary, each=each)


def _teach(
    on_progress: OnProgress,
    spec: Spec,
    training: Training,
    panel: Panel,
    start: Weights | None,
    should_stop: Callable[[], bool],
) -> Weights:
    return fit(spec, training, panel, on_progress, should_stop, start)


def _in_silence(progress: Progress) -> None:
    """Nobody is told."""
