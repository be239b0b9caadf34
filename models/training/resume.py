"""State of a training between two epochs, as a checkpoint entry, and how to restore it.

The entry holds everything that the next epoch depends on: weights, states and seeds of the network, the optimizer's
variables, the best epoch so far. The windows of a batch follow from the seed, the epoch and the batch number. On a CPU
the result equals, bit for bit, that of a training without interruption. Importing this module imports Keras and its
backend.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from models.data.serialization import NamedArrays
from models.training.checkpoint import CheckpointEntry, StepCheckpoint
from models.types import JsonObject

# A state is only read by the same library version, because the order of variables depends on the library.
LIBRARY_VERSION = f"keras {keras.__version__} {keras.backend.backend()}"


class Patience(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Early stopping after a number of epochs without a better validation loss; it can continue from a saved state."""

    def __init__(self, epochs: int) -> None:
        super().__init__(patience=epochs, restore_best_weights=True)
        self._seen: tuple[JsonObject, list[Any]] | None = None

    def begin_with(self, facts: JsonObject, weights: list[Any]) -> None:
        """Continue from ``facts`` and the weights of the best epoch."""
        self._seen = facts, weights

    def on_train_begin(self, logs: Any = None) -> None:
        """Reset the counters, or restore them."""
        super().on_train_begin(logs)
        if self._seen is not None:
            facts, self.best_weights = self._seen
            self.wait, self.best, self.best_epoch = facts["wait"], facts["best"], facts["best_epoch"]

    def facts(self) -> JsonObject:
        """Return the counters as JSON values, without the weights."""
        return {"wait": self.wait, "best": float(self.best), "best_epoch": self.best_epoch}


class CheckpointCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves the state at the end of each epoch except the last one, after which nothing is left to do."""

    def __init__(self, step_checkpoint: StepCheckpoint, patience: Patience | None, epochs: int) -> None:
        super().__init__()
        self._step_checkpoint, self._patience, self._epochs = step_checkpoint, patience, epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the state if that is due."""
        if epoch + 1 < self._epochs and not self.model.stop_training:
            self._step_checkpoint.save(lambda: _entry(self.model, self._patience, epoch + 1))


def state_of(network: Any) -> list[Any]:
    """Return the network's weights, states and seeds; not its metrics, which start again in each epoch."""
    metrics = {id(variable) for variable in network.metrics_variables}
    return [variable for variable in network.variables if id(variable) not in metrics]


def reset(network: Any, first: Sequence[Any]) -> None:
    """Set a compiled network to the state ``first``, with a new optimizer state."""
    network.optimizer.build(network.trainable_variables)
    for variable, value in zip(state_of(network), first, strict=True):
        variable.assign(value)
    for variable in network.optimizer.variables:
        variable.assign(keras.ops.zeros(variable.shape, dtype=variable.dtype))  # JAX has no zeros like a variable


def restore(network: Any, patience: Patience | None, entry: CheckpointEntry | None) -> int:
    """Set a compiled network to the state of ``entry``; return the epoch to begin with, 0 if the entry does not fit."""
    if entry is None or entry.facts.get("made_by") != LIBRARY_VERSION:
        return 0
    variables_of = {"network": state_of(network), "optimizer": network.optimizer.variables}
    saved = {part: _read_parts(entry.arrays, part, len(own)) for part, own in variables_of.items()}
    if any(_shapes(variables_of[part]) != _shapes(saved[part]) for part in variables_of):
        return 0
    for part, variables in variables_of.items():
        for variable, value in zip(variables, saved[part], strict=True):
            variable.assign(value.astype(variable.dtype).reshape(variable.shape))
    if patience is not None:
        patience.begin_with(entry.facts["patience"], _read_parts(entry.arrays, "best", len(network.weights)))
    epoch: int = entry.facts["epoch"]
    return epoch


def _entry(network: Any, patience: Patience | None, epoch: int) -> CheckpointEntry:
    """Return the state after ``epoch`` epochs; whole numbers of any size are stored as int64."""
    parts = {"network": state_of(network), "optimizer": network.optimizer.variables}
    values = {part: [keras.ops.convert_to_numpy(variable) for variable in parts[part]] for part in parts}
    facts: JsonObject = {"made_by": LIBRARY_VERSION, "epoch": epoch}
    if patience is not None:
        values["best"], facts["patience"] = patience.best_weights, patience.facts()
    arrays = {f"{part}/{i}": np.asarray(value) for part, group in values.items() for i, value in enumerate(group)}
    whole = {name: array.astype(np.int64) for name, array in arrays.items() if array.dtype.kind in "iu"}
    return CheckpointEntry(facts, arrays | whole)


def _read_parts(arrays: NamedArrays, name: str, count: int) -> list[Any]:
    return [arrays[f"{name}/{i}"] for i in range(count) if f"{name}/{i}" in arrays]


def _shapes(values: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(value.shape) or (1,) for value in values]  # a scalar is stored as an array of one number
