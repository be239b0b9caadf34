"""The search for a spec, with a training function that makes each candidate as good as the test says.

The series is 0, 1, 2, …; a network that reads T points outputs its bias, in units of (T - 1) / 2 from the last value.
A rise of one each step is correct; seasonal naive with a season of 1 has errors of 1 and 2, MASE 1.5.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.errors import Cancelled, Diverged, InputError
from models.network.spec import Spec, Training
from models.network.strategies import STRATEGIES
from models.training.budget import SearchLimits
from models.training.checkpoint import always_false
from models.training.member_plan import MemberPlan
from models.training.recipes import CANDIDATES, suggest
from models.training.search import BestCandidate, SearchTools, search_spec
from models.types import Weights
from tests.fakes import weights
from tests.models.samples import panel_of

FIELDS: dict[str, Any] = {"season": 1, "horizon": 2, "scaling": "last", "skip": False, "loss": "mae", "dropout": 0.0}
TRAINING = Training(max_epochs=16, steps_per_epoch=4)


def learns_equally(spec: Spec, epochs: int) -> float:
    """Return the error of a network after so many epochs."""
    return 1.0


@dataclass
class Trainer:
    """Trains networks to have the error ``off``, an epoch a second; records the trainings.

    ``compile_s``: extra seconds of the first batch.
    """

    off: Callable[[Spec, int], float] = learns_equally
    now_s: float = 0.0
    compile_s: float = 0.0
    stopped_at_s: float = np.inf
    trained: list[tuple[Spec, int, Weights | None]] = field(default_factory=list)
    panels: set[int] = field(default_factory=set)

    def train(
        self, spec: Spec, training: Training, panel: Panel, start: Weights | None, should_stop: Callable[[], bool]
    ) -> Weights:
        self.panels.add(int(panel.lengths[0]))
        made = weights(spec)
        if not STRATEGIES[spec.strategy].learns:
            return made
        self.trained.append((spec, training.max_epochs, start))
        seconds = [0.0, self.compile_s + 0.25, *[0.25] * (training.max_epochs * training.steps_per_epoch - 1)]
        for taken_s in seconds:
            self.now_s += taken_s
            if should_stop():
                raise Cancelled("training was asked to stop")
        if made["head/bias"].shape == (2,):
            rise = np.array([1, 2]) + self.off(spec, training.max_epochs)
            made["head/bias"][:] = rise * 2 / (spec.context - 1)
        return made

    def search(self, panel: Panel | None = None, budget_s: float = 1e6, **fields: Any) -> BestCandidate:
        return self.search_fields({**FIELDS, **fields}, panel, budget_s)

    def search_fields(
        self, fields: dict[str, Any], panel: Panel | None = None, budget_s: float = 1e6, refits: bool = False
    ) -> BestCandidate:
        tools = SearchTools(self.train, OnnxEngine, lambda: self.now_s, lambda: self.now_s >= self.stopped_at_s)
        panel = panel or panel_of(np.arange(100.0))
        planned = MemberPlan(suggest(panel, fields), TRAINING)
        return search_spec(panel, fields, planned, tools, SearchLimits(budget_s=budget_s, refits=refits))


def train_at_once(spec: Spec, training: Training, *_: object) -> Weights:
    """Train with the errors of ``wide_is_best``; a module-level function, so that it can be sent to other processes."""
    return Trainer(wide_is_best).train(spec, training, panel_of(np.arange(3.0)), None, always_false)


def run_task(task: Callable[[], object]) -> tuple[int, object]:
    return os.getpid(), task()


def wide_is_best(spec: Spec, epochs: int) -> float:
    return 0.25 if spec.units == 256 else 0.5


def ranked(choice: BestCandidate) -> dict[str, float | None]:
    """Return the error of each candidate at the first rung."""
    return {trial.candidate: trial.error for trial in choice.trials if trial.rung == 0}


def test_the_best_candidate_is_chosen() -> None:
    choice = Trainer(wide_is_best).search()
    assert choice.member.spec.units == 256
    errors = ranked(choice)
    assert errors["wide"] == pytest.approx(0.25, abs=1e-6)
    assert errors["default"] == pytest.approx(0.5, abs=1e-6)
    assert errors["seasonal_naive"] == pytest.approx(1.5)


def test_the_better_half_continues_with_twice_as_many_epochs_from_its_weights() -> None:
    trainer = Trainer(wide_is_best)
    choice = trainer.search()
    trials = [trial for trial in choice.trials if trial.candidate != "seasonal_naive"]
    rungs = [[trial for trial in trials if trial.rung == rung] for rung in range(trials[-1].rung + 1)]
    counts = [len(rung) for rung in rungs]
    assert counts[0] > 4
    assert counts[1:] == [-(-count // 2) for count in counts[:-1]]
    assert counts[-1] == 2
    epochs = [{trial.epochs for trial in rung} for rung in rungs]
    assert epochs == [{16 >> (len(rungs) - number)} for number in range(len(rungs))]
    for above, below in zip(rungs[1:], rungs[:-1], strict=True):
        best = sorted(below, key=lambda trial: trial.error or 0)[: len(above)]
        assert {trial.candidate for trial in above} == {trial.candidate for trial in best}
    starts = [start for _, _, start in trainer.trained]
    assert all((start is None) == (number < counts[0]) for number, start in enumerate(starts))


def test_trials_in_other_processes_give_the_same_result() -> None:
    processes: set[int] = set()

    def each(tasks: Sequence[Callable[[], object]]) -> list[object]:
        found = list(pool.map(run_task, tasks))
        processes.update(process for process, _ in found)
        return [result for _, result in found]

    panel = panel_of(np.arange(100.0))
    planned, limits = MemberPlan(suggest(panel, FIELDS), TRAINING), SearchLimits(budget_s=1e6)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        tools = SearchTools(train_at_once, OnnxEngine, time.time, parallel_map=each)
        far = search_spec(panel, FIELDS, planned, tools, limits)
    near = search_spec(panel, FIELDS, planned, SearchTools(train_at_once, OnnxEngine, time.time), limits)
    assert processes
    assert os.getpid() not in processes
    assert [replace(trial, seconds=0.0) for trial in far.trials] == [
        replace(trial, seconds=0.0) for trial in near.trials
    ]
    assert far.member.spec == near.member.spec
    np.testing.assert_array_equal(far.member.weights["head/bias"], near.member.weights["head/bias"])


def test_a_candidate_that_learns_slowly_may_win_in_the_end() -> None:
    def slowly(spec: Spec, epochs: int) -> float:
        if spec.units == 256:
            return 0.8 / epochs
        return 0.3 if spec.calendar else 0.5

    choice = Trainer(slowly).search()
    errors = ranked(choice)
    assert errors["calendar"] < errors["wide"] < errors["default"]
    assert choice.member.spec.units == 256


@pytest.mark.parametrize("off", [1.6, 40.0])
def test_seasonal_naive_is_scored_but_not_chosen_because_the_training_mixes_it_in(off: float) -> None:
    choice = Trainer(lambda spec, epochs: off).search()
    assert choice.member.spec.strategy == "direct"
    assert choice.trials[0].candidate == "seasonal_naive"
    assert ranked(choice)["seasonal_naive"] < ranked(choice)["default"]


def test_seasonal_naive_is_chosen_if_no_network_can_be_trained() -> None:
    def diverges(spec: Spec, epochs: int) -> float:
        raise Diverged("the loss became nan in epoch 1; lower learning_rate")

    choice = Trainer(diverges).search()
    assert choice.member.spec.strategy == "seasonal_naive"
    assert choice.member.spec.horizon == 2


def test_candidates_are_scored_on_points_outside_their_training_data() -> None:
    trainer = Trainer()
    trainer.search()
    (length,) = trainer.panels
    assert 50 < length < 100


def test_given_fields_stay_unchanged() -> None:
    trainer = Trainer()
    given = {"context": 12, "segment": 3, "strategy": "direct", "units": 16}
    choice = trainer.search(**given)
    for spec, _, _ in trainer.trained:
        assert {name: getattr(spec, name) for name in {**FIELDS, **given}} == {**FIELDS, **given}
    names = {trial.candidate for trial in choice.trials}
    assert "calendar" in names
    assert not {"longer", "shorter", "parallel", "wide", "last"} & names


def test_given_quantiles_are_trained_by_every_candidate() -> None:
    trainer = Trainer()
    names = {trial.candidate for trial in trainer.search(loss="quantile", quantiles=(0.2, 0.5, 0.8)).trials}
    assert "wide" in names
    no_loss = {name: value for name, value in FIELDS.items() if name != "loss"}
    choice = trainer.search_fields({**no_loss, "quantiles": (0.2, 0.5, 0.8)})
    assert "point" not in {trial.candidate for trial in choice.trials}
    assert {spec.loss for spec, _, _ in trainer.trained} == {"quantile"}


def test_a_named_strategy_without_a_network_has_one_candidate() -> None:
    fields = {name: FIELDS[name] for name in ("season", "horizon")}
    choice = Trainer().search_fields({**fields, "strategy": "seasonal_naive"})
    assert [trial.candidate for trial in choice.trials] == ["seasonal_naive", "default"]
    assert choice.member.spec.strategy == "seasonal_naive"


def test_no_spec_is_tried_twice_and_each_trial_has_a_reason() -> None:
    trainer = Trainer()
    choice = trainer.search()
    first = [spec for spec, _, start in trainer.trained if start is None]
    assert len(first) == len(set(first))
    reasons = {candidate.name: candidate.reason for candidate in CANDIDATES}
    assert all(trial.why == reasons.get(trial.candidate, trial.why) for trial in choice.trials)
    assert json.loads(json.dumps(choice.to_json()))[0]["candidate"] == "seasonal_naive"


def test_the_planned_spec_is_the_first_candidate_with_the_fields_of_its_recipe() -> None:
    panel, trainer = panel_of(np.arange(100.0)), Trainer(wide_is_best)
    fields = {"season": 1, "horizon": 2}
    planned = MemberPlan(suggest(panel, fields, "long"), TRAINING)
    tools = SearchTools(trainer.train, OnnxEngine, lambda: trainer.now_s)
    choice = search_spec(panel, fields, planned, tools, SearchLimits(budget_s=1e6))
    assert trainer.trained[0][0] == planned.spec
    assert [trial.candidate for trial in choice.trials[:2]] == ["seasonal_naive", "default"]
    assert "long" not in {trial.candidate for trial in choice.trials}


def test_the_search_ends_while_the_first_candidate_can_still_be_trained_in_full() -> None:
    trainer = Trainer(wide_is_best)
    # A full training takes 0.5 s to compile twice, and 16 epochs of a second; candidates take two epochs each.
    choice = trainer.search(budget_s=23.0)
    assert [trial.candidate for trial in choice.trials] == ["seasonal_naive", "default", "shorter", "longer"]
    assert trainer.now_s == 6.0
    assert choice.training == TRAINING


def test_the_search_uses_at_most_its_share_of_the_time() -> None:
    trainer = Trainer(wide_is_best)
    trainer.search(budget_s=50.0)  # 30 of them for the search, although 33.5 would be left
    assert trainer.now_s == 28.0


def test_the_first_candidate_is_tried_to_the_end_and_trained_in_all_of_the_time_that_is_left() -> None:
    trainer = Trainer(wide_is_best, compile_s=10.0)
    choice = trainer.search(budget_s=40.0)
    assert [(trial.candidate, trial.failed) for trial in choice.trials] == [("seasonal_naive", None), ("default", None)]
    assert trainer.now_s == 12.0
    assert choice.member.spec.strategy == "direct"
    # Of 28 s left, two compilations take 20.5; 7 epochs of a second fit into the rest.
    assert choice.training == replace(TRAINING, max_epochs=7)


def test_the_training_on_the_newest_points_is_part_of_the_time() -> None:
    trainer = Trainer(wide_is_best, compile_s=10.0)
    choice = trainer.search_fields(FIELDS, budget_s=40.0, refits=True)
    # 7.5 s are 6 epochs and a quarter as many again, rounded to 2, only if they are 7 in all: so 5 and 1.
    assert choice.training == replace(TRAINING, max_epochs=5)


def test_less_than_an_epoch_is_trained_if_no_time_is_left_for_one() -> None:
    trainer = Trainer(wide_is_best, compile_s=10.0)
    choice = trainer.search(budget_s=33.0)  # of 21 s left, half a second after two compilations
    assert (choice.training.max_epochs, choice.training.steps_per_epoch) == (1, 2)
    assert choice.member.spec.strategy == "direct"


def test_a_training_that_is_slower_than_usual_is_stopped_when_the_time_is_up() -> None:
    class SlowerLater(Trainer):
        def train(self, spec: Spec, *rest: Any) -> Weights:
            self.compile_s = 0.0 if not self.trained else 10.0
            return super().train(spec, *rest)

    trainer = SlowerLater(wide_is_best)
    choice = trainer.search(budget_s=23.0)
    naive, default, shorter = choice.trials
    assert (default.failed, shorter.failed, shorter.error) == (None, "the time limit was reached", None)
    assert choice.member.spec == trainer.trained[0][0]
    assert naive.error == pytest.approx(1.5)


def test_with_enough_time_the_whole_training_is_suggested() -> None:
    assert Trainer(wide_is_best).search().training == TRAINING


def test_a_search_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        Trainer(stopped_at_s=2.0).search()


def test_a_candidate_that_diverges_is_dropped_with_the_reason() -> None:
    def bursts(spec: Spec, epochs: int) -> float:
        if spec.units == 256:
            raise Diverged("the loss became nan in epoch 1; lower learning_rate")
        return 0.5

    choice = Trainer(bursts).search()
    (wide,) = [trial for trial in choice.trials if trial.candidate == "wide"]
    assert (wide.error, wide.failed) == (None, "the loss became nan in epoch 1; lower learning_rate")
    assert choice.member.spec.units != 256


def test_constant_series_are_scored_in_their_own_units() -> None:
    # A scale of 0 gives no MASE; at the end the value jumps by 4, which cannot be predicted, and no error is larger.
    flat = np.concatenate([np.full(80, 5.0), np.full(20, 9.0)])
    choice = Trainer(lambda spec, epochs: 0.0).search(panel_of(flat))
    assert all(trial.error is not None and 0 < trial.error < 4 for trial in choice.trials)


def test_a_panel_too_short_to_validate_on_is_refused() -> None:
    with pytest.raises(InputError, match="the longest series has 2 points"):
        Trainer().search(panel_of([1.0, 2.0]))
