"""Engines: what runs a forecaster's network. Each builds its own network from spec and weights."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """One network, ready to run; safe to call from several threads."""

    def run(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network says after ``windows`` (B, T, C) as ``models.scaling.inputs`` makes them: (B, O)."""
