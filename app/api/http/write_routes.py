"""Routes that write: they run in threads of their own, so that writes which wait for a lock delay no other request."""

import functools
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from fastapi.routing import APIRoute

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class WriteRoute(APIRoute):
    """Route class of routers: a plain function with an unsafe method runs in the threads for writes of the service.

    The function takes the dependencies ``service``, and ``caller`` or, for attempts at jobs, ``mine``.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        writes = set(options.get("methods") or ()) - SAFE_METHODS
        super().__init__(
            path, _in_threads(endpoint) if writes and not iscoroutinefunction(endpoint) else endpoint, **options
        )


def _in_threads(endpoint: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(endpoint)
    async def run(**arguments: Any) -> Any:
        principal = arguments["caller"] if "caller" in arguments else arguments["mine"]
        threads = arguments["service"].writes
        return await threads.run(principal.tenant_id, functools.partial(endpoint, **arguments))

    return run
