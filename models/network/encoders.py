"""ENCODERS: name -> how a network reads the past. A new one is one function and one entry at the end of this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.network.cells import CELLS
from models.network.ops import Node, Ops

if TYPE_CHECKING:
    from models.network.spec import Spec  # which itself asks what encoders there are


@dataclass(frozen=True, slots=True)
class Encoded:
    """The past as read: ``last`` (U',) after its end, ``sequence()`` (n, U') after each of its n steps.

    ``state``: what a decoder of the same cell may start from; ``carried``: the states to go on from with later points.
    """

    last: Node
    sequence: Callable[[], Node]
    state: tuple[Node, ...]
    carried: tuple[Node, ...] = ()


def forward(spec: Spec, ops: Ops, static: Node | None) -> Encoded:
    """Layers of cells, one upon the other, from the oldest step to the newest."""
    x = _read(spec, ops, static)
    carried: list[Node] = []
    parts = CELLS[spec.cell].states
    for layer in range(spec.depth):
        names = [f"state_{layer * parts + i}" for i in range(parts)] if spec.carries else []
        start = [ops.input(name, (spec.units,)) for name in names]
        run = ops.recur(f"encoder_{layer}", x, spec.cell, spec.units, start=start)
        carried += run.state if spec.carries else ()
        if layer < spec.depth - 1:
            x = run.sequence()
    return Encoded(run.state[0], run.sequence, run.state, tuple(carried))


def bidirectional(spec: Spec, ops: Ops, static: Node | None) -> Encoded:
    """Each layer reads both ways; what it says is both sides by side (Schuster & Paliwal, 1997)."""
    x = _read(spec, ops, static)
    for layer in range(spec.depth):
        there = ops.recur(f"encoder_{layer}", x, spec.cell, spec.units)
        back = ops.recur(f"encoder_{layer}_back", x, spec.cell, spec.units, backward=True)
        if layer < spec.depth - 1:
            x = ops.concat([there.sequence(), back.sequence()])
    last = ops.concat([there.state[0], back.state[0]])
    return Encoded(last, lambda: ops.concat([there.sequence(), back.sequence()]), _bridge(spec, ops, last))


def convlstm(spec: Spec, ops: Ops, static: Node | None) -> Encoded:
    """A convolutional LSTM over whole seasons: a step is a season (a day), its space the places in it (the hours)."""
    past = ops.input("past", (spec.context, spec.channels))
    x = ops.reshape(past, (spec.context // spec.season, spec.season, spec.channels))
    for layer in range(spec.depth):
        run = ops.convolve(f"encoder_{layer}", x, spec.units, width=3)
        if layer < spec.depth - 1:
            x = run.sequence()
    parts = [ops.reshape(run.state[0], (spec.season * spec.units,)), *([static] if static else [])]
    last = ops.dense("fold", ops.concat(parts), spec.units, "tanh")
    return Encoded(last, lambda: ops.reshape(last, (1, spec.units)), _bridge(spec, ops, last))


def none(spec: Spec, ops: Ops, static: Node | None) -> Encoded:
    """No past at all: what a series is (its static attributes) stands in for what it did."""
    assert static is not None, "Spec refuses a context of 0 without static covariates"
    last = ops.dense("attributes", static, spec.units, "tanh")
    return Encoded(last, lambda: ops.reshape(last, (1, spec.units)), _bridge(spec, ops, last))


def _read(spec: Spec, ops: Ops, static: Node | None) -> Node:
    """The steps that cells read, (n, D): points as they are, or S of them at a time through a layer.

    Lin et al., "SegRNN: Segment Recurrent Neural Network for Long-Term Time Series Forecasting" (2023).
    """
    steps = ops.input("past", (spec.context, spec.channels))
    steps = ops.reshape(steps, (spec.steps, spec.segment * spec.channels))
    if static is not None:
        steps = ops.beside(steps, static)
    return ops.dense("read", steps, spec.units, "relu") if spec.segment > 1 else steps


def _bridge(spec: Spec, ops: Ops, last: Node) -> tuple[Node, ...]:
    """A decoder's first state, made of what another kind of encoder said; none where the strategy has no decoder."""
    if not spec.decodes:
        return ()
    return tuple(ops.dense(f"bridge_{i}", last, spec.units, "tanh") for i in range(CELLS[spec.cell].states))


ENCODERS: dict[str, Callable[[Spec, Ops, Node | None], Encoded]] = {
    "forward": forward,
    "bidirectional": bidirectional,
    "convlstm": convlstm,
    "none": none,
}
