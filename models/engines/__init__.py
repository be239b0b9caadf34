"""Engines: what runs a forecaster's network. Each builds its own network from spec and weights."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.network.spec import Spec

Arrays = Mapping[str, NDArray[np.float32]]


class Engine(Protocol):
    """One network, ready to run; safe to call from several threads."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """What ``models.network.build.join`` says of its inputs by name, each with a batch axis B before: ``said`` (B,
        O, P).

        A network that carries its state reads any number of points, and gives ``next_0`` … to go on with.
        """


MakeEngine = Callable[[Spec, Arrays], Engine]
