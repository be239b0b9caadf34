"""Training of one network, with progress, cancellation, early stopping and a fixed seed.

Importing this module imports Keras and its backend.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.data.panel import Panel
from models.data.windows import Windows, split, take
from models.engines.keras import get_weights, set_weights
from models.errors import Cancelled, Diverged
from models.network.inputs import Reader, facts_of, training_inputs, window_inputs, zero_state
from models.network.spec import Spec, Training
from models.network.strategies import STRATEGIES, frames
from models.training.checkpoint import StepCheckpoint
from models.training.compile import compiled_network
from models.training.member_plan import MemberPlan
from models.training.resume import CheckpointCallback, Patience, restore
from models.types import Floats, Inputs, Ints, Weights

MAX_VALIDATION_BATCHES = 8
SHARE_SHORTENED = 0.1  # of the windows lose their older points, to resemble those of short series


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """State of a training: ``epoch`` of ``epochs``, the latest losses in window units, the latest measured skill."""

    epoch: int
    epochs: int
    share: float
    loss: float | None
    validation_loss: float | None
    skill: float | None


OnProgress = Callable[[Progress], None]
SkillProbe = Callable[[Callable[[], Weights]], float | None]  # gets the weights only if it is time to measure


def no_skill(weights: Callable[[], Weights]) -> None:
    """Measure nothing."""


def fit(
    spec: Spec,
    training: Training,
    panel: Panel,
    on_progress: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    initial_weights: Weights | None = None,
) -> Weights:
    """Return the weights of ``spec``'s network trained on ``panel``, from ``start`` if given; keeps no checkpoint."""
    return train_member(MemberPlan(spec, training, initial_weights), panel, StepCheckpoint(), on_progress, should_stop)


