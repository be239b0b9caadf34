"""ONNX's messages as bytes: those messages and fields that our graphs need.

The package ``onnx`` would write the same bytes; but importing it costs a serving process 12 MB and 0.1 s, a tenth of
its start. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; encoding of a field:
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 20
IR_VERSION = 10
FLOAT, INT64 = 1, 7  # TensorProto.DataType
_INT, _STRING, _INTS, _STRINGS = 2, 3, 7, 8  # AttributeProto.AttributeType
_VARINT, _BYTES = 0, 2  # kinds of fields

Attribute = int | str | Sequence[int] | Sequence[str]


def model(graph: bytes) -> bytes:
    """Return a ModelProto."""
    return _number(1, IR_VERSION) + _bytes(8, _number(2, OPSET)) + _bytes(7, graph)


def graph(
    name: str, nodes: Iterable[bytes], constants: Iterable[bytes], inputs: Iterable[bytes], outputs: Iterable[bytes]
) -> bytes:
    """Return a GraphProto."""
    repeated = ((1, nodes), (5, constants), (11, inputs), (12, outputs))
    return _text(2, name) + b"".join(_bytes(field, part) for field, parts in repeated for part in parts)


def node(operator: str, inputs: Iterable[str], outputs: Iterable[str], attributes: Mapping[str, Attribute]) -> bytes:
    """Return a NodeProto."""
    names = (*(_text(1, name) for name in inputs), *(_text(2, name) for name in outputs))
    own = (_bytes(5, _text(1, name) + _attribute(value)) for name, value in attributes.items())
    return b"".join((*names, _text(4, operator), *own))


def tensor(name: str, value: NDArray[Any]) -> bytes:
    """Return a TensorProto of float32 or int64.

    Raises:
        KeyError: the numbers are of another type.
    """
    kind = {"float32": FLOAT, "int64": INT64}[value.dtype.name]
    dims = b"".join(_number(1, size) for size in value.shape)
    return dims + _number(2, kind) + _text(8, name) + _bytes(9, value.astype(value.dtype.newbyteorder("<")).tobytes())


def value_info(name: str, shape: Iterable[int | str]) -> bytes:
    """Return a ValueInfoProto of float32; a size that is unknown until the graph runs has a name instead."""
    dims = (_number(1, size) if isinstance(size, int) else _text(2, size) for size in shape)
    of_tensor = _number(1, FLOAT) + _bytes(2, b"".join(_bytes(1, dim) for dim in dims))
    return _text(1, name) + _bytes(2, _bytes(1, of_tensor))


def _attribute(value: Attribute) -> bytes:
    """Return the value and the type of an AttributeProto."""
    if isinstance(value, int):
        return _number(3, value) + _number(20, _INT)
    if isinstance(value, str):
        return _text(4, value) + _number(20, _STRING)
    texts, numbers = [one for one in value if isinstance(one, str)], [one for one in value if isinstance(one, int)]
    values = (*(_text(9, one) for one in texts), *(_number(8, one) for one in numbers))
    return b"".join(values) + _number(20, _STRINGS if texts else _INTS)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(int(np.uint64(np.int64(value))))


def _varint(value: int) -> bytes:
    """Encode seven bits per byte, the lowest first; a byte's highest bit is set if more follow."""
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
