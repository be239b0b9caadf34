"""build_network(spec, ops): the network of a forecaster; the only place where encoder and strategy are joined."""

from models.network.encoders import encode
from models.network.ops import Node, Ops, ShapeBackend, Shapes
from models.network.spec import Spec
from models.network.strategies import STRATEGIES, Ahead


def build_network(spec: Spec, ops: Ops, every_step: bool = False) -> dict[str, Node]:
    """Return the outputs of ``spec``'s network: ``predicted`` (O, P), or (n, O, P) after each of the encoder's n steps.

    There are none for a strategy that learns nothing. The inputs, each only where the spec needs it, are those of
    ``models.network.inputs``: ``past`` (T, C), ``static`` (S,), ``seen`` (n,), ``state_0`` (U,) …, and for the forecast
    steps ``ahead`` (O, F) and ``skip`` (O, N), or (n, O, …) after each step. A network that carries its state also
    gives ``next_0`` (U,) ….
    """
    strategy = STRATEGIES[spec.strategy]
    if not strategy.learns:
        return {}
    static = ops.input("static", (spec.static_channels,)) if spec.static_channels else None
    encoded = encode(spec, ops, static)
    steps = (spec.steps,) if every_step else ()
    ahead = Ahead(
        ops.input("ahead", (*steps, spec.outputs, spec.ahead_channels)) if spec.ahead_channels else None,
        ops.input("skip", (*steps, spec.outputs, spec.skip_channels)) if spec.skip_channels else None,
    )
    predicted = strategy.predict(spec, ops, encoded, ahead, every_step)
    return {"predicted": predicted} | {f"next_{i}": state for i, state in enumerate(encoded.carried)}


def weight_shapes(spec: Spec) -> Shapes:
    """Return the shapes of the weights of ``spec``'s network by name; no engine is needed."""
    backend = ShapeBackend()
    build_network(spec, Ops(backend))
    return backend.weights


def input_shapes(spec: Spec) -> Shapes:
    """Return the shapes of the inputs of ``spec``'s network by name, as in serving, without the batch axis."""
    backend = ShapeBackend()
    build_network(spec, Ops(backend))
    return backend.inputs
