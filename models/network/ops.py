"""Ops: the few operations that networks are written in; each engine implements them in its own way.

Training, serving and the list of weights in a bundle share one definition of a network:
``models.network.build.build_network``, run with Keras' operations, with ONNX's, or with those of ``ShapeOps``, which
only records shapes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from models.network.cells import CELLS

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a network: its shape without the batch axis, and what the engine holds for it."""

    shape: Shape
    value: Any


class Run(NamedTuple):
    """A cell run over n steps: its state after the last one, (U,) for each part, and every output, (n, U)."""

    state: tuple[Node, ...]
    sequence: Callable[[], Node]  # a network that reads the last state only never makes it


class Ops(ABC):
    """Operations on nodes; activations are ``relu``, ``tanh``, ``sigmoid`` or None; all act on the last axis."""

    def input(self, name: str, shape: Shape) -> Node:
        """What the network is given under ``name``."""
        return Node(shape, self._input(name, shape))

    def dense(self, name: str, x: Node, units: int, activation: str | None = None) -> Node:
        """A linear map of the last axis to ``units``, with bias."""
        shapes = {"kernel": (x.shape[-1], units), "bias": (units,)}
        return Node((*x.shape[:-1], units), self._dense(name, x.value, shapes, activation))

    def place(self, name: str, x: Node) -> Node:
        """``x`` (n, U) and, for each of the n places, a learned vector."""
        return Node(x.shape, self._place(name, x.value, {"kernel": x.shape}))

    def recur(
        self, name: str, x: Node, cell: str, units: int, *, start: Sequence[Node] = (), backward: bool = False
    ) -> Run:
        """``cell`` run over the first axis of ``x`` (n, D), from zero or from ``start``; ``backward``: last step first.

        The sequence is in the order of ``x`` either way.
        """
        shapes = CELLS[cell].shapes(x.shape[-1], units)
        states, sequence = self._recur(name, x.value, cell, shapes, [s.value for s in start], backward)
        kept = tuple(Node((units,), state) for state in states)
        return Run(kept, lambda: Node((x.shape[0], units), sequence()))

    def convolve(self, name: str, x: Node, filters: int, width: int) -> Run:
        """A convolutional LSTM over the first axis of ``x`` (n, L, D); its state is the last output, (L, filters).

        Shi et al., "Convolutional LSTM Network" (2015), with one dimension of space and without peepholes.
        """
        gates = 4 * filters
        shapes = {"kernel": (width, x.shape[-1], gates), "recurrent_kernel": (width, filters, gates), "bias": (gates,)}
        last, sequence = self._convolve(name, x.value, shapes, x.shape)
        whole = (*x.shape[:2], filters)
        return Run((Node(whole[1:], last),), lambda: Node(whole, sequence()))

    def dropout(self, x: Node, rate: float) -> Node:
        """``x`` with a share of its values zeroed in training, unchanged otherwise."""
        return Node(x.shape, self._dropout(x.value, rate)) if rate else x

    def concat(self, parts: Sequence[Node]) -> Node:
        """The parts side by side along the last axis."""
        if len(parts) == 1:
            return parts[0]
        shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
        return Node(shape, self._concat([part.value for part in parts]))

    def reshape(self, x: Node, shape: Shape) -> Node:
        """The values of each row in another shape."""
        return x if x.shape == shape else Node(shape, self._reshape(x.value, shape))

    def fold(self, x: Node) -> Node:
        """``x`` (n, …) as a batch n times as large of (…)."""
        return Node(x.shape[1:], self._reshape(x.value, x.shape[1:]))

    def unfold(self, x: Node, n: int) -> Node:
        """``fold`` undone: (…) as (n, …)."""
        return Node((n, *x.shape), self._reshape(x.value, (n, *x.shape)))

    def repeat(self, x: Node, n: int) -> Node:
        """``x`` (U,) as n equal steps, (n, U)."""
        return Node((n, *x.shape), self._repeat(x.value, n))

    def beside(self, x: Node, one: Node) -> Node:
        """``x`` (n, D) and beside each of its steps, however many there are, ``one`` (K,): (n, D + K)."""
        return self.concat([x, Node((x.shape[0], *one.shape), self._each_step(one.value, x.value))])

    def add(self, a: Node, b: Node) -> Node:
        """The sum; a shape of fewer or single axes is repeated."""
        return Node(_broad(a, b), self._binary("add", a.value, b.value))

    def multiply(self, a: Node, b: Node) -> Node:
        """The product; a shape of fewer or single axes is repeated."""
        return Node(_broad(a, b), self._binary("multiply", a.value, b.value))

    def total(self, x: Node) -> Node:
        """The sum along the last axis, which becomes one."""
        return Node((*x.shape[:-1], 1), self._total(x.value))

    def attend(self, query: Node, memory: Node, seen: Node) -> Node:
        """For each of M ``query`` (M, U) a mean of ``memory`` (n, U), weighted by likeness, where ``seen`` (n,) is 1.

        Luong et al., "Effective Approaches to Attention-based Neural Machine Translation" (2015), the dot score.
        """
        return Node((query.shape[0], memory.shape[1]), self._attend(query.value, memory.value, seen.value))

    @abstractmethod
    def _input(self, name: str, shape: Shape) -> Any: ...

    @abstractmethod
    def _dense(self, name: str, x: Any, shapes: Shapes, activation: str | None) -> Any: ...

    @abstractmethod
    def _place(self, name: str, x: Any, shapes: Shapes) -> Any: ...

    @abstractmethod
    def _recur(
        self, name: str, x: Any, cell: str, shapes: Shapes, start: list[Any], backward: bool
    ) -> tuple[list[Any], Callable[[], Any]]: ...

    @abstractmethod
    def _convolve(self, name: str, x: Any, shapes: Shapes, size: Shape) -> tuple[Any, Callable[[], Any]]: ...

    @abstractmethod
    def _dropout(self, x: Any, rate: float) -> Any: ...

    @abstractmethod
    def _concat(self, parts: list[Any]) -> Any: ...

    @abstractmethod
    def _reshape(self, x: Any, shape: Shape) -> Any: ...

    @abstractmethod
    def _repeat(self, x: Any, n: int) -> Any: ...

    @abstractmethod
    def _each_step(self, one: Any, x: Any) -> Any: ...

    @abstractmethod
    def _binary(self, kind: str, a: Any, b: Any) -> Any: ...

    @abstractmethod
    def _total(self, x: Any) -> Any: ...

    @abstractmethod
    def _attend(self, query: Any, memory: Any, seen: Any) -> Any: ...


