"""STRATEGIES: name -> strategy. A new strategy is one class and one entry at the end of this file.

A strategy says how a network that reads T points becomes a forecaster of any number of steps: what it is taught, how it
ends, and how many steps one pass gives. A longer forecast is read off by rolling: the steps said are appended to the
context and the network is run again, until the horizon is reached (see ``models.forecasting.rollout.roll``).

Iterative, direct and seq2seq are those of Géron, Hands-On Machine Learning, 2nd ed., chapter 15; parallel is that of
Lin et al., "SegRNN" (2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.network.losses import LOSSES
from models.network.ops import Node, Ops

if TYPE_CHECKING:
    from models.network.encoders import Encoded
    from models.network.spec import Spec  # which itself asks what strategies there are


class Ahead(NamedTuple):
    """What is known of the steps to be said: covariates (O, F), naive forecasts (O, N); (n, O, …) after every step."""

    covariates: Node | None
    skip: Node | None


class Strategy(Protocol):
    """T points in n encoder steps of S; O steps said in one pass; H the horizon of the spec."""

    @property
    def every_step(self) -> bool:
        """Taught after every step of the encoder (time-distributed), not only after the last."""

    @property
    def decodes(self) -> bool:
        """Its network has a second recurrence over the steps to be said."""

    @property
    def learns(self) -> bool:
        """There is a network; otherwise what is said is seasonal naive's forecast."""

    def outputs(self, horizon: int, segment: int) -> int:
        """O."""

    def say(self, spec: Spec, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """The end of the network: (O, P), or (n, O, P) at every step."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One layer on the encoder's state says all O steps: the next segment only, or the whole horizon."""

    whole: bool
    every_step: bool = False
    decodes: bool = False
    learns: bool = True

    def outputs(self, horizon: int, segment: int) -> int:
        """H, or S where only the next segment is said and then fed back."""
        return horizon if self.whole else segment

    def say(self, spec: Spec, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """Linear in the state; with covariates ahead, a layer mixes them in first."""
        x = ops.dropout(encoded.sequence() if every_step else encoded.last, spec.dropout)
        steps = x.shape[:-1]
        if ahead.covariates is not None:
            known = ops.reshape(ahead.covariates, (*steps, spec.outputs * spec.ahead_channels))
            x = ops.dense("mix", ops.concat([x, known]), spec.units, "relu")
        return _head(spec, ops, x, ahead.skip, (*steps, spec.outputs))


@dataclass(frozen=True, slots=True)
class Decoder:
    """A second recurrence says the horizon segment by segment, each from its place and what is known of it.

    ``chained``: each segment's state follows from the one before (encoder-decoder, N -> M); otherwise each follows from
    the encoder's last state alone, so that errors do not add up and all segments are said at once.
    """

    chained: bool
    every_step: bool = False
    decodes: bool = True
    learns: bool = True

    def outputs(self, horizon: int, segment: int) -> int:
        """H."""
        return horizon

    def say(self, spec: Spec, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """M = H / S steps of the cell, each of which ends in one layer that says S points."""
        steps = spec.horizon // spec.segment
        x = self._read(spec, ops, encoded, ahead)
        if self.chained:
            x = ops.recur("decoder", x, spec.cell, spec.units, start=encoded.state).sequence()
        else:
            start = [ops.fold(ops.repeat(state, steps)) for state in encoded.state]
            alone = ops.reshape(ops.fold(x), (1, spec.units))
            x = ops.unfold(ops.recur("decoder", alone, spec.cell, spec.units, start=start).state[0], steps)
        if spec.attention:
            keys = ops.dense("keys", encoded.sequence(), spec.units)
            x = ops.concat([x, ops.attend(x, keys, ops.input("seen", (spec.steps,)))])
        return _head(spec, ops, ops.dropout(x, spec.dropout), ahead.skip, (spec.horizon,))

    def _read(self, spec: Spec, ops: Ops, encoded: Encoded, ahead: Ahead) -> Node:
        """What the decoder reads, (M, U): for each segment its place, and what is known of its points."""
        steps = spec.horizon // spec.segment
        parts = [part for part in ahead if part is not None]
        if parts:
            known = ops.reshape(ops.concat(parts), (steps, spec.segment * sum(part.shape[-1] for part in parts)))
        else:
            known = ops.repeat(encoded.last, steps)
        return ops.place("place", ops.dense("known", known, spec.units, "relu"))


def _head(spec: Spec, ops: Ops, x: Node, skip: Node | None, shape: tuple[int, ...]) -> Node:
    """The parameters of every step, (*shape, P), from ``x`` (…, D).

    Those that locate the forecast get shares of the naive ones: how much, a sigmoid gate learns for each step.
    """
    loss, per = LOSSES[spec.loss], int(np.prod(shape) // np.prod(x.shape[:-1], dtype=int))
    located = loss.located(spec.quantiles)
    said = ops.reshape(ops.dense("head", x, per * located), (*shape, located))
    if skip is not None:
        gate = ops.reshape(ops.dense("gate", x, per * skip.shape[-1], "sigmoid"), (*shape, skip.shape[-1]))
        said = ops.add(said, ops.total(ops.multiply(gate, skip)))
    if loss.others:
        said = ops.concat([said, ops.reshape(ops.dense("shape", x, per * loss.others), (*shape, loss.others))])
    return said


class SeasonalNaive:
    """No network: the last season over again. What is served where nothing that was taught is better."""

    every_step = False
    decodes = False
    learns = False

    def outputs(self, horizon: int, segment: int) -> int:
        """H."""
        return horizon

    def say(self, spec: Spec, ops: Ops, encoded: Encoded, ahead: Ahead, every_step: bool) -> Node:
        """Nothing of its own."""
        raise NotImplementedError("a network is joined for strategies that learn only")


def frames(both: NDArray[np.generic], context: int, segment: int, outputs: int) -> NDArray[np.generic]:
    """The O points that follow each of the n = T / S steps of a window.

    Args:
        both: (B, T + O or more, …), the window and what follows.
        context: T; segment: S; outputs: O.

    Returns:
        (B, n, O, …), a view: at step j they are the points (j + 1) S to (j + 1) S + O.
    """
    view = np.moveaxis(sliding_window_view(both, outputs, axis=1), -1, 2)
    return view[:, segment : context + 1 : segment]


STRATEGIES: dict[str, Strategy] = {
    "iterative": Vector(whole=False),
    "direct": Vector(whole=True),
    "seq2seq": Vector(whole=True, every_step=True),
    "decoder": Decoder(chained=True),
    "parallel": Decoder(chained=False),
    "seasonal_naive": SeasonalNaive(),
}
