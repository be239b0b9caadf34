"""Memory of request bodies: one budget for the process, and an estimate of what JSON takes once it is parsed."""

import gc
from collections import Counter

from starlette.exceptions import HTTPException

TENANT_SHARE = 2  # a tenant may hold one in so many of the bytes
COLLECT_BYTES = 64 * 1024**2  # of bodies between two garbage collections, which seldom run by themselves
MIN_TEXT_BYTES = 1024**2
MAX_VALUE_BYTES = 1024  # on average, in JSON of over a megabyte: no honest body consists of long texts or blanks
# Bytes in memory of a number with its place in a list, of a text or name, and of a list or object.
_VALUE_BYTES, _TEXT_BYTES, _GROUP_BYTES = 32, 60, 200


class BodyBudget:
    """Bytes that the bodies of all requests under way take; for one event loop.

    Garbage collections are caused by the bytes that were released: the collector itself counts only objects, and a
    body in a reference cycle may be one object of many megabytes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: Counter[int | None] = Counter()
        self._total_bytes = self._uncollected_bytes = 0

    @property
    def share_bytes(self) -> int:
        """Return the bytes that one tenant may hold."""
        return self._max_bytes // TENANT_SHARE

    @property
    def held_bytes(self) -> int:
        """Return the bytes of all requests under way."""
        return self._total_bytes

    def take(self, tenant_id: int | None, size_bytes: int) -> None:
        """Reserve bytes for a request of a tenant.

        Raises:
            HTTPException: 429 if the tenant has its share already, 503 if the process has no bytes left.
        """
        share_bytes = self.share_bytes
        if self._held[tenant_id] + size_bytes > share_bytes:
            detail = (
                f"Your requests under way take {share_bytes} bytes of memory, the most that they may; wait for them."
            )
            raise HTTPException(429, detail, {"Retry-After": "1"})
        if self._total_bytes + size_bytes > self._max_bytes:
            detail = (
                f"All requests under way take {self._max_bytes} bytes of memory, the most that they may; try again."
            )
            raise HTTPException(503, detail, {"Retry-After": "1"})
        self._held[tenant_id] += size_bytes
        self._total_bytes += size_bytes

    def release(self, tenant_id: int | None, size_bytes: int) -> None:
        """Give bytes back that ``take`` reserved."""
        self._held[tenant_id] -= size_bytes
        if not self._held[tenant_id]:
            del self._held[tenant_id]
        self._total_bytes -= size_bytes
        self._uncollected_bytes += size_bytes
        if self._uncollected_bytes >= COLLECT_BYTES:
            self._uncollected_bytes = 0
            gc.collect()


class JsonSize:
    """Estimate of the memory of JSON, from the bytes themselves, before any value is parsed.

    Commas, quotes and brackets within texts count too: an estimate may be too high, never too low.
    """

    def __init__(self) -> None:
        self._length = self._values = self._memory_bytes = 0

    def add(self, piece: bytes) -> int:
        """Return the estimate of the bytes in memory, those of ``piece`` included."""
        commas, groups = piece.count(b","), piece.count(b"[") + piece.count(b"{")
        self._length += len(piece)
        self._values += commas + groups
        texts = piece.count(b'"') // 2
        self._memory_bytes += len(piece) + _VALUE_BYTES * commas + _TEXT_BYTES * texts + _GROUP_BYTES * groups
        return self._memory_bytes

    @property
    def is_padded(self) -> bool:
        """Return whether most of a long body is in few texts or between the values."""
        return self._length > MIN_TEXT_BYTES + MAX_VALUE_BYTES * self._values