def _broad(a: Node, b: Node) -> Shape:
    return a.shape if prod(a.shape) >= prod(b.shape) else b.shape


class ShapeOps(Ops):
    """Carries nothing out; notes which ``inputs`` and ``weights`` there are."""

    def __init__(self) -> None:
        self.inputs: Shapes = {}
        self.weights: Shapes = {}

    def _input(self, name: str, shape: Shape) -> Any:
        self.inputs[name] = shape

    def _note(self, name: str, shapes: Shapes) -> None:
        self.weights |= {f"{name}/{part}": shape for part, shape in shapes.items()}

    def _dense(self, name: str, x: Any, shapes: Shapes, activation: str | None) -> Any:
        self._note(name, shapes)

    def _place(self, name: str, x: Any, shapes: Shapes) -> Any:
        self._note(name, shapes)

    def _recur(
        self, name: str, x: Any, cell: str, shapes: Shapes, start: list[Any], backward: bool
    ) -> tuple[list[Any], Callable[[], Any]]:
        self._note(name, shapes)
        return [None] * CELLS[cell].states, lambda: None

    def _convolve(self, name: str, x: Any, shapes: Shapes, size: Shape) -> tuple[Any, Callable[[], Any]]:
        self._note(name, shapes)
        return None, lambda: None

    def _dropout(self, x: Any, rate: float) -> Any: ...

    def _concat(self, parts: list[Any]) -> Any: ...

    def _reshape(self, x: Any, shape: Shape) -> Any: ...

    def _repeat(self, x: Any, n: int) -> Any: ...

    def _each_step(self, one: Any, x: Any) -> Any: ...

    def _binary(self, kind: str, a: Any, b: Any) -> Any: ...

    def _total(self, x: Any) -> Any: ...

    def _attend(self, query: Any, memory: Any, seen: Any) -> Any: ...
