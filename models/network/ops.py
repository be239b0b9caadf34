"""Ops: the few operations that networks are written in, on a backend that an engine provides.

Training, serving and the list of weights in a bundle share one definition of a network:
``models.network.build.build_network``. It runs on Keras' backend, on ONNX's, or on ``ShapeBackend``, which only records
shapes. ``Ops`` computes the shapes; a ``Backend`` computes, or describes, the values.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from models.network.cells import CELLS, Cell

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
Sequenced = Callable[[], Any]  # makes every output of a recurrence; not called where the last state is enough


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a network: its shape without the batch axis, and the backend's own object for it."""

    shape: Shape
    value: Any


class Run(NamedTuple):
    """A cell run over n steps: its state after the last one, (U,) for each part, and every output, (n, U)."""

    state: tuple[Node, ...]
    sequence: Callable[[], Node]  # a network that reads only the last state never calls it


class Backend(ABC):
    """An engine's implementation of the operations, on its own values; ``shapes`` are those of the layer's weights."""

    @abstractmethod
    def input(self, name: str, shape: Shape) -> Any:
        """Return the network's input ``name``."""

    @abstractmethod
    def dense(self, name: str, x: Any, shapes: Shapes, activation: str | None) -> Any:
        """Return a linear map of the last axis of ``x``, then ``activation``."""

    @abstractmethod
    def place(self, name: str, x: Any, shapes: Shapes) -> Any:
        """Return ``x`` (n, U) plus a learned vector for each of the n places."""

    @abstractmethod
    def recur(
        self, name: str, x: Any, cell: str, shapes: Shapes, start: list[Any], backward: bool
    ) -> tuple[list[Any], Sequenced]:
        """Return each part of ``cell``'s state after the steps of ``x`` (n, D), and a function for all outputs."""

    @abstractmethod
    def convolve(self, name: str, x: Any, shapes: Shapes, size: Shape) -> tuple[Any, Sequenced]:
        """Return the last output of a convolutional LSTM over ``x`` of shape ``size``, and a function for all."""

    @abstractmethod
    def dropout(self, x: Any, rate: float) -> Any:
        """Return ``x`` with a share of ``rate`` of its values zeroed in training."""

    @abstractmethod
    def concat(self, parts: list[Any]) -> Any:
        """Return the parts side by side along the last axis."""

    @abstractmethod
    def reshape(self, x: Any, shape: Shape) -> Any:
        """Return ``x`` in ``shape``, behind a batch axis of any size."""

    @abstractmethod
    def repeat(self, x: Any, n: int) -> Any:
        """Return ``x`` (U,) as n equal steps (n, U)."""

    @abstractmethod
    def each_step(self, one: Any, x: Any) -> Any:
        """Return ``one`` (K,) at each of the steps of ``x`` (n, D): (n, K)."""

    @abstractmethod
    def at_step(self, x: Any, step: int) -> Any:
        """Return the step with number ``step`` of ``x`` (n, D): (D,)."""

    @abstractmethod
    def stack(self, steps: list[Any]) -> Any:
        """Return n values (U,) as the steps of one (n, U)."""

    @abstractmethod
    def zeros(self, x: Any, units: int) -> Any:
        """Return zeros (U,) for each row of ``x`` (n, D)."""

    @abstractmethod
    def binary(self, kind: str, a: Any, b: Any) -> Any:
        """Return ``a`` and ``b`` combined by ``add``, ``subtract`` or ``multiply``, broadcast."""

    @abstractmethod
    def total(self, x: Any) -> Any:
        """Return the sum along the last axis, which is kept with size 1."""

    @abstractmethod
    def attend(self, query: Any, memory: Any, seen: Any) -> Any:
        """Return the attention of ``query`` (M, U) over ``memory`` (n, U) where ``seen`` (n,) is 1."""


