"""auto: choose a spec for a panel by successive halving within a time budget.

Every candidate is taught a little and scored on validation origins; the better half goes on from its weights with
twice as many epochs, and so on (Jamieson & Talwalkar, 2016, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization"). Seasonal naive takes part without being taught, so that what is chosen is never worse on those origins.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import Any

from models.data.panel import Panel
from models.engines import Engine
from models.errors import Cancelled, Diverged, InputError, SpecError
from models.evaluation.backtest import score
from models.evaluation.origins import Origins, origins_of, plan_for
from models.forecasting.forecaster import Member, make_runnable, predict
from models.network.sizes import check_training
from models.network.spec import Spec, Training
from models.training.blending import seasonal_naive_for
from models.training.checkpoint import Checkpoint, CheckpointEntry, always_false
from models.training.parallel import ParallelMap, run_sequentially
from models.training.recipes import CANDIDATES, SpecCandidate, draw_candidates, suggest
from models.types import Weights

SHARE_SEARCHED = 0.6  # of the budget; the rest is for teaching what was chosen
MAX_VALIDATED = 2_000  # windows: more make no better choice
MAX_DRAWN = 1_000  # to find those that can work
TRIALS = "trial/"  # what the steps of the diary begin with
BASELINE = SpecCandidate("seasonal_naive", "what must be beaten")

# spec, training, panel, the weights to start from, should_stop -> weights; see models.training.fit.fit. should_stop is
# asked before the first batch and after every one.
Train = Callable[[Spec, Training, Panel, Weights | None, Callable[[], bool]], Weights]


@dataclass(frozen=True, slots=True)
class SearchTools:
    """Functions that a search calls; ``clock`` returns seconds, because this library reads no clock itself.

    ``checkpoint`` stores finished trials, which are not run again after an interruption. ``parallel_map`` runs the
    trials of a rung. If it runs them on other machines, it sends these tools without the checkpoint, and ``clock``
    must be a clock that all machines share.
    """

    teach: Train
    engine: Callable[[Spec, Weights], Engine]
    clock: Callable[[], float]
    should_stop: Callable[[], bool] = always_false
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    parallel_map: ParallelMap = run_sequentially


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate at one rung: its ``error`` after ``epochs``, or why it has none.

    The error is MASE on the validation windows, RMSE where the series have no MASE.
    """

    candidate: str
    why: str
    rung: int
    epochs: int
    seconds: float
    error: float | None
    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestCandidate:
    """The ``member`` that did best, how to finish it in the time that is left, and what was tried, in order."""

    member: Member
    training: Training
    trials: tuple[Trial, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """The trials as JSON values."""
        return [asdict(trial) for trial in self.trials]


def search_spec(
    panel: Panel,
    fields: Mapping[str, Any],
    training: Training,
    tools: SearchTools,
    budget_s: float,
    most: int | None = None,
) -> BestCandidate:
    """The best of ``models.training.recipes.CANDIDATES`` for ``panel`` that leave ``fields`` of the spec as they are.

    Args:
        panel: what may be known; its newest part validates.
        fields: among them ``horizon`` and ``season``.
        training: a whole one; in the last rung half of its epochs are taught.
        tools: see there.
        budget_s: seconds for the search and for teaching what it chose. When the search has used its share of them,
            what is being taught is stopped, and what has a score counts.
        most: so many candidates; where those named are fewer, others are drawn at random. None: those named.

    Raises:
        InputError: no series is long enough to validate on.
        SpecError: a field that cannot work.
        Cancelled: ``tools.should_stop`` said so.
    """
    spent_s = sum(entry.facts["trial"]["seconds"] for entry in tools.checkpoint.find_all(TRIALS))
    end_s = tools.clock() + budget_s - spent_s
    plan = plan_for(panel, fields["horizon"], fields["season"])
    origins = origins_of(panel, plan, fields["season"])
    race = _Search(panel.cut(plan.held_out), origins, tools, end_s - (1 - SHARE_SEARCHED) * budget_s)
    wanted = CANDIDATES if most is None else islice(chain(CANDIDATES, draw_candidates(fields)), MAX_DRAWN)
    specs = list(islice(_candidate_specs(panel, fields, training, wanted), most))
    naive = seasonal_naive_for(suggest(panel, fields))
    (bar,) = race.rung([_Contender(BASELINE, naive)], replace(training, max_epochs=1), 0)
    runners = [_Contender(candidate, Member(spec, {})) for candidate, spec in specs]
    tried = [bar]
    for rung, epochs in enumerate(_rung_epochs(training.max_epochs, len(runners))):
        ran = race.rung(runners, replace(training, max_epochs=epochs), rung)
        tried += ran
        runners = sorted(ran, key=lambda runner: runner.error)[: math.ceil(len(ran) / 2)]
    best = min(tried, key=lambda runner: runner.error)
    told = tuple(runner.trial for runner in tried if runner.trial is not None)
    return BestCandidate(
        member=best.member, training=_remaining_training(training, best, end_s - tools.clock()), trials=told
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Contender:
    """A candidate on its way: its weights so far, none at first, and its last trial."""

    candidate: SpecCandidate
    member: Member
    trial: Trial | None = None
    pace: "_TrainingSpeed | None" = None

    @property
    def error(self) -> float:
        """What the runner is ranked by; infinite without a score."""
        return math.inf if self.trial is None or self.trial.error is None else self.trial.error


@dataclass(frozen=True, slots=True)
class _TrainingSpeed:
    """How long teaching took: until the first batch was done, which compiles the network, and for each one after."""

    start_s: float
    batch_s: float

    @classmethod
    def of(cls, begin_s: float, asked_s: Sequence[float]) -> "_TrainingSpeed":
        """The pace of teaching that began at ``begin_s`` and asked whether to stop at ``asked_s``."""
        first, *others = asked_s[1:] or [begin_s]
        return cls(first - begin_s, (others[-1] - first) / len(others) if others else first - begin_s)

    def batches(self, seconds: float) -> int:
        """How many batches can be taught in ``seconds``."""
        return 1 + int((seconds - self.start_s) / max(self.batch_s, 1e-6))


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What all runners are taught and scored on, and until when."""

    known: Panel
    origins: Origins
    tools: SearchTools
    end_s: float

    @property
    def over(self) -> bool:
        """Whether the search's time is up."""
        return self.tools.clock() >= self.end_s

    def rung(self, runners: Sequence[_Contender], training: Training, rung: int) -> list[_Contender]:
        """Those of ``runners`` for whom there is time, after one more rung: the one place where trials are made."""
        before = [self._before(runner, rung) for runner in runners]
        wanted = [runner for runner, found in zip(runners, before, strict=True) if found is None]
        along = replace(
            self, tools=replace(self.tools, checkpoint=Checkpoint(), parallel_map=run_sequentially)
        )  # the diary stays here
        made = iter(self.tools.parallel_map([partial(along.in_time, runner, training, rung) for runner in wanted]))
        ran = [self._noted(next(made), rung) if found is None else found for found in before]
        return [runner for runner in ran if runner is not None]

    def _before(self, runner: _Contender, rung: int) -> _Contender | None:
        """``runner`` after this rung, if it was made before an interruption."""
        found = self.tools.checkpoint.find(_step_name(runner, rung))
        if found is None:
            return None
        trial, pace = Trial(**found.facts["trial"]), _TrainingSpeed(*found.facts["pace"])
        return _Contender(runner.candidate, Member(runner.member.spec, found.arrays), trial, pace)

    def _noted(self, runner: _Contender | None, rung: int) -> _Contender | None:
        if runner is not None:
            assert runner.trial is not None
            assert runner.pace is not None
            facts = {"trial": asdict(runner.trial), "pace": astuple(runner.pace)}
            self.tools.checkpoint.finish(_step_name(runner, rung), CheckpointEntry(facts, dict(runner.member.weights)))
        return runner

    def in_time(self, runner: _Contender, training: Training, rung: int) -> _Contender | None:
        """``runner`` after one more rung; None where the time was up before it began."""
        return None if self.over else self._run(runner, training, rung)

    def _run(self, runner: _Contender, training: Training, rung: int) -> _Contender:
        begin_s, spec, failed = self.tools.clock(), runner.member.spec, None
        weights, error, asked_s = runner.member.weights, None, list[float]()

        def should_stop() -> bool:
            asked_s.append(self.tools.clock())
            return self.tools.should_stop() or self.over

        try:
            weights = self.tools.teach(spec, training, self.known, weights or None, should_stop)
            error = self._error(Member(spec, weights))
        except Cancelled:
            if self.tools.should_stop():
                raise
            failed = "the time was up"
        except (Diverged, InputError) as fault:
            failed = str(fault)
        trial = Trial(
            candidate=runner.candidate.name,
            why=runner.candidate.why,
            rung=rung,
            epochs=training.max_epochs,
            seconds=self.tools.clock() - begin_s,
            error=error,
            failed=failed,
        )
        return _Contender(runner.candidate, Member(spec, weights), trial, _TrainingSpeed.of(begin_s, asked_s))

    def _error(self, member: Member) -> float | None:
        says = partial(predict, make_runnable([member], self.tools.engine))
        found = score(says, self.origins, self.origins.sample(MAX_VALIDATED))
        return found["rmse"] if found["mase"] is None else found["mase"]


def _step_name(runner: _Contender, rung: int) -> str:
    return f"{TRIALS}{rung}/{runner.candidate.name}"


def _candidate_specs(
    panel: Panel, fields: Mapping[str, Any], training: Training, candidates: Iterable[SpecCandidate]
) -> Iterator[tuple[SpecCandidate, Spec]]:
    """The candidates that leave ``fields`` as they are, can work, and are not the same as an earlier one."""
    plain, seen = suggest(panel, fields), set[Spec]()
    for candidate in candidates:
        changes = dict(candidate.spec)
        if candidate.context_times != 1:
            steps = max(1, round(plain.steps * candidate.context_times))
            changes |= {"context": steps * plain.segment, "segment": plain.segment}
        if changes.keys() & fields.keys():
            continue
        try:
            spec = suggest(panel, {**fields, **changes}, candidate.recipe)
            check_training(spec, training)
        except SpecError:
            continue
        if spec not in seen:
            seen.add(spec)
            yield candidate, spec


def _rung_epochs(epochs: int, runners: int) -> list[int]:
    """The epochs of each rung: doubled from one to the next, half of all in the last."""
    count = max(1, math.ceil(math.log2(max(1, runners))))
    return [max(1, epochs >> (count - rung)) for rung in range(count)]


def _remaining_training(training: Training, best: _Contender, left_s: float) -> Training:
    """As much of ``training`` as there is time for, an epoch at least, by the pace of ``best`` before."""
    assert best.pace is not None
    epochs = best.pace.batches(left_s) // training.steps_per_epoch
    return replace(training, max_epochs=max(1, min(training.max_epochs, epochs)))
