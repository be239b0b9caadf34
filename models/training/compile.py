"""Networks compiled for training; networks with the same graph share one compiled network.

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

MAX_COMPILED = 4  # networks of some tens of MB each
MAX_INITIAL_WEIGHTS = 8
SHARE_WARM_UP = 0.03  # of all steps
MIN_RATE = 0.01  # of the peak rate, at the end


def compiled_network(spec: Spec, training: Training) -> Any:
    """Return a compiled network in its initial state, before the first training step.

    Compiling takes seconds, and memory that is never freed: a network with the same graph is reused and reset.
    """
    stateful_rows = training.batch_size if training.carry > 1 else 0
    settings = OptimizerSettings(training.clip_value, training.clip_norm, training.weight_decay)
    # On other backends than TensorFlow the learning rates are constants of the compiled graph.
    constants = None if keras.backend.backend() == "tensorflow" else training
    network = _compiled(spec, stateful_rows, settings, constants)
    reset(network, _initial_state(spec, stateful_rows, training.seed))
    network.optimizer.schedule.set(training)
    return network


@lru_cache(maxsize=MAX_INITIAL_WEIGHTS)
def _initial_state(spec: Spec, stateful_rows: int, seed: int) -> tuple[Any, ...]:
    """Return the weights and seeds of a newly built network."""
    keras.utils.set_random_seed(seed)
    state = state_of(build_for_training(spec, stateful_rows))
    return tuple(keras.ops.convert_to_numpy(variable).copy() for variable in state)


class OptimizerSettings(NamedTuple):
    """Training settings that are constants of the compiled graph (part of the cache key)."""

    clip_value: float
    clip_norm: float
    weight_decay: float


@lru_cache(maxsize=MAX_COMPILED)
def _compiled(spec: Spec, stateful_rows: int, settings: OptimizerSettings, constants: Training | None) -> Any:
    network, schedule = build_for_training(spec, stateful_rows), Cosine()
    if constants is not None:
        schedule.set(constants)
    clip = {"clipvalue": settings.clip_value} if settings.clip_value else {"global_clipnorm": settings.clip_norm}
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay, **clip)
    optimizer.schedule = schedule
    # For small networks XLA saves most of the time that TensorFlow needs to dispatch the operations of a step. torch
    # would unroll the recurrence and compile it for minutes.
    network.compile(optimizer=optimizer, loss=loss_of(spec), jit_compile=keras.backend.backend() != "torch")
    return network


class Cosine(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Learning rate with a short warm-up and a cosine decay (Loshchilov & Hutter, 2017, "SGDR").

    Its parameters are variables, so that one compiled graph serves trainings of different lengths.
    """

    def __init__(self) -> None:
        self._peak, self._warm_up, self._decay = (keras.Variable(1.0, trainable=False) for _ in range(3))

    def set(self, training: Training) -> None:
        """Set the rates of ``training``."""
        steps = training.max_epochs * training.steps_per_epoch
        warm_up = max(1, int(SHARE_WARM_UP * steps))
        self._peak.assign(training.learning_rate)
        self._warm_up.assign(warm_up)
        self._decay.assign(max(1, steps - warm_up))

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0; the last step of the warm-up has the peak rate."""
        now = K.cast(step, "float32")
        done = K.clip((now - self._warm_up) / self._decay, 0.0, 1.0)
        falling = MIN_RATE + (1 - MIN_RATE) * 0.5 * (1 + K.cos(math.pi * done))
        return self._peak * K.where(now < self._warm_up, (now + 1.0) / self._warm_up, falling)