def train_member(
    plan: MemberPlan,
    panel: Panel,
    step_checkpoint: StepCheckpoint,
    on_progress: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    measure_skill: SkillProbe = no_skill,
) -> Weights:
    """Return the weights of the planned member trained on ``panel``; equal input gives equal weights on a CPU.

    With ``training.patience`` the newest tenth of each series (at least one horizon) is held out, and chooses the epoch
    whose weights are kept. ``step_checkpoint`` saves the state at the end of an epoch, if that is due; from its entry
    training continues, with the same final weights as without an interruption. ``measure_skill`` is called at the end
    of each epoch, and its result is reported with the progress.

    Raises:
        InputError: ``too_short``: no series has a window for training, or for validation.
        Cancelled: ``should_stop`` returned True; it is called before the first batch and after every batch.
        Diverged: the loss, in training or in validation, became NaN or infinite.
    """
    spec, training = plan.spec, plan.training
    facts = facts_of(spec, panel)
    if not STRATEGIES[spec.strategy].learns:
        return facts.to_weights()
    reader = Reader(spec, facts, panel)
    windows, held_out = split(panel, training.min_points(spec.context), spec.horizon, hold=training.patience > 0)
    network = compiled_network(spec, training)
    if plan.initial_weights is not None:
        set_weights(network, plan.initial_weights)
    patience, validation = None, None
    if held_out is not None:
        patience = Patience(training.patience)
        # Whole batches of evenly spread windows, because another batch size would be compiled again.
        batches = min(MAX_VALIDATION_BATCHES, max(1, len(held_out) // training.batch_size))
        validation = window_examples(reader, held_out.spread(batches * training.batch_size))
    epoch = restore(network, patience, step_checkpoint.entry)
    skill = partial(measure_skill, lambda: get_weights(network) | facts.to_weights())
    progress = _ProgressCallback(training, on_progress, should_stop, skill)
    callbacks = [progress, CheckpointCallback(step_checkpoint, patience, training.max_epochs)]
    network.fit(
        _Batches(reader, windows, training, epoch),
        validation_data=validation,
        validation_batch_size=training.batch_size,
        epochs=training.max_epochs,
        initial_epoch=epoch,
        shuffle=False,
        callbacks=callbacks if patience is None else [patience, *callbacks],
        verbose=0,
    )
    return get_weights(network) | facts.to_weights()


Examples = tuple[Inputs, NDArray[np.float32]]


def window_examples(reader: Reader, moments: tuple[Ints, Ints], past: Floats | None = None) -> Examples:
    """Return the network's inputs at ``moments`` (series, at), and the targets: (B, O, 1), or (B, n, O, 1).

    ``past`` (B, T) replaces the panel's values if it is given. A carried state begins at zero.
    """
    inputs, targets = _examples(reader, moments, past)
    return inputs | zero_state(reader.spec, len(targets)), targets


def state_examples(reader: Reader, moments: tuple[Ints, Ints], before: int) -> Examples:
    """Return the examples for a network that carries its state over ``before`` windows of the same series.

    The newest window is read as in serving: in the units of the first window, with lags that reach back into the
    others. ``keep`` (B, 1) is 0 if no window before holds a value, because serving begins with one that does.
    """
    spec, (series, at) = reader.spec, moments
    size = (before + 1) * spec.context
    past = take(reader.panel.y, reader.panel, series, at - size, size)
    inputs, targets = _examples(reader, moments, past)
    every_step = STRATEGIES[spec.strategy].every_step
    stepwise = {"past", "ahead", "skip"} if every_step else {"past"}
    newest = {name: value[:, -spec.context :] if name in stepwise else value for name, value in inputs.items()}
    observed = ~np.isnan(past[:, : -spec.context])
    newest["keep"] = np.asarray(observed.any(axis=1, keepdims=True), dtype=np.float32)
    return newest, targets[:, -spec.context :] if every_step else targets


def _examples(reader: Reader, moments: tuple[Ints, Ints], past: Floats | None) -> Examples:
    spec = reader.spec
    batch = reader.read(*moments, spec.outputs, past)
    future = batch.to_window(reader.future(*moments, spec.outputs))
    if STRATEGIES[spec.strategy].every_step:
        values = np.concatenate([batch.values, future], axis=1)
        targets = np.ascontiguousarray(frames(values, batch.values.shape[1], spec.segment, spec.outputs))
        return training_inputs(spec, values, batch), targets[..., None]
    return window_inputs(spec, batch.values, batch), future[..., None]


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Random windows in batches of one size; they depend only on the seed, the epoch and the batch number.

    If the state is carried over ``carry`` windows, as many consecutive batches hold consecutive windows of the same
    series.
    """

    def __init__(self, reader: Reader, windows: Windows, training: Training, epoch: int) -> None:
        super().__init__()
        self._reader, self._windows, self._training, self._epoch = reader, windows, training, epoch

    def __len__(self) -> int:
        return self._training.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        carry = self._training.carry
        rng = np.random.default_rng([self._training.seed, self._epoch, index // carry])
        series, at = self._windows.draw(rng, self._training.batch_size)
        if carry == 1:
            # Some windows lose their older points.
            past = self._reader.past(series, at)
            context, cut = past.shape[1], rng.random(len(at)) < SHARE_SHORTENED
            lengths = rng.integers(self._training.min_points(context), context + 1, size=len(at))
            lost = context - np.where(cut, lengths, context)
            past = np.where(np.arange(context) >= lost[:, None], past, np.nan)
            return window_examples(self._reader, (series, at), past)
        before = index % carry
        return state_examples(self._reader, (series, at - (carry - 1 - before) * self._reader.spec.context), before)

    def on_epoch_end(self) -> None:
        self._epoch += 1


class _ProgressCallback(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(
        self,
        training: Training,
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
        measure_skill: Callable[[], float | None],
    ) -> None:
        super().__init__()
        self._training, self._on_progress, self._should_stop = training, on_progress, should_stop
        self._measure_skill = measure_skill
        self._skill: float | None = None
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
        self._validation_loss, self._skill = logs.get("val_loss"), self._measure_skill()
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
            skill=self._skill,
        )
        self._on_progress(self._latest)
