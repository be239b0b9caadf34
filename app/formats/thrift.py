"""Reader of the compact protocol of Thrift, in which Parquet writes its footer and the headers of its pages."""

from typing import Any

MAX_DEPTH = 10  # of structures in structures
MAX_FIELDS = 100  # of one structure
_STOP, _TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 3, 6, 7, 8, 9, 10, 12

Fields = dict[int, Any]  # by number: whole numbers, bytes, lists and structures; None for other values


def read_structure(data: bytes, at: int, end: int) -> tuple[Fields, int]:
    """Return the fields of the structure that begins at byte ``at`` of ``data[:end]``, and the position after it.

    Raises:
        ValueError: the bytes are no structure of the compact protocol.
    """
    reader = _Reader(data, at, end)
    return reader.structure(0), reader.at


class _Reader:
    """Reader of ``data[at:end]``; ``at`` moves with each value."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def structure(self, depth: int) -> Fields:
        """Return the fields of a structure. Raise ValueError."""
        if depth > MAX_DEPTH:
            raise ValueError("a structure is too deep")
        fields: Fields = {}
        field = 0
        for _ in range(MAX_FIELDS):
            head = self._byte()
            if head == _STOP:
                return fields
            field = field + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[field] = None if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        raise ValueError("a structure has too many fields")

    def _value(self, kind: int, depth: int) -> Any:
        if kind == _STRUCT:
            return self.structure(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth)
        if _BYTE < kind <= _I64:
            return self._signed()
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind in (_TRUE, _FALSE, _BYTE, _DOUBLE):  # a boolean in a list takes a byte
            self._bytes(8 if kind == _DOUBLE else 1)
            return None
        raise ValueError(f"a value has the unknown type {kind}")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = self._unsigned() if head >> 4 == 15 else head >> 4
        if size > self.end - self.at:  # each item takes a byte at least
            raise ValueError("a list is longer than the bytes that are left")
        return [self._value(head & 15, depth) for _ in range(size)]

    def _bytes(self, length: int) -> bytes:
        if length > self.end - self.at:
            raise ValueError("a value is cut off")
        self.at += length
        return self.data[self.at - length : self.at]

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number does not end")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
