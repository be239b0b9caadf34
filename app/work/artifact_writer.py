"""The file object that a job writes an artifact to; its content is stored in parts while it is written."""

import io
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from app.store.artifacts import PART_BYTES


class ArtifactWriter(io.RawIOBase):
    """A file that is written once, from its beginning to its end, and sent in parts of ``PART_BYTES``.

    ``send`` takes the number of a part, from 1, and its bytes.
    """

    def __init__(self, send: Callable[[int, bytes], None]) -> None:
        super().__init__()
        self._send, self._buffer, self._number, self._hash = send, bytearray(), 0, sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """Return True, as ``io.TextIOWrapper`` requires."""
        return True

    def write(self, data: Any) -> int:
        """Take all of ``data``, any buffer of bytes, and send each part that is full."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self.size_bytes += len(view)
        self._buffer += view
        while len(self._buffer) >= PART_BYTES:
            self._send_part()
        return len(view)

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self.size_bytes

    def end(self) -> None:
        """Send the last part. ``close`` does not, because it also runs when the writing failed."""
        if self._buffer:
            self._send_part()

    def _send_part(self) -> None:
        self._number += 1
        self._send(self._number, bytes(self._buffer[:PART_BYTES]))
        del self._buffer[:PART_BYTES]
