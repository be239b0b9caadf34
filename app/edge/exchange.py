"""One request and its answer, as the guard passes them on: the bytes read are counted, the answer gets an id."""

import random
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from app.edge.drain import Drain
from app.rates import Headers

# An answer belongs to the owner of one key: no cache keeps it, and no browser guesses another type for it.
SAFE_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class BodyOverLimit(HTTPException):
    """The body is over the limit; an HTTPException, because FastAPI turns any other error in a body into a 400."""

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(413, f"The body may have at most {max_body_bytes} bytes; send less, or in several requests.")


class Exchange:
    """One request and its answer: it counts the bytes read and adds the request's id to the answer."""

    __slots__ = (
        "_drain",
        "_max_body_bytes",
        "_read_bytes",
        "_receive",
        "_send",
        "_unread",
        "add_headers",
        "headers",
        "request_id",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int, drain: Drain) -> None:
        # Our own: a client's could be anything, or that of another request. Not secret, and no system call.
        self.request_id = f"{random.getrandbits(128):032x}"
        self.headers = dict(reversed(scope["headers"]))  # the first of each name; ASGI's names are in lower case
        self.status: int | None = None
        self.add_headers: Callable[[], Headers] = list  # to the answer; called when it begins
        self._receive = receive
        self._send = send
        self._max_body_bytes, self._drain = max_body_bytes, drain
        self._read_bytes = 0
        self._unread = b"transfer-encoding" in self.headers or self.headers.get(b"content-length", b"0") != b"0"

    @property
    def awaits_body(self) -> bool:
        """Return whether the client has still to send some of the body, and no answer has begun."""
        return self._unread and self.status is None

    def check_declared_size(self) -> None:
        """Refuse a body whose Content-Length is over the limit; a Content-Length that is no number is ignored.

        Raises:
            BodyOverLimit: the declared size is too large.
        """
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > self._max_body_bytes):
            raise BodyOverLimit(self._max_body_bytes)

    async def receive(self) -> Message:
        """Return the next piece of the body.

        Raises:
            BodyOverLimit: the body read so far is over the limit.
        """
        if self._read_bytes > self._max_body_bytes:
            raise BodyOverLimit(self._max_body_bytes)
        message = await self._receive()
        if message["type"] == "http.request":
            self._read_bytes += len(message.get("body", b""))
            self._unread = message.get("more_body", False)
        if self._read_bytes > self._max_body_bytes:
            self._unread = True  # close the connection, even if this was the last piece
            raise BodyOverLimit(self._max_body_bytes)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; it closes the connection if the body is unread or the service stops."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (b"x-request-id", self.request_id.encode())
            headers = [*message.get("headers", ()), own, *SAFE_HEADERS, *self.add_headers()]
            is_last = self._unread or self._drain.is_stopping
            message["headers"] = [*headers, (b"connection", b"close")] if is_last else headers
        await self._send(message)
