"""STRATEGIES: name -> strategy. A new strategy is one class and one entry at the end of this file.

A strategy makes a forecaster of any number of steps from a network that reads T points: it defines the training
targets, the output layers, and the number of steps in one pass. A longer forecast takes several passes: the predicted
steps are appended to the context and the network runs again, until the horizon is reached (see
``models.forecasting.rollout.roll``).

Iterative, direct and seq2seq are those of Géron, Hands-On Machine Learning, 2nd ed., chapter 15; parallel is that of
Lin et al., "SegRNN" (2023).
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.network.encoders import Encoded
from models.network.losses import LOSSES
from models.network.ops import Node, Ops
from models.network.spec_fields import SpecFields


class Ahead(NamedTuple):
    """Inputs known for the forecast steps: covariates (O, F), naive forecasts (O, N); (n, O, …) after every step."""

    covariates: Node | None
    skip: Node | None


class Strategy(Protocol):
    """T points in n encoder steps of S; O steps predicted in one pass; H the horizon of the spec."""

    @property
    def every_step(self) -> bool:
        """Whether it is trained after every step of the encoder (time-distributed), not only after the last."""

    @property
    def decodes(self) -> bool:
        """Whether its network has a second recurrence over the forecast steps."""

    @property
    def learns(self) -> bool:
        """Whether there is a network; otherwise the prediction is that of the baseline of the same name."""

    @property
    def needs_past(self) -> bool:
        """Whether it cannot forecast a series without history."""

    @property
    def by_point(self) -> bool:
        """Whether it is defined by its steps, so that segments of several points would change it."""

    def outputs(self, horizon: int, segment: int) -> int:
        """Return O."""

    def predict(self, spec: SpecFields, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """Return the end of the network: (O, P), or (n, O, P) at every step."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One layer on the encoder's state predicts all O steps: the next segment only, or the whole horizon."""

    whole: bool
    every_step: bool = False
    decodes: bool = False
    learns: bool = True
    needs_past: bool = False

    @property
    def by_point(self) -> bool:
        """Whether each point is predicted from the one before, or each point is a training target."""
        return not self.whole or self.every_step

    def outputs(self, horizon: int, segment: int) -> int:
        """Return H, or S where only the next segment is predicted and then appended to the context."""
        return horizon if self.whole else segment

    def predict(self, spec: SpecFields, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """Return a linear function of the state; covariates ahead are mixed into it by a layer first."""
        x = ops.dropout(encoded.sequence() if every_step else encoded.last, spec.dropout)
        steps, outputs = x.shape[:-1], self.outputs(spec.horizon, spec.segment)
        if ahead.covariates is not None:
            known = ops.reshape(ahead.covariates, (*steps, outputs * spec.ahead_channels))
            x = ops.dense("mix", ops.concat([x, known]), spec.units, "relu")
        return _output_layer(spec, ops, x, ahead.skip, (*steps, outputs))


@dataclass(frozen=True, slots=True)
class Decoder:
    """A second recurrence predicts the horizon segment by segment, each from its position and its known inputs.

    ``chained``: each segment's state follows from the one before (encoder-decoder, N -> M); otherwise each follows from
    the encoder's last state alone, so that errors do not add up and all segments are predicted at once.
    """

    chained: bool
    every_step: bool = False
    decodes: bool = True
    learns: bool = True
    needs_past: bool = False

    @property
    def by_point(self) -> bool:
        """Whether the state of each point follows from that of the point before."""
        return self.chained

    def outputs(self, horizon: int, segment: int) -> int:
        """Return H."""
        return horizon

    def predict(self, spec: SpecFields, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """Run M = H / S steps of the cell; one layer after each predicts S points."""
        steps, first = spec.horizon // spec.segment, encoded.state()
        parts = [part for part in ahead if part is not None]
        if parts:
            known = ops.reshape(ops.concat(parts), (steps, spec.segment * sum(part.shape[-1] for part in parts)))
        else:
            known = ops.repeat(encoded.last, steps)
        x = ops.place("place", ops.dense("known", known, spec.units, "relu"))  # (M, U)
        if self.chained:
            x = ops.recur("decoder", x, spec.cell, spec.units, start=first).sequence()
        else:
            start = [ops.fold(ops.repeat(state, steps)) for state in first]
            alone = ops.reshape(ops.fold(x), (1, spec.units))
            x = ops.unfold(ops.recur("decoder", alone, spec.cell, spec.units, start=start).state[0], steps)
        if spec.attention:
            keys = ops.dense("keys", encoded.sequence(), spec.units)
            x = ops.concat([x, ops.attend(x, keys, ops.input("seen", (spec.steps,)))])
        return _output_layer(spec, ops, ops.dropout(x, spec.dropout), ahead.skip, (spec.horizon,))


def _output_layer(spec: SpecFields, ops: Ops, x: Node, skip: Node | None, shape: tuple[int, ...]) -> Node:
    """Return the parameters of every step, (*shape, P), from ``x`` (…, D).

    Shares of the naive forecasts ``skip`` (*shape, N) are added to the parameters that locate the forecast; a learned
    sigmoid gate gives the share of each step.
    """
    loss, per = LOSSES[spec.loss], int(np.prod(shape) // np.prod(x.shape[:-1], dtype=int))
    locations = loss.count_locations(spec.quantiles)
    predicted = ops.reshape(ops.dense("head", x, per * locations), (*shape, locations))
    if skip is not None:
        gate = ops.reshape(ops.dense("gate", x, per * skip.shape[-1], "sigmoid"), (*shape, skip.shape[-1]))
        predicted = ops.add(predicted, ops.total(ops.multiply(gate, skip)))
    if loss.spreads:
        spread = ops.reshape(ops.dense("shape", x, per * loss.spreads), (*shape, loss.spreads))
        predicted = ops.concat([predicted, spread])
    return predicted


class SeasonalNaive:
    """The baseline ``models.evaluation.baselines.seasonal_naive``, which has no network.

    It is served where no trained network is better, and mixed into forecasters.
    """

    every_step = False
    decodes = False
    learns = False
    needs_past = True
    by_point = True

    def outputs(self, horizon: int, segment: int) -> int:
        """Return H."""
        return horizon

    def predict(self, spec: SpecFields, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """Raise ``NotImplementedError``: there is no network to build."""
        raise NotImplementedError("seasonal naive has no network")


def frames(both: NDArray[np.generic], context: int, segment: int, outputs: int) -> NDArray[np.generic]:
    """Return the O points that follow each of the n = T / S steps of a window.

    Args:
        both: (B, T + O or more, …), the window and the points after it.
        context: T; segment: S; outputs: O.

    Returns:
        (B, n, O, …), a view: at step j they are the points (j + 1) S to (j + 1) S + O.
    """
    view = np.moveaxis(sliding_window_view(both, outputs, axis=1), -1, 2)
    return view[:, segment : context + 1 : segment]


STRATEGIES: dict[str, Strategy] = {
    "iterative": Vector(whole=False, needs_past=True),
    "direct": Vector(whole=True),
    "seq2seq": Vector(whole=True, every_step=True, needs_past=True),
    "decoder": Decoder(chained=True),
    "parallel": Decoder(chained=False),
    "seasonal_naive": SeasonalNaive(),
}
