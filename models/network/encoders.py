"""ENCODERS: name -> encoder of the past. A new encoder is one function and one entry at the end of this file."""

from collections.abc import Callable
from dataclasses import dataclass

from models.network.cells import CELLS
from models.network.ops import Node, Ops
from models.network.spec_fields import SpecFields


@dataclass(frozen=True, slots=True)
class Encoded:
    """The past as read: ``last`` (U',) after its end, ``sequence()`` (n, U') after each of its n steps.

    ``state()``: the first state of a decoder of the same cell; ``carried``: the states to continue from with later
    points. ``sequence`` and ``state`` are functions, so that a network without a use for them does not compute them.
    """

    last: Node
    sequence: Callable[[], Node]
    state: Callable[[], tuple[Node, ...]]
    carried: tuple[Node, ...] = ()


def encode(spec: SpecFields, ops: Ops, static: Node | None) -> Encoded:
    """Return the past as ``spec``'s encoder reads it; for a context of 0, the static covariates ``static`` (S,)."""
    if spec.context:
        return ENCODERS[spec.encoder].encode(spec, ops, static)
    assert static is not None, "a context of 0 is refused without static covariates"
    last = ops.dense("attributes", static, spec.units, "tanh")
    return Encoded(last, lambda: ops.reshape(last, (1, spec.units)), lambda: _bridge(spec, ops, last))


def forward(spec: SpecFields, ops: Ops, static: Node | None) -> Encoded:
    """Stack layers of cells, each of which reads from the oldest step to the newest."""
    x = _read_segments(spec, ops, static)
    carried: list[Node] = []
    parts = CELLS[spec.cell].states
    for layer in range(spec.depth):
        names = [f"state_{layer * parts + i}" for i in range(parts)] if spec.carries else []
        start = [ops.input(name, (spec.units,)) for name in names]
        run = ops.recur(f"encoder_{layer}", x, spec.cell, spec.units, start=start)
        carried += run.state if spec.carries else ()
        if layer < spec.depth - 1:
            x = run.sequence()
    return Encoded(run.state[0], run.sequence, lambda: run.state, tuple(carried))


def bidirectional(spec: SpecFields, ops: Ops, static: Node | None) -> Encoded:
    """Stack layers that read both ways and give both outputs side by side (Schuster & Paliwal, 1997)."""
    x = _read_segments(spec, ops, static)
    for layer in range(spec.depth):
        onward = ops.recur(f"encoder_{layer}", x, spec.cell, spec.units)
        back = ops.recur(f"encoder_{layer}_back", x, spec.cell, spec.units, backward=True)
        if layer < spec.depth - 1:
            x = ops.concat([onward.sequence(), back.sequence()])
    last = ops.concat([onward.state[0], back.state[0]])
    return Encoded(last, lambda: ops.concat([onward.sequence(), back.sequence()]), lambda: _bridge(spec, ops, last))


def convlstm(spec: SpecFields, ops: Ops, static: Node | None) -> Encoded:
    """Stack convolutional LSTMs over whole seasons: a step is a season (a day), its places are the points (hours)."""
    past = ops.input("past", (spec.context, spec.channels))
    x = ops.reshape(past, (spec.context // spec.season, spec.season, spec.channels))
    for layer in range(spec.depth):
        run = ops.convolve(f"encoder_{layer}", x, spec.units, width=3)
        if layer < spec.depth - 1:
            x = run.sequence()
    parts = [ops.reshape(run.state[0], (spec.season * spec.units,)), *([static] if static else [])]
    last = ops.dense("fold", ops.concat(parts), spec.units, "tanh")
    return Encoded(last, lambda: ops.reshape(last, (1, spec.units)), lambda: _bridge(spec, ops, last))


def _read_segments(spec: SpecFields, ops: Ops, static: Node | None) -> Node:
    """Return the steps that cells read, (n, D): points as they are, or S of them at a time through a layer.

    Lin et al., "SegRNN: Segment Recurrent Neural Network for Long-Term Time Series Forecasting" (2023).
    """
    steps = ops.input("past", (spec.context, spec.channels))
    steps = ops.reshape(steps, (spec.steps, spec.segment * spec.channels))
    if static is not None:
        steps = ops.beside(steps, static)
    return ops.dense("read", steps, spec.units, "relu") if spec.segment > 1 else steps


def _bridge(spec: SpecFields, ops: Ops, last: Node) -> tuple[Node, ...]:
    """Return a decoder's first state, made from the last output of an encoder whose own state has another shape."""
    return tuple(ops.dense(f"bridge_{i}", last, spec.units, "tanh") for i in range(CELLS[spec.cell].states))


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A way to read the past: ``encode`` takes the spec, the operations and the static covariates (S,), if any."""

    encode: Callable[[SpecFields, Ops, Node | None], Encoded]
    runs: int = 1  # of a cell over the steps, in each layer
    carries: bool = False  # its state can be carried to later points
    by_season: bool = False  # reads a season per step, so there is no output after each point
    only_cell: str = ""  # the one cell that it is defined for; empty: every cell


ENCODERS = {
    "forward": Encoder(encode=forward, carries=True),
    "bidirectional": Encoder(encode=bidirectional, runs=2),
    "convlstm": Encoder(encode=convlstm, by_season=True, only_cell="lstm"),
}
