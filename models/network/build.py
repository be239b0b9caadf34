"""join(spec, ops): the network of a forecaster; the only place where encoder and strategy are joined."""

from models.network.encoders import ENCODERS
from models.network.ops import Node, Ops, ShapeOps, Shapes
from models.network.spec import Spec
from models.network.strategies import STRATEGIES, Ahead


def join(spec: Spec, ops: Ops, every_step: bool = False) -> dict[str, Node]:
    """The outputs of ``spec``'s network: ``said`` (O, P), or (n, O, P) after each of the encoder's n steps.

    Its inputs, each only where the spec needs it, are those that ``models.network.inputs`` makes: ``past`` (T, C),
    ``static``
    (S,), ``seen`` (n,), ``state_0`` (U,) …, and of the steps to be said ``ahead`` (O, F) and ``skip`` (O, N), or
    (n, O, …) after each step. A network that carries its state also gives ``next_0`` (U,) ….
    """
    strategy = STRATEGIES[spec.strategy]
    if not strategy.learns:
        return {"said": ops.input("skip", (spec.outputs, 1))}
    static = ops.input("static", (spec.static_channels,)) if spec.static_channels else None
    encoded = ENCODERS[spec.encoder if spec.context else "none"](spec, ops, static)
    steps = (spec.steps,) if every_step else ()
    ahead = Ahead(
        ops.input("ahead", (*steps, spec.outputs, spec.ahead_channels)) if spec.ahead_channels else None,
        ops.input("skip", (*steps, spec.outputs, spec.skip_channels)) if spec.skip_channels else None,
    )
    said = strategy.say(spec, ops, encoded, ahead, every_step)
    return {"said": said} | {f"next_{i}": state for i, state in enumerate(encoded.carried)}


def weight_shapes(spec: Spec) -> Shapes:
    """The weights of ``spec``'s network by name, said without any engine."""
    return _shapes(spec).weights


def input_shapes(spec: Spec) -> Shapes:
    """The inputs of ``spec``'s network by name, without the batch axis, as it serves."""
    return _shapes(spec).inputs


def _shapes(spec: Spec) -> ShapeOps:
    ops = ShapeOps()
    join(spec, ops)
    return ops
