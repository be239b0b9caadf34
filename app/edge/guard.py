"""The guard in front of the whole service: key, scope and size are settled before a request's body is read."""

import hashlib
import logging
import random
import time
from collections.abc import Callable, Mapping

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.access import Access, required, template_of
from app.edge.problem_json import problem_response
from app.principal import Principal
from app.problems import Forbidden, Unauthorized, kind_of
from app.telemetry import OTHER, Telemetry

logger = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
KEY_TTL_S = 1.0
MAX_CACHED_KEYS = 1_000
MAX_KEY_LENGTH = 256
MAX_TOKEN_DIGITS = 9  # of a fencing token
# Of their own, so that a flood of bad keys cannot take the threads that the service's own work needs.
AUTHENTICATION_THREADS = 8


class Guard:
    """ASGI middleware around the whole service: deny by default, before anything is read.

    A good key leaves ``principal`` in the request's state (None on a public route), every request ``request_id``.
    ``attempts``: who reports for the attempt of this job and token, by its secret.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticate: Callable[[str], Principal | None],
        attempts: Callable[[str, int, str], Principal | None],
        max_body_bytes: int,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.keys = KeyCache(authenticate, clock)
        self.attempts = attempts
        self.max_body_bytes = max_body_bytes
        self.telemetry = telemetry
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, Exchange(scope, receive, send, self.max_body_bytes))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            raise RuntimeError(f"no such thing is served here: {scope['type']}")

    async def _serve(self, scope: Scope, exchange: "Exchange") -> None:
        began_s = self.clock()
        try:
            principal = await self._admit(scope, exchange)
            # A copy: the server shares one state between all requests.
            state = {**scope.get("state", {}), "principal": principal, "request_id": exchange.request_id}
            await self.app({**scope, "state": state}, exchange.receive, exchange.send)
        except Exception as error:
            await self._refuse(scope, exchange, error)
        finally:
            self._record(scope, exchange, self.clock() - began_s)

    async def _admit(self, scope: Scope, exchange: "Exchange") -> Principal | None:
        """Who asks, None on a public route; raises where the request must not go on."""
        method: str = scope["method"]
        access = required(method, scope["path"])
        if access is Access.ATTEMPT:
            principal: Principal | None = await self._attempt(scope["path"], exchange.headers)
        else:
            principal = None if access is Access.PUBLIC else await self._principal(exchange.headers)
        # The router matches more than the table does. So that a key for reading never gets to a handler that writes,
        # what the table does not have counts as writing unless the method is a safe one.
        writes = access is Access.WRITE or (access is None and method not in SAFE_METHODS)
        if writes and principal is not None and principal.scope != "write":
            raise Forbidden("This needs a key with the scope 'write'; the key sent has the scope 'read'.")
        exchange.check_declared_size()
        return principal

    async def _principal(self, headers: Mapping[bytes, bytes]) -> Principal:
        key = presented_key(headers)
        principal = None if key is None else await self.keys.principal(key)
        if principal is None:
            raise Unauthorized("Send a valid API key as 'Authorization: Bearer <key>' or as 'X-API-Key: <key>'.")
        return principal

    async def _attempt(self, path: str, headers: Mapping[bytes, bytes]) -> Principal:
        job_id, token = path.split("/")[4:6]
        key, principal = presented_key(headers), None
        if key is not None and token.isdecimal() and len(token) <= MAX_TOKEN_DIGITS:
            # Asked anew each time: the attempt may have lost its job this very moment.
            principal = await self.keys.apart(self.attempts, job_id, int(token), key)
        if principal is None:
            raise Unauthorized("Send the secret of an attempt that has its job as 'Authorization: Bearer <secret>'.")
        return principal

    async def _refuse(self, scope: Scope, exchange: "Exchange", error: Exception) -> None:
        response = problem_response(error, exchange.request_id, scope["path"])
        if response.status_code >= 500:
            extra = {"request_id": exchange.request_id}
            if kind_of(error) is None:
                logger.error("unexpected error", exc_info=error, extra=extra)
            else:
                logger.error("%s: %s", type(error).__name__, error, extra=extra)
        if exchange.status is None:
            await response(scope, exchange.receive, exchange.send)

    def _record(self, scope: Scope, exchange: "Exchange", seconds: float) -> None:
        if exchange.status is None:
            return  # cancelled before there was an answer
        method: str = scope["method"]
        route = template_of(method, scope["path"]) or OTHER
        self.telemetry.request_answered(method, route, exchange.status, seconds)
        extra = {"request_id": exchange.request_id, "seconds": f"{seconds:.4f}"}
        logger.info("%s %s %d", method[:16], route, exchange.status, extra=extra)


class KeyCache:
    """Good keys, remembered by their SHA-256 for ``KEY_TTL_S``: a revoked key works no longer than that.

    Bad keys are not remembered, or a flood of them would push out the good ones.
    """

    def __init__(self, authenticate: Callable[[str], Principal | None], clock: Callable[[], float]) -> None:
        self._authenticate = authenticate
        self._clock = clock
        self._known: dict[bytes, tuple[float, Principal]] = {}
        self._limiter = CapacityLimiter(AUTHENTICATION_THREADS)

    async def principal(self, key: str) -> Principal | None:
        """Who has this key, or None where nobody has."""
        digest = hashlib.sha256(key.encode()).digest()
        asked_s = self._clock()  # before the look-up: what it finds may be old by the time it is back
        known = self._known.get(digest)
        if known is not None and asked_s - known[0] < KEY_TTL_S:
            return known[1]
        principal = await self.apart(self._authenticate, key)
        self._known.pop(digest, None)
        if principal is not None:
            self._known[digest] = (asked_s, principal)
        if len(self._known) > MAX_CACHED_KEYS:
            del self._known[next(iter(self._known))]  # the one looked up longest ago
        return principal

    async def apart(self, ask: Callable[..., Principal | None], *arguments: str | int) -> Principal | None:
        """What ``ask`` says, in one of the threads that are kept for such questions."""
        return await to_thread.run_sync(ask, *arguments, limiter=self._limiter)


class BodyOverLimit(HTTPException):
    """The body is over the limit; an HTTPException, for FastAPI turns any other error in a body into a 400."""

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(413, f"The body may have at most {max_body_bytes} bytes; send less, or in several requests.")


class Exchange:
    """One request and its answer: counts what is read, names the answer, and sees to the connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int) -> None:
        # Ours: a client's could be anything, or another request's. Not secret, and no call to the system.
        self.request_id = f"{random.getrandbits(128):032x}"
        self.headers = dict(reversed(scope["headers"]))  # the first of each name; such names are in lower case
        self.status: int | None = None
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self._read_bytes = 0
        self._unread = b"transfer-encoding" in self.headers or self.headers.get(b"content-length", b"0") != b"0"

    def check_declared_size(self) -> None:
        """Refuse a body whose Content-Length is over the limit; one that is not a number is left to the counting."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > self._max_body_bytes):
            raise BodyOverLimit(self._max_body_bytes)

    async def receive(self) -> Message:
        """The next piece of the body, as long as all of it together is within the limit."""
        if self._read_bytes > self._max_body_bytes:
            raise BodyOverLimit(self._max_body_bytes)
        message = await self._receive()
        if message["type"] == "http.request":
            self._read_bytes += len(message.get("body", b""))
            self._unread = message.get("more_body", False)
        if self._read_bytes > self._max_body_bytes:
            self._unread = True  # whatever the last piece was, this connection is not worth keeping
            raise BodyOverLimit(self._max_body_bytes)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; an answer given before the body was read closes the connection."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            message["headers"] = [*headers, (b"connection", b"close")] if self._unread else headers
        await self._send(message)


def presented_key(headers: Mapping[bytes, bytes]) -> str | None:
    """The key that a request carries, or None; ``Authorization: Bearer`` goes before ``X-API-Key``."""
    scheme, _, credentials = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    key = credentials if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
    key = key.strip()
    return key if key.isascii() and 0 < len(key) <= MAX_KEY_LENGTH else None
