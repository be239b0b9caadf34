"""Our side of ``make bench-training``: ``python -m benchmarks.contestants NAME RACE.npz`` prints seconds as JSON.

``ours`` is ``models.training.fit.fit`` on the backend ``KERAS_BACKEND``. ``keras`` is plain Keras: the same network
with ``compile`` and ``fit`` on windows laid out in memory. ``memory`` measures the memory of ``ours``. ``products``
measures the matrix products of the network alone, the lower limit of every implementation.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import psutil

from benchmarks.learn import fit_only
from benchmarks.race import Race, read
from models.data.calendar import Freq
from models.data.panel import Panel

KIB = 1024


def ours(race: Race) -> list[float]:
    """Return the seconds of each timed round: an epoch of ``fit`` with its validation."""
    ends: dict[int, float] = {}
    fit_race(race, panel_of_race(race), lambda epoch: ends.update({epoch: time.perf_counter()}))
    return [float(each) for each in np.diff([ends[epoch] for epoch in sorted(ends)])]


def plain_keras(race: Race) -> list[float]:
    """Return the seconds of each timed round: an epoch of Keras' own ``fit``."""
    past, future = race.windows(race.updates * race.batch)
    network = keras.Sequential(
        [keras.Input((race.context, 1)), keras.layers.GRU(race.units), keras.layers.Dense(race.horizon)]
    )
    network.compile(optimizer="adam", loss="mae")
    clock = _Clock()
    network.fit(past[:, :, None], future, batch_size=race.batch, epochs=race.rounds + 1, verbose=0, callbacks=[clock])
    return [float(each) for each in np.diff(clock.ends)]


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that records the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.ends.append(time.perf_counter())


def panel_of_race(race: Race) -> Panel:
    """Return the series of the race as a panel, each repeated ``tiles`` times, without a larger temporary array."""
    lengths = race.tiles * race.lengths
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    y = np.empty(indptr[-1])
    for i, part in enumerate(race.series()):
        y[indptr[i] : indptr[i + 1]].reshape(race.tiles, -1)[:] = part
    starts = np.full(len(lengths), "2000-01-01", dtype="datetime64[us]")
    return Panel(tuple(map(str, range(len(lengths)))), starts, y, indptr, Freq(1, "h"))


def memory(race: Race) -> list[float]:
    """Return the bytes of the panel and the largest growth of the process during preparation and training."""
    empty_bytes = psutil.Process().memory_info().rss
    panel = panel_of_race(race)
    fit_race(race, panel, lambda epoch: None)
    return [panel.y.nbytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB - empty_bytes]


def fit_race(race: Race, panel: Panel, on_epoch: Callable[[int], None]) -> None:
    """Train the network of the race: one warm-up epoch, then one for each timed round."""
    fields = {
        "season": race.season,
        "context": race.context,
        "horizon": race.horizon,
        "cell": "gru",
        "units": race.units,
        "depth": 1,
        "segment": race.segment,
        "dropout": 0.0,
        "strategy": "direct",
        "loss": "mae",
        "skip": False,
    }
    training = {
        "max_epochs": race.rounds + 1,
        "steps_per_epoch": race.updates,
        "batch_size": race.batch,
    }
    fit_only(panel, fields, training, on_epoch)


def products(race: Race) -> list[float]:
    """Return the seconds of each timed round of the unavoidable matrix products, each in one BLAS call.

    At every step: the state times the recurrent weights (forward), and the gradient of the gates times the same weights
    (backward). At the end: the gradient of the weights over all steps. Gates, input and optimiser are left out.
    """
    rng, gates = np.random.default_rng(0), 3 * race.units
    state, weights, gradient = (
        rng.normal(size=size).astype(np.float32)
        for size in ((race.batch, race.units), (race.units, gates), (race.batch, gates))
    )
    states, gradients = np.repeat(state, race.context, axis=0), np.repeat(gradient, race.context, axis=0)
    forward, back, turned = np.empty_like(gradient), np.empty_like(state), np.ascontiguousarray(weights.T)
    rounds = []
    for _ in range(race.rounds + 1):
        began_s = time.perf_counter()
        for _ in range(race.updates):
            for _ in range(race.context):
                np.matmul(state, weights, out=forward)
            for _ in range(race.context):
                np.matmul(gradient, turned, out=back)
            states.T @ gradients
        rounds.append(time.perf_counter() - began_s)
    return rounds[1:]


CONTESTANTS: dict[str, Callable[[Race], list[float]]] = {
    "ours": ours,
    "keras": plain_keras,
    "memory": memory,
    "products": products,
}

if __name__ == "__main__":
    print(json.dumps(CONTESTANTS[sys.argv[1]](read(Path(sys.argv[2])))))
