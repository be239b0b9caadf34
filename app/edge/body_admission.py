"""ASGI middleware that admits bodies by the memory that they take, piece by piece, before any is parsed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.access import find_route
from app.edge.body_budget import BodyBudget, JsonSize

# Shorter bodies are admitted uncounted: connections bound their number, and parsing one takes a millisecond.
UNCOUNTED_BYTES = 32 * 1024
MEMORY_FACTOR = 8  # greatest memory of a JSON body, in terms of its greatest length
MAX_SMALL_JSON_BYTES = 4 * 1024**2  # of a route without data: the event loop parses it
TABLE_FACTOR = 2  # bytes in memory for each byte of a table
# Routes that take data as JSON, parsed in threads.
DATA_ROUTES = frozenset({"/v1/forecasts", "/v1/forecasts/stream", "/v1/datasets", "/v1/datasets/{name}/rows"})
NOT_JSON = (
    b"text/csv",
    b"tab-separated",
    b"parquet",
    b"arrow",
    b"spreadsheet",
    b"octet-stream",
)  # parts of the types of other bodies
INTERNAL = "/internal/"  # reports of our own workers


@dataclass(frozen=True, slots=True)
class JsonLimit:
    """Greatest length of a JSON body, and greatest estimate of its memory."""

    max_bytes: int

    def check(self, length: int, memory_bytes: int, is_padded: bool) -> None:
        """Refuse a body that is longer or takes more memory.

        Raises:
            HTTPException: 413.
        """
        max_memory_bytes = MEMORY_FACTOR * self.max_bytes
        if length > self.max_bytes:
            detail = (
                f"A JSON body may have at most {self.max_bytes} bytes here; send less, or data as Arrow or Parquet."
            )
        elif memory_bytes > max_memory_bytes:
            values = f"The values of this JSON body would take more than {max_memory_bytes} bytes of memory"
            detail = f"{values}; send fewer, or data as Arrow or Parquet."
        elif is_padded:
            detail = "Most of this JSON body is in long texts or between its values; send the values alone."
        else:
            return
        raise HTTPException(413, detail)


class BodyAdmission:
    """ASGI middleware between the decompression of bodies and the service."""

    def __init__(self, app: ASGIApp, budget: BodyBudget, max_json_bytes: int) -> None:
        self.app, self.budget = app, budget
        self._data_limit = JsonLimit(max_json_bytes)
        self._small_limit = JsonLimit(min(max_json_bytes, MAX_SMALL_JSON_BYTES))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or _is_short(scope["headers"]):
            await self.app(scope, receive, send)
            return
        state: Mapping[str, object] = scope.get("state", {})
        tenant_id: int | None = getattr(state.get("principal"), "tenant_id", None)
        body = CountedBody(receive, self.budget, tenant_id, self._limit(scope))
        try:
            await self.app(scope, body.receive, send)
        finally:
            self.budget.release(tenant_id, body.held_bytes)

    def _limit(self, scope: Scope) -> JsonLimit | None:
        """Return the limit of a JSON body; None if the body is something else."""
        content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        lower = content_type.lower()
        if any(part in lower for part in NOT_JSON) or scope["path"].startswith(INTERNAL):
            return None
        route = find_route(scope["method"], scope["path"])
        return self._data_limit if route is not None and route.template in DATA_ROUTES else self._small_limit


class CountedBody:
    """Body of one request; each piece is counted as it is read."""

    def __init__(self, receive: Receive, budget: BodyBudget, tenant_id: int | None, limit: JsonLimit | None) -> None:
        self._receive, self._budget, self._tenant_id, self._limit = receive, budget, tenant_id, limit
        self._json, self._length = JsonSize(), 0
        self.held_bytes = 0

    async def receive(self) -> Message:
        """Return the next piece of the body.

        Raises:
            HTTPException: 413 if the body takes too much memory, 429 and 503 as ``BodyBudget.take``.
        """
        message = await self._receive()
        if message["type"] == "http.request" and (piece := message.get("body", b"")):
            self._count(piece)
        return message

    def _count(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._limit is None:
            needed_bytes = TABLE_FACTOR * self._length
        else:
            needed_bytes = self._json.add(piece)
            self._limit.check(self._length, needed_bytes, self._json.is_padded)
        if needed_bytes > self._budget.share_bytes:  # no waiting would help
            detail = f"The body would take over {self._budget.share_bytes} bytes of memory, the most that a tenant has."
            raise HTTPException(413, f"{detail} Send less, or raise FORECASTLE_MAX_BODIES_BYTES.")
        self._budget.take(self._tenant_id, needed_bytes - self.held_bytes)
        self.held_bytes = needed_bytes


def _is_short(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether the headers announce a short body, or none."""
    for name, value in headers:
        if name == b"content-length":
            return len(value) < 6 and value.isdigit() and int(value) <= UNCOUNTED_BYTES
        if name == b"transfer-encoding":
            return False
    return False
