"""Spec: the checked definition of a forecaster. Training: the settings of its training."""

import math
from dataclasses import dataclass

from models.network.constraints import check
from models.network.fields import Fields, check_range, refuse
from models.network.losses import LOSSES
from models.network.spec_fields import SpecFields
from models.network.strategies import STRATEGIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(SpecFields):
    """The definition of a forecaster that can be built.

    Raises:
        SpecError: a field is out of its range, or fields do not work together (see ``models.network.constraints``).
    """

    def __post_init__(self) -> None:
        check(self)

    @property
    def outputs(self) -> int:
        """O, the steps that one forward pass of the network forecasts."""
        return STRATEGIES[self.strategy].outputs(self.horizon, self.segment)

    @property
    def parameters(self) -> int:
        """P, the numbers that the network gives for each step."""
        loss = LOSSES[self.loss]
        return loss.count_locations(self.quantiles) + loss.spreads

    @property
    def gives_mean(self) -> bool:
        """Whether the network's forecast is a mean of the values; seasonal naive counts as one, for it learns none."""
        return not STRATEGIES[self.strategy].learns or (LOSSES[self.loss].of_mean and self.transform == "none")

    @property
    def decodes(self) -> bool:
        """Whether the network has a second recurrence, over the steps of the forecast."""
        return STRATEGIES[self.strategy].decodes

    @property
    def skip_channels(self) -> int:
        """N, the naive forecasts that a network reads: the last value and, if its window holds one, the last season.

        They use the current window only, even with a carried state, to match training.
        """
        if not STRATEGIES[self.strategy].learns or not self.skip or self.context == 0:
            return 0
        return 2 if 1 < self.season <= self.context else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(Fields):
    """Settings of training: AdamW, a short warm-up, a full cosine decay.

    With ``patience`` 0 all data are trained on and the weights of the last epoch are kept; otherwise the newest points
    are held out to choose the epoch.
    """

    max_epochs: int = 20
    steps_per_epoch: int = 100
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # of all gradients together
    clip_value: float = 0.0  # of each number in them, instead of the norm; 0 = off
    patience: int = 0  # epochs without a better validation loss before training stops
    carry: int = 1  # consecutive windows over which a state is carried in training
    least_context: float = 0.5  # share of the context that a window must hold, where its series is long enough
    seed: int = 0

    def __post_init__(self) -> None:
        refuse(
            [
                check_range(self, "max_epochs", 1, 1_000),
                check_range(self, "steps_per_epoch", 1, 10_000),
                check_range(self, "batch_size", 1, 8_192),
                check_range(self, "learning_rate", 1e-6, 1.0),
                check_range(self, "weight_decay", 0.0, 1.0),
                check_range(self, "clip_norm", 1e-3, 1e3),
                check_range(self, "clip_value", 0.0, 1e3),
                check_range(self, "patience", 0, 1_000),
                check_range(self, "carry", 1, 100),
                check_range(self, "least_context", 0.0, 1.0),
                check_range(self, "seed", 0, 2**31 - 1),
            ]
        )

    def min_points(self, context: int) -> int:
        """Return the least points that a training window of ``context`` must hold, where its series is long enough."""
        return max(min(context, 1), math.ceil(self.least_context * context))
