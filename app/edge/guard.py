"""The guard in front of the service: it checks key, scope and size before it reads a byte of a request's body."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.access import SCOPE_OF, Access, Route, find_route, unlisted_access
from app.edge.drain import Drain
from app.edge.exchange import Exchange
from app.edge.key_cache import KeyCache
from app.edge.peer_pace import PeerPace
from app.edge.problem_json import drop_frames, log_fields, problem_response
from app.principal import REQUEST_ID, Principal, includes
from app.problems import Forbidden, TenantSuspended, Unauthorized, Unavailable, problem_type
from app.rates import ONE_REQUEST, RateLimiter
from app.telemetry import OTHER, Answered, RequestLog, Telemetry

logger = logging.getLogger(__name__)

KEY_ID = re.compile(r"fc_([a-z0-9]{8})_")  # the public part of a key
# Between two requests of one address beyond a burst: of probes, and of requests without a valid key.
PROBE_GAP_S, STRANGER_GAP_S, BURST = 0.001, 0.002, 20
MAX_KEY_LENGTH = 8_192  # of a token; a key has 55 characters
MAX_TOKEN_DIGITS = 9  # of a fencing token


class Credentials(NamedTuple):
    """Look-ups of senders, which may block; each returns None for credentials that are not valid.

    ``of_key`` returns the owner of an API key, ``of_attempt`` that of the secret of an attempt, given the job and the
    fencing token.
    """

    of_key: Callable[[str], Principal | None]
    of_attempt: Callable[[str, int, str], Principal | None]


class Guard:
    """ASGI middleware around the whole service: it refuses by default, before it reads anything.

    It puts ``principal`` (None on a public route) and ``request_id`` into the state of each request that it passes on,
    and takes ``problem`` from it, the code of the error that was answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        credentials: Credentials,
        limiter: RateLimiter,
        max_body_bytes: int,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.keys = KeyCache(credentials.of_key, clock)
        self.attempts = credentials.of_attempt
        self.limiter = limiter
        self.max_body_bytes = max_body_bytes
        self.telemetry = telemetry
        self.log = RequestLog(logger)
        self.clock = clock
        self.drain = Drain()
        self.probes, self.strangers = PeerPace(PROBE_GAP_S, BURST), PeerPace(STRANGER_GAP_S, BURST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            RuntimeError: a protocol other than HTTP, WebSocket (which is refused) and lifespan.
        """
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            raise RuntimeError(f"no such protocol is served here: {scope['type']}")
        began_s, method = self.clock(), scope["method"]
        exchange, route = (
            Exchange(scope, receive, send, self.max_body_bytes, self.drain),
            find_route(method, scope["path"]),
        )
        self.drain.add(exchange)
        REQUEST_ID.set(exchange.request_id)
        principal: Principal | None = None
        # A copy: the server shares one state between all requests.
        state: dict[str, Any] = {**scope.get("state", {}), "request_id": exchange.request_id}
        try:
            principal = await self._principal(route, scope, exchange.headers)
            if principal is not None:
                access = unlisted_access(method, scope["path"]) if route is None else route.access
                check_scope(access, principal)
                self._charge(access, principal, exchange)
            exchange.check_declared_size()
            state["principal"] = principal
            await self.app({**scope, "state": state}, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if not self.drain.is_stopping or exchange.status is not None:
                raise
            error = Unavailable("the service is being stopped; try again in a few seconds")
            state["problem"] = await self._refuse(scope, exchange, error)
        except Exception as error:
            state["problem"] = await self._refuse(scope, exchange, error)
        finally:
            self.drain.remove(exchange)
            if exchange.status is not None:  # None: cancelled before there was an answer
                template = OTHER if route is None else route.template
                seconds = self.clock() - began_s
                self.telemetry.request_answered(method, template, exchange.status, seconds)
                if "problem" in state:
                    self.telemetry.problem_answered(state["problem"])
                sender = sender_fields(scope, principal, exchange.headers)
                self.log.add(Answered(method, template, exchange.status, exchange.request_id, seconds, sender))

    async def _principal(self, route: Route | None, scope: Scope, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Return the sender of the request, None on a public route.

        Raises:
            Unauthorized: no valid key, or no valid secret of the attempt in the path.
            TenantSuspended: the tenant of the key is suspended.
        """
        access, peer = None if route is None else route.access, peer_of(scope)
        if access is Access.PUBLIC:
            await self.probes.wait(peer)
            return None
        key, principal = presented_key(headers), None
        if access is Access.ATTEMPT:
            job_id, token = scope["path"].split("/")[4:6]
            if key is not None and token.isdecimal() and len(token) <= MAX_TOKEN_DIGITS:
                # Not cached: the attempt may have lost its job this very moment.
                principal = await self.keys.run(self.attempts, job_id, int(token), key)
            if principal is None:
                raise Unauthorized(
                    "Send the secret of an attempt that has its job as 'Authorization: Bearer <secret>'."
                )
            return principal
        principal = None if key is None else self.keys.find(key)
        if principal is None:
            if key is None or not self.keys.knows(key):
                await self.strangers.wait(peer)
            principal = None if key is None else await self.keys.look_up(key)
        if principal is None:
            raise Unauthorized("Send a valid API key as 'Authorization: Bearer <key>' or as 'X-API-Key: <key>'.")
        if principal.is_suspended:
            raise TenantSuspended("The tenant of this key is suspended; ask the operator of the service to resume it.")
        return principal

    def _charge(self, access: Access, principal: Principal, exchange: Exchange) -> None:
        """Take the request from the rates of its sender, and show these in the answer. Raise RateExceeded."""
        if access is not Access.ATTEMPT:  # the reports of workers are no use of the service
            exchange.add_headers = partial(self.limiter.headers, principal)
            self.limiter.take(principal, ONE_REQUEST)

    async def _refuse(self, scope: Scope, exchange: Exchange, error: Exception) -> str:
        """Answer the request with ``error``, unless its answer has begun, and return the code of the error.

        Errors of the service itself are logged.
        """
        response = problem_response(error, exchange.request_id, scope["path"])
        if response.status_code >= 500:
            extra = log_fields(error, exchange.request_id)
            if problem_type(error) is None:
                logger.error("unexpected error", exc_info=error, extra=extra)
            else:
                logger.error("%s: %s", type(error).__name__, error, extra=extra)
        drop_frames(error)
        if exchange.status is None:
            await response(scope, exchange.receive, exchange.send)
        return response.code


def check_scope(access: Access, principal: Principal) -> None:
    """Refuse a caller whose key does not allow what the route needs.

    Raises:
        Forbidden: with the scope that is needed and the one of the key.
    """
    needed = SCOPE_OF.get(access)  # None: the secret of an attempt has been checked against the path
    if needed is not None and not includes(principal.scope, needed):
        raise Forbidden(f"This needs a key with the scope '{needed}'; the key sent has the scope '{principal.scope}'.")


def peer_of(scope: Scope) -> str:
    """Return the address of the client, an empty text if the server does not know it."""
    client = scope.get("client")
    return client[0] if client else ""


def sender_fields(scope: Scope, principal: Principal | None, headers: Mapping[bytes, bytes]) -> dict[str, str | int]:
    """Return the sender of a request as fields of a log line: tenant and key if they are known, and the peer's address.

    Of a key that was refused the line has its public id, if it has the form of a key.
    """
    fields: dict[str, str | int] = {}
    if principal is not None:
        fields = {"tenant": principal.tenant_id, "key": principal.key_id}
    elif (presented := KEY_ID.match(presented_key(headers) or "")) is not None:
        fields = {"key": presented[1]}
    if peer := peer_of(scope):
        fields["peer"] = peer
    return fields


def presented_key(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the key of a request, or None; ``Authorization: Bearer`` goes before ``X-API-Key``."""
    scheme, _, credentials = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    key = credentials if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
    key = key.strip()
    return key if key.isascii() and 0 < len(key) <= MAX_KEY_LENGTH else None