class Ops:
    """Operations on nodes; activations are ``relu``, ``tanh``, ``sigmoid`` or None; all act on the last axis."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def input(self, name: str, shape: Shape) -> Node:
        """Return the network's input ``name``."""
        return Node(shape, self._backend.input(name, shape))

    def dense(self, name: str, x: Node, units: int, activation: str | None = None) -> Node:
        """Return a linear map of the last axis to ``units``, with bias, and then ``activation``.

        Calls with one ``name`` share one layer.
        """
        shapes = {"kernel": (x.shape[-1], units), "bias": (units,)}
        return Node((*x.shape[:-1], units), self._backend.dense(name, x.value, shapes, activation))

    def place(self, name: str, x: Node) -> Node:
        """Return ``x`` (n, U) plus a learned vector for each of the n places."""
        return Node(x.shape, self._backend.place(name, x.value, {"kernel": x.shape}))

    def recur(
        self, name: str, x: Node, cell: str, units: int, *, start: Sequence[Node] = (), backward: bool = False
    ) -> Run:
        """Run ``cell`` over the first axis of ``x`` (n, D), from zero or from ``start``; ``backward``: last step first.

        The sequence is in the order of ``x`` in both directions.
        """
        if CELLS[cell].step is not None:
            return self._unroll(name, x, CELLS[cell], units, start, backward)
        shapes = CELLS[cell].shapes(x.shape[-1], units)
        states, sequence = self._backend.recur(name, x.value, cell, shapes, [s.value for s in start], backward)
        state = tuple(Node((units,), value) for value in states)
        return Run(state, lambda: Node((x.shape[0], units), sequence()))

    def _unroll(self, name: str, x: Node, cell: Cell, units: int, start: Sequence[Node], backward: bool) -> Run:
        """Run a cell that is given by its ``step``, with the same weights at each of the n steps."""
        assert cell.step is not None
        zero = Node((units,), self._backend.zeros(x.value, units))
        state, outputs = tuple(start) or (zero,) * cell.states, []
        for number in reversed(range(x.shape[0])) if backward else range(x.shape[0]):
            step = Node(x.shape[1:], self._backend.at_step(x.value, number))
            state = cell.step(self, name, step, state, units)
            outputs.append(state[0].value)
        in_order = outputs[::-1] if backward else outputs
        return Run(state, lambda: Node((x.shape[0], units), self._backend.stack(in_order)))

    def convolve(self, name: str, x: Node, filters: int, width: int) -> Run:
        """Run a convolutional LSTM over the first axis of ``x`` (n, L, D); its state is the last output, (L, filters).

        Shi et al., "Convolutional LSTM Network" (2015), with one dimension of space and without peepholes.
        """
        gates = 4 * filters
        shapes = {"kernel": (width, x.shape[-1], gates), "recurrent_kernel": (width, filters, gates), "bias": (gates,)}
        last, sequence = self._backend.convolve(name, x.value, shapes, x.shape)
        shape = (*x.shape[:2], filters)
        return Run((Node(shape[1:], last),), lambda: Node(shape, sequence()))

    def dropout(self, x: Node, rate: float) -> Node:
        """Return ``x`` with a share of its values zeroed in training, unchanged otherwise."""
        return Node(x.shape, self._backend.dropout(x.value, rate)) if rate else x

    def concat(self, parts: Sequence[Node]) -> Node:
        """Return the parts side by side along the last axis."""
        if len(parts) == 1:
            return parts[0]
        shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        return Node(shape, self._backend.concat([part.value for part in parts]))

    def reshape(self, x: Node, shape: Shape) -> Node:
        """Return the values of each row in another shape."""
        return x if x.shape == shape else Node(shape, self._backend.reshape(x.value, shape))

    def fold(self, x: Node) -> Node:
        """Return ``x`` (n, …) as (…) in a batch that is n times as large."""
        return Node(x.shape[1:], self._backend.reshape(x.value, x.shape[1:]))

    def unfold(self, x: Node, n: int) -> Node:
        """Undo ``fold``: return (…) as (n, …)."""
        return Node((n, *x.shape), self._backend.reshape(x.value, (n, *x.shape)))

    def repeat(self, x: Node, n: int) -> Node:
        """Return ``x`` (U,) as n equal steps, (n, U)."""
        return Node((n, *x.shape), self._backend.repeat(x.value, n))

    def beside(self, x: Node, one: Node) -> Node:
        """Return ``x`` (n, D) with ``one`` (K,) beside each of its steps, however many there are: (n, D + K)."""
        return self.concat([x, Node((x.shape[0], *one.shape), self._backend.each_step(one.value, x.value))])

    def add(self, a: Node, b: Node) -> Node:
        """Return the sum; the smaller shape is broadcast."""
        return Node(_broadcast_shape(a, b), self._backend.binary("add", a.value, b.value))

    def subtract(self, a: Node, b: Node) -> Node:
        """Return the difference; the smaller shape is broadcast."""
        return Node(_broadcast_shape(a, b), self._backend.binary("subtract", a.value, b.value))

    def multiply(self, a: Node, b: Node) -> Node:
        """Return the product; the smaller shape is broadcast."""
        return Node(_broadcast_shape(a, b), self._backend.binary("multiply", a.value, b.value))

    def total(self, x: Node) -> Node:
        """Return the sum along the last axis, which is kept with size 1."""
        return Node((*x.shape[:-1], 1), self._backend.total(x.value))

    def attend(self, query: Node, memory: Node, seen: Node) -> Node:
        """Return for each ``query`` (M, U) a mean of ``memory`` (n, U), weighted by likeness, where ``seen`` (n,) is 1.

        Luong et al., "Effective Approaches to Attention-based Neural Machine Translation" (2015), the dot score.
        """
        return Node((query.shape[0], memory.shape[1]), self._backend.attend(query.value, memory.value, seen.value))


