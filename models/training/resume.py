"""The state of a training between two epochs, as an entry of a diary, and a training that goes on from there.

All that the next epoch depends on is kept: weights, states and seeds of the network, the optimizer's variables, the
best epoch so far. Which windows a batch holds follows from the seed, the epoch and the batch alone. What comes out is
the same, bit for bit on a CPU, as without the interruption. Importing this module imports Keras and its backend.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from models.data.serialization import NamedArrays
from models.training.checkpoint import CheckpointEntry, StepCheckpoint

# What must be the same for a state to be read: the order of variables is the libraries' own.
LIBRARY_VERSION = f"keras {keras.__version__} {keras.backend.backend()}"


class Patience(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Stops after so many epochs without a better validation loss; may begin with what an earlier one had seen."""

    def __init__(self, epochs: int) -> None:
        super().__init__(patience=epochs, restore_best_weights=True)
        self._seen: tuple[dict[str, Any], list[Any]] | None = None

    def begin_with(self, facts: dict[str, Any], weights: list[Any]) -> None:
        """Go on from ``facts`` and the weights of the best epoch."""
        self._seen = facts, weights

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew, or from there."""
        super().on_train_begin(logs)
        if self._seen is not None:
            facts, self.best_weights = self._seen
            self.wait, self.best, self.best_epoch = facts["wait"], facts["best"], facts["best_epoch"]

    def facts(self) -> dict[str, Any]:
        """What it has seen, but for the weights."""
        return {"wait": self.wait, "best": float(self.best), "best_epoch": self.best_epoch}


class CheckpointCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the state at the end of each epoch but the last one, after which there is nothing to go on with."""

    def __init__(self, page: StepCheckpoint, patience: Patience | None, epochs: int) -> None:
        super().__init__()
        self._page, self._patience, self._epochs = page, patience, epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note it if it is due."""
        if epoch + 1 < self._epochs and not self.model.stop_training:
            self._page.save(lambda: _entry(self.model, self._patience, epoch + 1))


def state_of(network: Any) -> list[Any]:
    """Weights, states and seeds; not the metrics, which begin anew at each epoch."""
    metrics = {id(variable) for variable in network.metrics_variables}
    return [variable for variable in network.variables if id(variable) not in metrics]


def reset(network: Any, first: Sequence[Any]) -> None:
    """Bring a compiled network to the state ``first``, with an optimizer that has seen nothing."""
    network.optimizer.build(network.trainable_variables)
    for variable, value in zip(state_of(network), first, strict=True):
        variable.assign(value)
    for variable in network.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))


def restore(network: Any, patience: Patience | None, entry: CheckpointEntry | None) -> int:
    """Bring a compiled network to where ``entry`` is; the epoch to begin with, 0 where it is of no use."""
    if entry is None or entry.facts.get("made_by") != LIBRARY_VERSION:
        return 0
    own = {"network": state_of(network), "optimizer": network.optimizer.variables}
    kept = {part: _read_parts(entry.arrays, part, len(variables)) for part, variables in own.items()}
    if any(_shapes(own[part]) != _shapes(kept[part]) for part in own):
        return 0
    for part, variables in own.items():
        for variable, value in zip(variables, kept[part], strict=True):
            variable.assign(value.astype(variable.dtype).reshape(variable.shape))
    if patience is not None:
        patience.begin_with(entry.facts["patience"], _read_parts(entry.arrays, "best", len(network.weights)))
    epoch: int = entry.facts["epoch"]
    return epoch


def _entry(network: Any, patience: Patience | None, epoch: int) -> CheckpointEntry:
    parts = {"network": state_of(network), "optimizer": network.optimizer.variables}
    arrays = {part: [keras.ops.convert_to_numpy(variable) for variable in parts[part]] for part in parts}
    facts: dict[str, Any] = {"made_by": LIBRARY_VERSION, "epoch": epoch}
    if patience is not None:
        arrays["best"], facts["patience"] = patience.best_weights, patience.facts()
    return CheckpointEntry(
        facts, {f"{part}/{i}": _to_packable(a) for part, some in arrays.items() for i, a in enumerate(some)}
    )


def _to_packable(array: Any) -> Any:
    whole = np.asarray(array)
    return whole.astype(np.int64) if whole.dtype.kind in "iu" else whole


def _read_parts(arrays: NamedArrays, name: str, count: int) -> list[Any]:
    return [arrays[f"{name}/{i}"] for i in range(count) if f"{name}/{i}" in arrays]


def _shapes(values: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(value.shape) or (1,) for value in values]  # as packed: a number is an array of one
