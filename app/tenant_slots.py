"""Slots of a process that all tenants share: a number in all, of which one tenant has at most a part."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.problems import TooManyRequests


class TenantSlots:
    """``total`` slots for ``things``, such as streams; one tenant holds at most ``each``. For one event loop."""

    def __init__(self, total: int, each: int, things: str) -> None:
        self.total, self.each, self._things = total, each, things
        self._used = Counter[int]()

    @property
    def used(self) -> int:
        """Return the number of slots in use."""
        return self._used.total()

    @contextmanager
    def hold(self, tenant_id: int) -> Iterator[None]:
        """Hold a slot of the tenant for the time of the block.

        Raises:
            TooManyRequests: no slot is free, or the tenant holds as many as it may; nobody waits for one.
        """
        if self._used[tenant_id] >= self.each:
            raise TooManyRequests(f"{self.each} {self._things} of yours are in progress; end one first")
        if self.used >= self.total:
            raise TooManyRequests(f"{self.total} {self._things} are in progress; try again later")
        self._used[tenant_id] += 1
        try:
            yield
        finally:
            self._used[tenant_id] -= 1
            self._used += Counter()  # forget the tenants without slots
