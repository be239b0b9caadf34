"""Search for the best spec of a panel by successive halving within a time budget.

Every candidate is trained briefly and scored on validation origins; the better half continues from its weights with
twice as many epochs, and so on (Jamieson & Talwalkar, 2016, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization"). Seasonal naive takes part untrained, so that the result is never worse than it on those origins.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from models.training.checkpoint import Checkpoint, CheckpointEntry, always_false
from models.training.parallel import ParallelMap, run_sequentially
from models.training.recipes import CANDIDATES, SpecCandidate, draw_candidates, suggest
from models.types import JsonObject, Weights

SHARE_SEARCHED = 0.6  # of the budget; the rest is for training the best candidate
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
    panel: Panel,
    fields: FieldValues,
    training: Training,
    tools: SearchTools,
    budget_s: float,
    count: int | None = None,
) -> BestCandidate:
    """Return the best of ``models.training.recipes.CANDIDATES`` for ``panel`` that keep ``fields`` of the spec.

    Args:
        panel: the data; their newest part is held out for validation.
        fields: of the spec, among them ``horizon`` and ``season``.
        training: settings of a full training; the last rung trains for half of its epochs.
        tools: functions that the search calls.
        budget_s: seconds for the search and for training the best candidate. When the search has used its share, it
            stops the training in progress and chooses among the candidates with a score.
        count: number of candidates; random ones are added if there are fewer named ones. None: the named ones.

    Raises:
        InputError: no series is long enough to validate on.
        SpecError: a field that cannot work.
        Cancelled: ``tools.should_stop`` returned True.
    """
    spent_s = sum(entry.facts["trial"]["seconds"] for entry in tools.checkpoint.find_all(TRIALS))
    end_s = tools.clock() + budget_s - spent_s
    plan = plan_for(panel, fields["horizon"], fields["season"])
    origins = origins_of(panel, plan, fields["season"])
    search = _Search(panel.cut(plan.held_out), origins, tools, end_s - (1 - SHARE_SEARCHED) * budget_s)
    candidates = CANDIDATES if count is None else islice(chain(CANDIDATES, draw_candidates(fields)), MAX_DRAWN)
    specs = list(islice(_candidate_specs(panel, fields, training, candidates), count))
    naive = seasonal_naive_for(suggest(panel, fields))
    scored = search.run_rung([_Contender(BASELINE, naive)], replace(training, max_epochs=1), 0)
    contenders = [_Contender(candidate, Member(spec, {})) for candidate, spec in specs]
    # The epochs double from rung to rung; the last one trains for half of all.
    rungs = max(1, math.ceil(math.log2(max(1, len(contenders)))))
    for rung in range(rungs):
        epochs = max(1, training.max_epochs >> (rungs - rung))
        finished = search.run_rung(contenders, replace(training, max_epochs=epochs), rung)
        scored += finished
        contenders = sorted(finished, key=lambda contender: contender.error)[: math.ceil(len(finished) / 2)]
    best = min(scored, key=lambda contender: contender.error)
    assert best.speed is not None
    epochs = best.speed.batches_in(end_s - tools.clock()) // training.steps_per_epoch
    left = replace(training, max_epochs=max(1, min(training.max_epochs, epochs)))
    trials = tuple(contender.trial for contender in scored if contender.trial is not None)
    return BestCandidate(member=best.member, training=left, trials=trials)


@dataclass(frozen=True, slots=True, eq=False)
class _Contender:
    """A candidate during the search: its weights so far, none at first, and its last trial."""

    candidate: SpecCandidate
    member: Member
    trial: Trial | None = None
    speed: "_TrainingSpeed | None" = None

    @property
    def error(self) -> float:
        """Return the error by which contenders are ranked; infinite without a score."""
        return math.inf if self.trial is None or self.trial.error is None else self.trial.error

    def step(self, rung: int) -> str:
        """Return the name of its step at ``rung`` in the checkpoint."""
        return f"{TRIALS}{rung}/{self.candidate.name}"


@dataclass(frozen=True, slots=True)
class _TrainingSpeed:
    """Duration of training: until the end of the first batch, which compiles the network, and per further batch."""

    start_s: float
    batch_s: float

    @classmethod
    def measure(cls, begin_s: float, stop_checks_s: Sequence[float]) -> "_TrainingSpeed":
        """Return the speed of a training that began at ``begin_s`` and called ``should_stop`` at ``stop_checks_s``."""
        first, *others = stop_checks_s[1:] or [begin_s]
        return cls(first - begin_s, (others[-1] - first) / len(others) if others else first - begin_s)

    def batches_in(self, seconds: float) -> int:
        """Return the number of batches that can be trained in ``seconds``."""
        return 1 + int((seconds - self.start_s) / max(self.batch_s, 1e-6))


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Data and tools of all trials, and the time at which the search ends."""

    known: Panel
    origins: Origins
    tools: SearchTools
    end_s: float

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
        trial, speed = Trial(**found.facts["trial"]), _TrainingSpeed(*found.facts["pace"])
        return _Contender(contender.candidate, Member(contender.member.spec, found.arrays), trial, speed)

    def run_trial(self, contender: _Contender, training: Training, rung: int) -> _Contender | None:
        """Return ``contender`` after one more rung; None if the time was over before it began."""
        begin_s, spec, failed = self.tools.clock(), contender.member.spec, None
        weights, error, stop_checks_s = contender.member.weights, None, list[float]()
        if begin_s >= self.end_s:
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
        speed = _TrainingSpeed.measure(begin_s, stop_checks_s)
        return _Contender(contender.candidate, Member(spec, weights), trial, speed)


def _candidate_specs(
    panel: Panel, fields: FieldValues, training: Training, candidates: Iterable[SpecCandidate]
) -> Iterator[tuple[SpecCandidate, Spec]]:
    """Yield the candidates that keep ``fields``, are valid, and differ from all earlier ones."""
    plain, seen = suggest(panel, fields), set[Spec]()
    for candidate in candidates:
        changes = dict(candidate.spec)
        if candidate.context_times != 1:
            steps = max(1, round(plain.steps * candidate.context_times))
            changes |= {"context": steps * plain.segment, "segment": plain.segment}
        if changes.keys() & fields.keys():
            continue
        try:
            spec = suggest(panel, fields, candidate.recipe, tried=changes)
            check_training(spec, training)
        except SpecError:
            continue
        if spec not in seen:
            seen.add(spec)
            yield candidate, spec
