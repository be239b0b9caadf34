"""An interrupted training reaches the same weights, bit for bit; so do several trainings in one process."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import psutil
import pytest

from models.errors import Cancelled
from models.evaluation.origins import plan_for
from models.network.spec import Spec, Training
from models.training.checkpoint import Checkpoint, CheckpointEntry, StepCheckpoint
from models.training.fit import Progress, train_member
from models.training.member_plan import MemberPlan
from models.training.pipeline import TrainingHooks, train_pipeline
from models.types import Weights
from tests.models.samples import panel_of

WEEK = 10 + 5 * np.sin(np.arange(150) * 2 * np.pi / 7)
PANEL = panel_of(*(WEEK + np.random.default_rng(seed).normal(size=150) for seed in range(4)))
SPEC = Spec(freq="D", season=7, context=14, horizon=4, units=6, dropout=0.2)
TRAINING = Training(max_epochs=4, steps_per_epoch=6, batch_size=16)
KINDS = {
    "patience": (SPEC, replace(TRAINING, patience=3)),
    "carried": (
        replace(SPEC, state="carried", strategy="iterative", dropout=0.0),
        replace(TRAINING, steps_per_epoch=7, carry=3),
    ),
    "decoder": (replace(SPEC, cell="lstm", depth=2, strategy="decoder", attention=True), TRAINING),
}


def after(batches: int) -> Callable[[], bool]:
    """Return a function that stops a training after so many batches."""
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > batches

    return stop


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def interrupted(course: MemberPlan, batches: int) -> CheckpointEntry:
    """Return the state that a training had saved when it ended after so many batches."""
    kept: list[bytes] = []
    checkpoint = Checkpoint("", kept.append, lambda: True)
    with pytest.raises(Cancelled):
        train_member(course, PANEL, checkpoint.open("fit"), should_stop=after(batches))
    again = Checkpoint()
    again.restore(kept[-1])
    entry = again.open("fit").entry
    assert entry is not None
    return entry


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_reaches_the_same_weights(kind: str) -> None:
    course = MemberPlan(*KINDS[kind])
    whole = train_member(course, PANEL, StepCheckpoint())
    entry = interrupted(course, batches=2 * course.training.steps_per_epoch + 3)
    assert entry.facts["epoch"] == 2
    reports: list[Progress] = []
    resumed = train_member(course, PANEL, StepCheckpoint(entry), reports.append)
    assert reports[0].epoch == 3
    assert same(resumed, whole)


def test_early_stopping_remembers_the_best_epoch_over_an_interruption() -> None:
    # Weights that jump about: no epoch is better than the first.
    course = MemberPlan(SPEC, replace(TRAINING, learning_rate=0.5, patience=3, max_epochs=8))
    whole = train_member(course, PANEL, StepCheckpoint())
    entry = interrupted(course, batches=2 * course.training.steps_per_epoch + 3)
    assert entry.facts["patience"]["best_epoch"] <= 1
    assert same(train_member(course, PANEL, StepCheckpoint(entry)), whole)


@pytest.mark.parametrize(
    "changes",
    [{"made_by": "keras 0.1 abacus"}, {"units": 7}],
    ids=["by another release", "of another network"],
)
def test_a_state_that_does_not_fit_is_ignored(changes: dict[str, object]) -> None:
    entry = interrupted(MemberPlan(SPEC, TRAINING), batches=15)
    other = replace(SPEC, units=changes.get("units", SPEC.units))
    page = StepCheckpoint(CheckpointEntry({**entry.facts, **changes}, entry.arrays))
    reports: list[Progress] = []
    made = train_member(MemberPlan(other, TRAINING), PANEL, page, reports.append)
    assert reports[0].epoch == 1
    assert same(made, train_member(MemberPlan(other, TRAINING), PANEL, StepCheckpoint()))


class Dies(Exception):
    """The process is killed."""


def test_a_forecaster_is_the_same_wherever_its_training_was_interrupted() -> None:
    courses = [MemberPlan(SPEC, replace(TRAINING, seed=seed, max_epochs=2)) for seed in (0, 1)]
    plan = plan_for(PANEL, SPEC.horizon, SPEC.season)
    whole = train_pipeline(PANEL, plan, courses)
    kept: list[bytes] = []
    entered: list[str] = []
    for phase, member in (("fit", 0), ("fit", 1), ("refit", 1)):

        def die(now: str, number: int, progress: Progress, at: tuple[str, int] = (phase, member)) -> None:
            entered.append(f"{now}/{number}")
            if (now, number) == at:
                raise Dies

        with pytest.raises(Dies):
            train_pipeline(PANEL, plan, courses, hooks=TrainingHooks(on_progress=die, checkpoint=checkpoint_of(kept)))
    reports: list[str] = []
    last = TrainingHooks(
        on_progress=lambda phase, member, _: reports.append(f"{phase}/{member}"), checkpoint=checkpoint_of(kept)
    )
    made = train_pipeline(PANEL, plan, courses, hooks=last)
    assert set(reports) == {"refit/1"}  # all that came before was done once
    for ours, theirs in zip(made.forecaster.members, whole.forecaster.members, strict=True):
        assert ours.share == theirs.share
        assert same(ours.weights, theirs.weights)
    np.testing.assert_array_equal(made.forecaster.calibration.radii, whole.forecaster.calibration.radii)
    assert made.evaluation.report == whole.evaluation.report


def checkpoint_of(kept: list[bytes]) -> Checkpoint:
    checkpoint = Checkpoint("", kept.append, lambda: True)
    if kept:
        checkpoint.restore(kept[-1])
    return checkpoint


def test_memory_does_not_grow_with_the_trainings_of_a_process() -> None:
    process = psutil.Process()
    sizes = []
    for number in range(21):
        # Other lengths, seeds and rates: nothing that would have to be compiled anew.
        training = replace(TRAINING, max_epochs=1 + number % 3, seed=number % 2, learning_rate=1e-3 * (1 + number))
        train_member(MemberPlan(SPEC, training), PANEL, StepCheckpoint())
        sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[0] < 60 * 1024**2  # compiling each would take over 700 MB


def test_a_reused_compiled_network_keeps_nothing_of_the_training_before() -> None:
    course = MemberPlan(SPEC, TRAINING)
    first = train_member(course, PANEL, StepCheckpoint())
    train_member(
        MemberPlan(SPEC, replace(TRAINING, seed=7, max_epochs=1)), PANEL, StepCheckpoint(), should_stop=after(50)
    )
    with pytest.raises(Cancelled):
        train_member(MemberPlan(SPEC, replace(TRAINING, seed=8)), PANEL, StepCheckpoint(), should_stop=after(9))
    assert same(train_member(course, PANEL, StepCheckpoint()), first)
