"""The search for the spec of a job, the trials that were made before an interruption included."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.store.orders import Auto, Order, Wanted
from app.work.reporter import Reporter
from models.auto import Tools, choose
from models.diary import Diary, Entry
from models.engines.onnx import OnnxEngine
from models.forecaster import Weights
from models.panel import Panel
from models.spec import Spec, Training
from models.training import Course, fit

STEP = "search"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search chose, how to finish it in the time that is left, and all that was tried (JSON values)."""

    course: Course
    trials: tuple[Mapping[str, Any], ...]

    @property
    def wanted(self) -> Wanted:
        """What is to be made of it."""
        return Wanted(self.course.spec, self.course.training)


def search(order: Order, known: Panel, reporter: Reporter, diary: Diary) -> Found:
    """What does best on the newest origins of ``known``, which ends before those of the backtest.

    Raises:
        InputError, SpecError, Cancelled: see ``models.auto.choose``.
    """
    assert order.auto is not None
    reporter.enter("search")
    entry = diary.done(STEP)
    if entry is None:
        entry = diary.close(STEP, _searched(order.auto, order.members[0].training, known, (reporter, diary)))
    spec, training = Spec.from_json(entry.facts["spec"]), Training.from_json(entry.facts["training"])
    return Found(Course(spec, training, entry.arrays), tuple(entry.facts["trials"]))


def _searched(auto: Auto, training: Training, known: Panel, parts: tuple[Reporter, Diary]) -> Entry:
    reporter, diary = parts

    def teach(
        spec: Spec, training: Training, panel: Panel, start: Weights | None, should_stop: Callable[[], bool]
    ) -> Weights:
        return fit(spec, training, panel, reporter.searching(auto.budget_s), should_stop, start)

    tools = Tools(teach, OnnxEngine, reporter.clock, reporter.should_stop, diary)
    choice = choose(known, auto.fixed, training, tools, auto.budget_s, auto.trials)
    facts = {"spec": choice.member.spec.to_json(), "training": choice.training.to_json()}
    return Entry(facts | {"trials": [asdict(trial) for trial in choice.trials]}, dict(choice.member.weights))
