"""State of a service that is being stopped, and the requests that it still has to answer."""

import asyncio
from typing import Protocol


class UnderWay(Protocol):
    """A request that is being answered."""

    @property
    def awaits_body(self) -> bool:
        """Return whether the client has still to send some of its body, and no answer has begun."""


class Drain:
    """Requests of one event loop, and whether the service is being stopped."""

    def __init__(self) -> None:
        self.is_stopping = False
        self._under_way: dict[UnderWay, asyncio.Task[object] | None] = {}

    def __len__(self) -> int:
        """Return the number of requests under way."""
        return len(self._under_way)

    def add(self, request: UnderWay) -> None:
        """Note that the current task answers ``request``."""
        self._under_way[request] = asyncio.current_task()

    def remove(self, request: UnderWay) -> None:
        """Note that ``request`` has been answered."""
        self._under_way.pop(request, None)

    def end(self, *, only_bodies: bool) -> None:
        """Cancel the requests under way, or only those whose clients have still to send some of their bodies.

        The guard answers 503 to each whose answer has not begun.
        """
        for request, task in list(self._under_way.items()):
            if task is not None and (request.awaits_body or not only_bodies):
                self.remove(request)  # cancelled once: the second time would end its refusal
                task.cancel()
