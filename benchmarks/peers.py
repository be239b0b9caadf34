"""The peers of ``make bench-training``: Darts and neuralforecast.

Runs in ``.venv-peers`` (see ``peers.txt``): ``python -m benchmarks.peers NAME RACE.npz`` prints seconds as JSON. Both
train one layer of GRU cells and a linear layer from its states to the horizon, with their own defaults otherwise.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning

from benchmarks.race import Race, read

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}


class Clock(lightning.Callback):  # type: ignore[misc]
    """Callback that records the end of each round of ``updates``."""

    def __init__(self, updates: int) -> None:
        self.updates = updates
        self.ends: list[float] = []

    def __deepcopy__(self, memo: Any) -> "Clock":
        return self  # neuralforecast copies what it is given, and its copy would keep the time for itself

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step % self.updates == 0:
            self.ends.append(time.perf_counter())


def darts(race: Race) -> list[float]:
    """Return the seconds of each timed round of Darts' ``BlockRNNModel``."""
    from darts import TimeSeries  # noqa: PLC0415 - either peer takes long to import
    from darts.models import BlockRNNModel  # noqa: PLC0415

    clock = Clock(race.updates)
    model = BlockRNNModel(
        model="GRU",
        input_chunk_length=race.context,
        output_chunk_length=race.horizon,
        hidden_dim=race.units,
        n_rnn_layers=1,
        batch_size=race.batch,
        n_epochs=1,
        pl_trainer_kwargs={**QUIET, "max_steps": race.updates * (race.rounds + 1), "callbacks": [clock]},
    )
    model.fit([TimeSeries.from_values(y) for y in race.series()])
    return [float(each) for each in np.diff(clock.ends)]


def neuralforecast(race: Race) -> list[float]:
    """Return the seconds of each timed round of neuralforecast's ``GRU``."""
    from neuralforecast import NeuralForecast  # noqa: PLC0415 - either peer takes long to import
    from neuralforecast.models import GRU  # noqa: PLC0415

    clock = Clock(race.updates)
    model = GRU(
        h=race.horizon,
        input_size=race.context,
        encoder_n_layers=1,
        encoder_hidden_size=race.units,
        decoder_layers=1,
        decoder_hidden_size=race.units,
        windows_batch_size=race.batch,
        max_steps=race.updates * (race.rounds + 1),
        callbacks=[clock],
        **QUIET,
    )
    parts = [
        pd.DataFrame({"unique_id": str(i), "ds": pd.date_range("2000", periods=len(y), freq="h"), "y": y})
        for i, y in enumerate(race.series())
    ]
    NeuralForecast(models=[model], freq="h").fit(pd.concat(parts))
    return [float(each) for each in np.diff(clock.ends)]


PEERS = {"darts": darts, "neuralforecast": neuralforecast}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print(json.dumps(PEERS[sys.argv[1]](read(Path(sys.argv[2])))))