def _broadcast_shape(a: Node, b: Node) -> Shape:
    return a.shape if prod(a.shape) >= prod(b.shape) else b.shape


class ShapeBackend(Backend):
    """A backend that computes nothing and records the shapes of ``inputs`` and ``weights``."""

    def __init__(self) -> None:
        self.inputs: Shapes = {}
        self.weights: Shapes = {}

    def _record(self, name: str, shapes: Shapes) -> None:
        self.weights |= {f"{name}/{part}": shape for part, shape in shapes.items()}

    def input(self, name: str, shape: Shape) -> Any:
        self.inputs[name] = shape

    def dense(self, name: str, x: Any, shapes: Shapes, activation: str | None) -> Any:
        self._record(name, shapes)

    def place(self, name: str, x: Any, shapes: Shapes) -> Any:
        self._record(name, shapes)

    def recur(
        self, name: str, x: Any, cell: str, shapes: Shapes, start: list[Any], backward: bool
    ) -> tuple[list[Any], Sequenced]:
        self._record(name, shapes)
        return [None] * CELLS[cell].states, lambda: None

    def convolve(self, name: str, x: Any, shapes: Shapes, size: Shape) -> tuple[Any, Sequenced]:
        self._record(name, shapes)
        return None, lambda: None

    def dropout(self, x: Any, rate: float) -> Any: ...

    def concat(self, parts: list[Any]) -> Any: ...

    def reshape(self, x: Any, shape: Shape) -> Any: ...

    def repeat(self, x: Any, n: int) -> Any: ...

    def each_step(self, one: Any, x: Any) -> Any: ...

    def at_step(self, x: Any, step: int) -> Any: ...

    def stack(self, steps: list[Any]) -> Any: ...

    def zeros(self, x: Any, units: int) -> Any: ...

    def binary(self, kind: str, a: Any, b: Any) -> Any: ...

    def total(self, x: Any) -> Any: ...

    def attend(self, query: Any, memory: Any, seen: Any) -> Any: ...
