"""Search for the best spec, the first step of a ``tune`` job and of a ``train`` job with ``auto``.

Its result is a step of the job's checkpoint, so that a job that was interrupted does not search again.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

from app.planning.training_payload import TrainPayload
from app.work.progress_reporter import ProgressReporter
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.network.spec import Spec, Training
from models.training.budget import SearchLimits
from models.training.checkpoint import Checkpoint, CheckpointEntry
from models.training.fit import OnProgress, Progress, fit
from models.training.member_plan import MemberPlan
from models.training.parallel import ParallelMap, run_sequentially
from models.training.search import SearchTools, search_spec
from models.types import JsonMapping, Weights

STEP = "search"


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best member, with the training settings that fit into the time left, and all trials (JSON values)."""

    member: MemberPlan
    trials: tuple[JsonMapping, ...]


def search(
    payload: TrainPayload,
    known: Panel,
    reporter: ProgressReporter,
    checkpoint: Checkpoint,
    parallel_map: ParallelMap = run_sequentially,
) -> SearchResult:
    """Return the candidate with the lowest error on the newest origins of ``known``, which ends before the backtest.

    ``parallel_map`` runs the trials of one round of successive halving, here or on other machines.

    Raises:
        InputError: no series is long enough to validate on.
        SpecError: a field of the spec has no valid value on these data.
        Cancelled: the job's cancellation was requested.
    """
    auto = payload.auto
    assert auto is not None
    reporter.enter("search")
    entry = checkpoint.find(STEP)
    if entry is None:
        if parallel_map is run_sequentially:
            train = partial(_fit_trial, reporter.searching(auto.budget_s))
            tools = SearchTools(train, OnnxEngine, reporter.clock, reporter.should_stop, checkpoint)
        else:  # trials on other machines report nothing, and share only the wall clock with this one
            tools = SearchTools(
                partial(_fit_trial, _ignore), OnnxEngine, time.time, checkpoint=checkpoint, parallel_map=parallel_map
            )
        limits = SearchLimits(budget_s=auto.budget_s, candidates=auto.trials, refits=payload.refit)
        choice = search_spec(known, auto.fixed, payload.members[0], tools, limits)
        best = MemberPlan(choice.member.spec, choice.training)
        facts = best.to_json() | {"trials": [asdict(trial) for trial in choice.trials]}
        entry = checkpoint.finish(STEP, CheckpointEntry(facts, dict(choice.member.weights)))
    member = MemberPlan.from_json(entry.facts)
    return SearchResult(
        MemberPlan(member.spec, member.training, initial_weights=entry.arrays), tuple(entry.facts["trials"])
    )


def _fit_trial(
    on_progress: OnProgress,
    spec: Spec,
    training: Training,
    panel: Panel,
    start: Weights | None,
    should_stop: Callable[[], bool],
) -> Weights:
    return fit(spec, training, panel, on_progress, should_stop, start)


def _ignore(progress: Progress) -> None:
    """Ignore progress. A function of the module, because it is sent to other machines by name."""
