"""STRATEGIES: name -> strategy. A new strategy is one class and one entry at the end of this file.

A strategy says how a network that reads T points becomes a forecaster of any number of steps: what it is taught, how it
ends, and how many steps one forward pass gives. The forecast is read off by rolling: the steps said are appended to the
context and the network is run again, until the horizon is reached (see ``models.forecaster.roll``).

The three are those of Géron, Hands-On Machine Learning, 2nd ed., chapter 15.
"""

from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class Strategy(Protocol):
    """B windows of T points; O steps said in one forward pass; H the horizon of the spec."""

    every_step: bool  # the head sits at every time step (time-distributed), not at the last one only

    def outputs(self, horizon: int) -> int:
        """O, for a horizon of H."""

    def targets(self, past: Float32, future: Float32) -> Float32:
        """What the network should say of ``past`` (B, T) and ``future`` (B, H): (B, O), or (B, T, O) at every step."""


class Iterative:
    """Taught the next step only; a forecast feeds each predicted step back."""

    every_step = False

    def outputs(self, horizon: int) -> int:
        """One step."""
        return 1

    def targets(self, past: Float32, future: Float32) -> Float32:
        """The first step of the future, (B, 1)."""
        return future[:, :1]


class Direct:
    """Taught the whole horizon at once, from the last state."""

    every_step = False

    def outputs(self, horizon: int) -> int:
        """All H steps."""
        return horizon

    def targets(self, past: Float32, future: Float32) -> Float32:
        """The future, (B, H)."""
        return future


class Seq2Seq:
    """Taught the next H steps at every time step; the forecast is what the last time step says."""

    every_step = True

    def outputs(self, horizon: int) -> int:
        """All H steps."""
        return horizon

    def targets(self, past: Float32, future: Float32) -> Float32:
        """The H steps after each of the T points, (B, T, H): at t they are the points t + 1 to t + H."""
        both = np.concatenate([past, future], axis=1)
        return sliding_window_view(both, future.shape[1], axis=1)[:, 1:]


STRATEGIES: dict[str, Strategy] = {"iterative": Iterative(), "direct": Direct(), "seq2seq": Seq2Seq()}
