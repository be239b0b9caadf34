"""fit(spec, training, panel): teach a network, with progress, cancel, early stopping and a fixed seed.

Importing this module imports Keras and its backend.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from models.errors import Cancelled, Diverged
from models.network import Weights, build, get_weights
from models.panel import Panel
from models.scaling import inputs, normalise, to_window_units
from models.spec import Spec, Training
from models.strategies import STRATEGIES
from models.windows import Windows, split

MOST_VALIDATION_BATCHES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far training is: ``epoch`` of ``epochs``, the latest losses (mean absolute error in window units)."""

    epoch: int
    epochs: int
    share: float
    loss: float | None
    validation_loss: float | None


OnProgress = Callable[[Progress], None]


def fit(
    spec: Spec,
    training: Training,
    panel: Panel,
    on_progress: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """The weights of ``spec``'s network taught on the windows of ``panel``; equal input gives equal weights on a CPU.

    The newest tenth of each series (at least one horizon) chooses the epoch that is kept.

    Raises:
        InputError: ``too_short`` where no series holds a window for teaching and one for validation.
        Cancelled: ``should_stop`` said so; it is asked before the first batch and after every one.
        Diverged: the loss, in teaching or in validation, became NaN or infinite.
    """
    taught, held = split(panel, spec.context, spec.horizon)
    keras.utils.set_random_seed(training.seed)
    network = build(spec)
    steps = training.max_epochs * training.steps_per_epoch
    rate = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps, alpha=0.01)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=training.clip_norm)
    # Without XLA, TensorFlow spends five times as long on a CPU dispatching the small operations of a recurrent step.
    network.compile(optimizer=optimizer, loss="mae", jit_compile=True)
    best = keras.callbacks.EarlyStopping(patience=training.patience, restore_best_weights=True)
    network.fit(
        _Batches(taught, spec, training.batch_size, training.steps_per_epoch, training.seed),
        validation_data=_validation(held, spec, training),
        validation_batch_size=training.batch_size,
        epochs=training.max_epochs,
        shuffle=False,
        callbacks=[best, _Reporter(training, on_progress, should_stop)],
        verbose=0,
    )
    return get_weights(network)


def _examples(windows: Windows, rows: np.ndarray[Any, Any], spec: Spec) -> tuple[Any, Any]:
    past, future = windows.take(rows)
    scaled = normalise(past, spec.season)
    after = to_window_units(future, scaled.level, scaled.spread)
    return inputs(scaled.values, spec.season), STRATEGIES[spec.strategy].targets(scaled.values, after)


def _validation(held: Windows, spec: Spec, training: Training) -> tuple[Any, Any]:
    """Evenly spread windows, in whole batches: another shape would be compiled anew."""
    batches = min(MOST_VALIDATION_BATCHES, max(1, len(held) // training.batch_size))
    rows = np.linspace(0, len(held) - 1, batches * training.batch_size).astype(np.int64)
    return _examples(held, rows, spec)


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Random windows, all of one batch size; which ones depends only on the seed, the epoch and the batch."""

    def __init__(self, windows: Windows, spec: Spec, batch_size: int, steps: int, seed: int) -> None:
        super().__init__()
        self._windows, self._spec = windows, spec
        self._batch_size, self._steps, self._seed, self._epoch = batch_size, steps, seed, 0

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rng = np.random.default_rng([self._seed, self._epoch, index])
        return _examples(self._windows, self._windows.draw(rng, self._batch_size), self._spec)

    def on_epoch_end(self) -> None:
        self._epoch += 1


class _Reporter(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, training: Training, on_progress: OnProgress, should_stop: Callable[[], bool]) -> None:
        super().__init__()
        self._training, self._on_progress, self._should_stop = training, on_progress, should_stop
        self._epoch, self._validation_loss = 0, None
        self._latest: Progress | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._stop_if_asked()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._stop_if_asked()
        self._report(batch + 1, logs["loss"])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._validation_loss = logs["val_loss"]
        self._report(self._training.steps_per_epoch, logs["loss"])

    def on_train_end(self, logs: Any = None) -> None:
        if self._latest is not None and self._latest.share < 1:
            self._on_progress(replace(self._latest, share=1.0))

    def _stop_if_asked(self) -> None:
        if self._should_stop():
            raise Cancelled("training was asked to stop")

    def _report(self, batches: int, loss: Any) -> None:
        for value in (loss, self._validation_loss):
            if value is not None and not np.isfinite(value):
                hint = "lower learning_rate or clip_norm"
                raise Diverged(f"the loss became {value} in epoch {self._epoch + 1}; {hint}")
        done = self._epoch * self._training.steps_per_epoch + batches
        self._latest = Progress(
            epoch=self._epoch + 1,
            epochs=self._training.max_epochs,
            share=done / (self._training.max_epochs * self._training.steps_per_epoch),
            loss=float(loss),
            validation_loss=None if self._validation_loss is None else float(self._validation_loss),
        )
        self._on_progress(self._latest)
