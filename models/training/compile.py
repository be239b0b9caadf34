"""Networks compiled for training, each once: what was compiled for a graph serves every training of it.

Importing this module imports Keras and its backend.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import keras
from keras import ops as K  # noqa: N812 - as Keras' own documents call it

from models.engines.keras import build_for_training
from models.network.spec import Spec, Training
from models.training.loss import loss_of
from models.training.resume import reset, state_of

MAX_COMPILED = 4  # networks: some tens of MB each
MAX_INITIAL_WEIGHTS = 8
SHARE_WARM_UP = 0.03  # of all steps
MIN_RATE = 0.01  # of the highest, at the end


def compiled_network(spec: Spec, training: Training) -> Any:
    """A compiled network as it is before its first step.

    Compiling takes seconds and memory that is never given back: what was compiled for the same graph is taken again,
    and put where a new one would begin.
    """
    lanes = training.batch_size if training.carry > 1 else 0
    numbers = OptimizerSettings(training.clip_value, training.clip_norm, training.weight_decay)
    # Elsewhere than under TensorFlow the numbers of a schedule are constants of what is compiled.
    others = None if keras.backend.backend() == "tensorflow" else training
    network = _compiled(spec, lanes, numbers, others)
    reset(network, _initial_state(spec, lanes, training.seed))
    network.optimizer.schedule.set(training)
    return network


@lru_cache(maxsize=MAX_INITIAL_WEIGHTS)
def _initial_state(spec: Spec, lanes: int, seed: int) -> tuple[Any, ...]:
    """Weights and seeds of a network that was just built."""
    keras.utils.set_random_seed(seed)
    return tuple(keras.ops.convert_to_numpy(variable).copy() for variable in state_of(build_for_training(spec, lanes)))


class OptimizerSettings(NamedTuple):
    """What of a training is part of what is compiled."""

    clip_value: float
    clip_norm: float
    weight_decay: float


@lru_cache(maxsize=MAX_COMPILED)
def _compiled(spec: Spec, lanes: int, numbers: OptimizerSettings, others: Training | None) -> Any:
    network, schedule = build_for_training(spec, lanes), Cosine()
    if others is not None:
        schedule.set(others)
    clip = {"clipvalue": numbers.clip_value} if numbers.clip_value else {"global_clipnorm": numbers.clip_norm}
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=numbers.weight_decay, **clip)
    optimizer.schedule = schedule
    # Of small networks, XLA spares TensorFlow most of the time that dispatching the operations of a step would take.
    network.compile(optimizer=optimizer, loss=loss_of(spec), jit_compile=True)
    return network


class Cosine(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A short warm-up and a cosine decay to the very end, where accuracy is made (Loshchilov & Hutter, 2017, "SGDR").

    Its numbers are variables, so that what is compiled with it serves trainings of other lengths as well.
    """

    def __init__(self) -> None:
        self._peak, self._warm_up, self._decay = (keras.Variable(1.0, trainable=False) for _ in range(3))

    def set(self, training: Training) -> None:
        """The rates of ``training``."""
        steps = training.max_epochs * training.steps_per_epoch
        warm_up = max(1, int(SHARE_WARM_UP * steps))
        self._peak.assign(training.learning_rate)
        self._warm_up.assign(warm_up)
        self._decay.assign(max(1, steps - warm_up))

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        now = K.cast(step, "float32")
        done = K.clip((now - self._warm_up) / self._decay, 0.0, 1.0)
        falling = MIN_RATE + (1 - MIN_RATE) * 0.5 * (1 + K.cos(math.pi * done))
        return self._peak * K.where(now < self._warm_up, now / self._warm_up, falling)
