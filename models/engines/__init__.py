"""Engines: they run a forecaster's network. Each builds its own network from spec and weights."""

from collections.abc import Callable
from typing import Protocol

from models.network.spec import Spec
from models.types import Inputs, Outputs, Weights


class Engine(Protocol):
    """One network, ready to run; safe to call from several threads."""

    def run(self, inputs: Inputs) -> Outputs:
        """Return the outputs of ``models.network.build.build_network`` for ``inputs``: ``predicted`` (B, O, P).

        A network that carries its state reads any number of points, and also gives the states ``next_0`` … to continue
        from.
        """


class NoNetwork:
    """Engine of a strategy that learns nothing: there is no network to run."""

    def run(self, inputs: Inputs) -> Outputs:
        """Return no outputs."""
        return {}


MakeEngine = Callable[[Spec, Weights], Engine]
