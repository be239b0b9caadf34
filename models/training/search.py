"""Search for the best spec of a panel by successive halving within a time budget.

Every candidate is trained briefly and scored on validation origins; the better half continues from its weights with
twice as many epochs, and so on (Jamieson & Talwalkar, 2016, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization"). Seasonal naive is scored on the same origins, for comparison.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import partial
from itertools import chain, islice

from models.data.panel import Panel
from models.engines import Engine
from models.errors import Cancelled, Diverged, InputError, SpecError
from models.evaluation.backtest import score
from models.evaluation.origins import Origins, origins_of, plan_for
from models.forecasting.forecaster import Member, make_runnable, predict
from models.network.fields import FieldValues
from models.network.sizes import check_training
from models.network.spec import Spec, Training
from models.training.blending import seasonal_naive_for
from models.training.budget import SearchLimits, TrainingSpeed
from models.training.checkpoint import Checkpoint, CheckpointEntry, always_false
from models.training.member_plan import MemberPlan
from models.training.parallel import ParallelMap, run_sequentially
from models.training.recipes import CANDIDATES, SpecCandidate, draw_candidates, suggest
from models.types import JsonObject, Weights

SHARE_SEARCHED = 0.6  # of the budget, at most; the rest is for training the best candidate
MAX_VALIDATED = 2_000  # windows; more do not improve the choice
MAX_DRAWN = 1_000  # random candidates tried to find valid ones
TRIALS = "trial/"  # prefix of the search's steps in the checkpoint
BASELINE = SpecCandidate("seasonal_naive", "the baseline")

# (spec, training, panel, initial weights, should_stop) -> weights, as models.training.fit.fit; it calls should_stop
# before the first batch and after every batch.
Train = Callable[[Spec, Training, Panel, Weights | None, Callable[[], bool]], Weights]


@dataclass(frozen=True, slots=True)
class SearchTools:
    """Functions that a search calls; ``clock`` returns seconds, because this library reads no clock itself.

    ``checkpoint`` stores finished trials, which are not run again after an interruption. ``parallel_map`` runs the
    trials of a rung. If it runs them on other machines, it sends these tools without the checkpoint, and ``clock``
    must be a clock that all machines share.
    """

    train: Train
    engine: Callable[[Spec, Weights], Engine]
    clock: Callable[[], float]
    should_stop: Callable[[], bool] = always_false
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    parallel_map: ParallelMap = run_sequentially


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate at one rung of the search: its ``error`` after ``epochs``, or in ``failed`` why it has none.

    The error is MASE on the validation windows, RMSE where MASE is undefined. ``why``: reason to try the candidate.
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
    """The best ``member``, training settings to finish it in the time left, and all trials in order."""

    member: Member
    training: Training
    trials: tuple[Trial, ...]

    def to_json(self) -> list[JsonObject]:
        """Return the trials as JSON values."""
        return [asdict(trial) for trial in self.trials]


def search_spec(
    panel: Panel, fields: FieldValues, planned: MemberPlan, tools: SearchTools, limits: SearchLimits
) -> BestCandidate:
    """Return the best of ``models.training.recipes.CANDIDATES`` for ``panel`` that keep ``fields`` of the spec.

    The first candidate is ``planned``, which would be trained without a search; its first trial is never cut short.
    The others are tried while the time for a full training of ``planned`` is left. Seasonal naive is chosen only if no
    network has a score, because the training after the search mixes it into every network as far as that helps.

    Args:
        panel: the data; their newest part is held out for validation.
        fields: of the spec, among them ``horizon`` and ``season``.
        planned: the spec of the first candidate, and the full training, of which the last rung trains half.
        tools: functions that the search calls.
        limits: the time and the number of candidates.

    Raises:
        InputError: no series is long enough to validate on.
        SpecError: a field that cannot work.
        Cancelled: ``tools.should_stop`` returned True.
    """
    training, spent_s = planned.training, sum(e.facts["trial"]["seconds"] for e in tools.checkpoint.find_all(TRIALS))
    end_s = tools.clock() + limits.budget_s - spent_s
    plan = plan_for(panel, fields["horizon"], fields["season"])
    origins = origins_of(panel, plan, fields["season"])
    search = _Search(panel.cut(plan.held_out), origins, tools)
    naive = _Contender(BASELINE, seasonal_naive_for(planned.spec))
    scored = search.run_rung([naive], replace(training, max_epochs=1), 0)
    candidates = list(islice(_candidate_specs(panel, fields, planned, limits.candidates), limits.candidates))
    contenders = [_Contender(candidate, Member(spec, {})) for candidate, spec in candidates]
    # The epochs double from rung to rung; the last one trains for half of all.
    rungs = max(1, math.ceil(math.log2(max(1, len(contenders)))))
    trainings = [replace(training, max_epochs=max(1, training.max_epochs >> (rungs - rung))) for rung in range(rungs)]
    first = search.run_rung(contenders[:1], trainings[0], 0)
    speed = first[0].speed
    assert speed is not None
    reserved_s = max((1 - SHARE_SEARCHED) * limits.budget_s, speed.seconds_for(training, limits.refits))
    search = replace(search, end_s=end_s - reserved_s, usual=speed)
    finished = first + search.run_rung(contenders[1:], trainings[0], 0)
    scored += finished
    for rung in range(1, rungs):
        contenders = sorted(finished, key=lambda contender: contender.error)[: math.ceil(len(finished) / 2)]
        finished = search.run_rung(contenders, trainings[rung], rung)
        scored += finished
    best = min(scored[1:], key=lambda contender: contender.error)
    if math.isinf(best.error):
        best = scored[0]
    assert best.speed is not None
    left = best.speed.shorten(training, end_s - tools.clock(), limits.refits)
    trials = tuple(contender.trial for contender in scored if contender.trial is not None)
    return BestCandidate(member=best.member, training=left, trials=trials)


@dataclass(frozen=True, slots=True, eq=False)
class _Contender:
    """A candidate during the search: its weights so far, none at first, and its last trial."""

    candidate: SpecCandidate
    member: Member
    trial: Trial | None = None
    speed: "TrainingSpeed | None" = None

    @property
    def error(self) -> float:
        """Return the error by which contenders are ranked; infinite without a score."""
        return math.inf if self.trial is None or self.trial.error is None else self.trial.error

    def step(self, rung: int) -> str:
        """Return the name of its step at ``rung`` in the checkpoint."""
        return f"{TRIALS}{rung}/{self.candidate.name}"


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Data and tools of all trials, the time at which the search ends, and the ``usual`` speed of a training.

    A trial that would not end in time at the usual speed is not begun.
    """

    known: Panel
    origins: Origins
    tools: SearchTools
    end_s: float = math.inf
    usual: TrainingSpeed | None = None

    def run_rung(self, contenders: Sequence[_Contender], training: Training, rung: int) -> list[_Contender]:
        """Return the contenders after one more rung, without those that did not begin in time.

        Trials found in the checkpoint are not run again.
        """
        before = [self._restore(contender, rung) for contender in contenders]
        missing = [contender for contender, found in zip(contenders, before, strict=True) if found is None]
        # The checkpoint is not sent to other machines.
        sent = replace(self, tools=replace(self.tools, checkpoint=Checkpoint(), parallel_map=run_sequentially))
        results = iter(self.tools.parallel_map([partial(sent.run_trial, one, training, rung) for one in missing]))
        finished = []
        for found in before:
            contender = next(results) if found is None else found
            if found is None and contender is not None:
                assert contender.trial is not None
                assert contender.speed is not None
                facts = {"trial": asdict(contender.trial), "pace": astuple(contender.speed)}
                self.tools.checkpoint.finish(
                    contender.step(rung), CheckpointEntry(facts, dict(contender.member.weights))
                )
            if contender is not None:
                finished.append(contender)
        return finished

    def _restore(self, contender: _Contender, rung: int) -> _Contender | None:
        """Return ``contender`` after this rung if the checkpoint has it."""
        found = self.tools.checkpoint.find(contender.step(rung))
        if found is None:
            return None
        trial, speed = Trial(**found.facts["trial"]), TrainingSpeed(*found.facts["pace"])
        return _Contender(contender.candidate, Member(contender.member.spec, found.arrays), trial, speed)

    def run_trial(self, contender: _Contender, training: Training, rung: int) -> _Contender | None:
        """Return ``contender`` after one more rung; None if there is not enough time for it."""
        begin_s, spec, failed = self.tools.clock(), contender.member.spec, None
        weights, error, stop_checks_s = contender.member.weights, None, list[float]()
        usual = contender.speed or self.usual
        if usual is not None and begin_s + usual.trial_s(training) > self.end_s:
            return None

        def should_stop() -> bool:
            stop_checks_s.append(self.tools.clock())
            return self.tools.should_stop() or self.tools.clock() >= self.end_s

        try:
            weights = self.tools.train(spec, training, self.known, weights or None, should_stop)
            member = Member(spec, weights, carry=training.carry)
            predict_one = partial(predict, make_runnable([member], self.tools.engine))
            found = score(predict_one, self.origins, self.origins.sample(MAX_VALIDATED))
            error = found["rmse"] if found["mase"] is None else found["mase"]
        except Cancelled:
            if self.tools.should_stop():
                raise
            failed = "the time limit was reached"
        except (Diverged, InputError) as fault:
            failed = str(fault)
        trial = Trial(
            candidate=contender.candidate.name,
            why=contender.candidate.reason,
            rung=rung,
            epochs=training.max_epochs,
            seconds=self.tools.clock() - begin_s,
            error=error,
            failed=failed,
        )
        speed = TrainingSpeed.measure(begin_s, stop_checks_s)
        return _Contender(contender.candidate, Member(spec, weights), trial, speed)


def _candidate_specs(
    panel: Panel, fields: FieldValues, planned: MemberPlan, count: int | None
) -> Iterator[tuple[SpecCandidate, Spec]]:
    """Yield ``planned`` and the candidates that keep ``fields``, are valid, and differ from all earlier ones.

    With a ``count`` random candidates follow the named ones.
    """
    plain, seen = planned.spec, {planned.spec}
    default, *named = CANDIDATES
    yield default, plain
    drawn = [] if count is None else islice(draw_candidates(fields), MAX_DRAWN)
    for candidate in chain(named, drawn):
        changes = dict(candidate.spec)
        if candidate.context_times != 1:
            steps = max(1, round(plain.steps * candidate.context_times))
            changes |= {"context": steps * plain.segment, "segment": plain.segment}
        if changes.keys() & fields.keys():
            continue
        try:
            spec = suggest(panel, fields, candidate.recipe, tried=changes)
            check_training(spec, planned.training)
        except SpecError:
            continue
        if spec not in seen:
            seen.add(spec)
            yield candidate, spec
