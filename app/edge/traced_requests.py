"""Spans of requests: one for each, around everything that the service does for it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.access import find_route
from app.telemetry import OTHER, Traces

MAX_TRACEPARENT_BYTES = 128


class TracedRequests:
    """ASGI application that makes a span of each request to ``app``; a caller's ``traceparent`` is its parent.

    Only templates of routes get into spans, no names of resources, no bodies and no headers.
    """

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = find_route(scope["method"], scope["path"])
        template = OTHER if route is None else route.template
        given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        parent = given.decode("latin-1") if 0 < len(given) <= MAX_TRACEPARENT_BYTES else None
        method = scope["method"] if scope["method"].isalpha() and len(scope["method"]) <= 16 else OTHER
        with self._traces.span(f"{method} {template}", "server", parent) as attributes:
            attributes |= {"http.request.method": method, "http.route": template}

            async def send_and_note(message: Message) -> None:
                await send(message)
                if message["type"] == "http.response.start":
                    attributes["http.response.status_code"] = message["status"]
                    found = (value.decode() for name, value in message["headers"] if name == b"x-request-id")
                    attributes["forecastle.request_id"] = next(found, "")

            await self._app(scope, receive, send_and_note)
