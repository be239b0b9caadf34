"""Time budget of a search: its limits, the speed of a training, and the least budget that works."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.errors import InputError
from models.network.sizes import forecast_flop
from models.network.spec import Spec, Training
from models.network.strategies import STRATEGIES
from models.training.member_plan import refit_epochs

# After the search a network is compiled again; to score its backtest and to check the engines takes as long.
COMPILATIONS = 2
# Measured on two cores of a server: compiling, scoring and checking one network take 10 s, a batch 5 ms and its
# arithmetic. A gradient needs three times the arithmetic of a forecast.
CLOSING_S, BATCH_S, FLOP_PER_S = 12.0, 0.005, 1e10
GRADIENT = 3
USUAL_RUNGS = 4  # of a search among the named candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """Limits of a search.

    ``budget_s``: seconds for the search, the training of its result, the backtest and, if it ``refits``, the training
    on the newest points. ``candidates``: their number; random ones are added if there are fewer named ones. None: the
    named ones.
    """

    budget_s: float
    candidates: int | None = None
    refits: bool = True


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """Duration of training: until the end of the first batch, which compiles the network, and per further batch."""

    start_s: float
    batch_s: float

    @classmethod
    def measure(cls, begin_s: float, stop_checks_s: Sequence[float]) -> "TrainingSpeed":
        """Return the speed of a training that began at ``begin_s`` and called ``should_stop`` at ``stop_checks_s``."""
        first, *others = stop_checks_s[1:] or [begin_s]
        return cls(first - begin_s, (others[-1] - first) / len(others) if others else first - begin_s)

    def trial_s(self, training: Training) -> float:
        """Return the duration of ``training`` alone."""
        return self.start_s + training.max_epochs * training.steps_per_epoch * self.batch_s

    def seconds_for(self, training: Training, refits: bool) -> float:
        """Return the duration of ``training``, its backtest and, if it ``refits``, training on the newest points."""
        epochs = training.max_epochs + (refit_epochs(training.max_epochs) if refits else 0)
        return COMPILATIONS * self.start_s + epochs * training.steps_per_epoch * self.batch_s

    def shorten(self, training: Training, seconds: float, refits: bool) -> Training:
        """Return ``training`` with as many epochs as take ``seconds`` in all; less than one epoch if need be."""
        for epochs in range(training.max_epochs, 0, -1):
            shorter = replace(training, max_epochs=epochs)
            if self.seconds_for(shorter, refits) <= seconds:
                return shorter
        batches = (seconds - COMPILATIONS * self.start_s) / max(self.batch_s, 1e-6) / (2 if refits else 1)
        return replace(training, max_epochs=1, steps_per_epoch=min(training.steps_per_epoch, max(1, int(batches))))


def check_budget(budget_s: float, spec: Spec, training: Training) -> None:
    """Refuse a budget in which the first candidate cannot be trained briefly, checked and served.

    Raises:
        InputError: ``budget_too_small``, with the least budget that works on two cores.
    """
    least_s = math.ceil(least_budget_s(spec, training))
    if budget_s < least_s:
        message = f"{budget_s:g} s are too few to try the first candidate and to train and check the best one"
        raise InputError.of("budget_too_small", message, f"give at least {least_s} s", field="budget_s")


def least_budget_s(spec: Spec, training: Training) -> float:
    """Return the seconds for one trial of ``spec``, half as many batches after it, and all that follows a training."""
    if not STRATEGIES[spec.strategy].learns:
        return 1.0
    batch_s = BATCH_S + GRADIENT * training.batch_size * forecast_flop(spec, spec.outputs) / FLOP_PER_S
    batches = max(1, training.max_epochs >> USUAL_RUNGS) * training.steps_per_epoch
    return CLOSING_S + 1.5 * batches * batch_s
