"""Compressed bodies: requests are decompressed as they are read, answers compressed as they are sent."""

from functools import lru_cache

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.compression import PACKERS, UNPACKERS, BadPacking, Pack, Unpacker
from app.edge.content_negotiation import coding_for

MIN_BYTES = 1024  # shorter answers would hardly arrive sooner
# A body that takes less time than a thread switch (0.1 ms); larger ones must not delay other requests.
INLINE_BYTES = 32 * 1024
PIECE_BYTES = 1024**2
THREADS = 2
PACKABLE = ("application/json", "application/problem+json", "application/x-ndjson", "application/vnd.apache.arrow.")
_OF_WHAT_IS_PACKED = (b"content-encoding", b"content-length")


class Encoding:
    """ASGI middleware between the guard and the service, which sees only plain bodies.

    ``max_body_bytes`` is the limit of a decompressed body; the guard limits the body as it was sent.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.limiter = CapacityLimiter(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            HTTPException: 415 for a body in an unknown coding, 406 if the client accepts no coding of the answer.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepted = packed = None
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted = value if accepted is None else accepted + b"," + value
            elif name == b"content-encoding":
                packed = value if packed is None else packed + b"," + value
        if packed is not None and (coding := _coding_of(packed)) is not None:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in _OF_WHAT_IS_PACKED]}
            receive = Unpacking(receive, coding, self.max_body_bytes, self.limiter).receive
        wanted, must = (None, False) if accepted is None else coding_for(accepted)
        if must and wanted is None:
            raise HTTPException(406, f"Answers can be had in {' or '.join(PACKERS)}, or as they are.")
        await self.app(scope, receive, Packing(send, wanted, must, self.limiter).send)


class Unpacking:
    """Reader of a compressed body; each piece is decompressed when it is requested."""

    def __init__(self, receive: Receive, coding: str, max_body_bytes: int, limiter: CapacityLimiter) -> None:
        self._receive, self._coding, self._limiter = receive, coding, limiter
        self._max_body_bytes = max_body_bytes
        self._unpacker = Unpacker(coding)
        self._unpacked_bytes = 0
        self._has_come = False  # all of it, packed
        self._is_read = False  # all of it, unpacked

    async def receive(self) -> Message:
        """Return the next piece of the body; after the last one, the next message of the server.

        Raises:
            HTTPException: 413 for a body over the limit, of which no more is decompressed; 400 for one that is damaged,
                cut short, or followed by something else.
        """
        if self._is_read:
            return await self._receive()
        piece = await self._unpack()
        while not piece and not self._has_come:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._unpacker.feed(message.get("body", b""))
            self._has_come = not message.get("more_body", False)
            piece = await self._unpack()
        self._is_read = self._has_come and self._unpacker.is_empty
        if not piece and not self._is_read:
            raise HTTPException(400, f"The body ends before its {self._coding} does; send all of it.")
        return {"type": "http.request", "body": piece, "more_body": not self._is_read}

    async def _unpack(self) -> bytes:
        is_large = self._unpacked_bytes >= INLINE_BYTES
        # One byte over the limit is enough to refuse the body.
        left = self._max_body_bytes + 1 - self._unpacked_bytes
        most, piece = min(left, PIECE_BYTES if is_large else INLINE_BYTES), b""
        try:
            if is_large and left:
                piece = await to_thread.run_sync(self._unpacker.read, most, limiter=self._limiter)
            elif left:
                piece = self._unpacker.read(most)
        except BadPacking as error:
            raise HTTPException(400, f"The body cannot be unpacked by its Content-Encoding: {error}.") from error
        self._unpacked_bytes += len(piece)
        if self._unpacked_bytes > self._max_body_bytes:
            raise HTTPException(413, f"Unpacked, the body may have at most {self._max_body_bytes} bytes; send less.")
        return piece


class Packing:
    """Writer of an answer; its head waits for the first piece of the body, whose size decides about compression.

    Each piece of a stream is flushed, so that the client can decompress everything that it has received.
    """

    __slots__ = ("_coding", "_head", "_limiter", "_must", "_pack", "_send")

    def __init__(self, send: Send, coding: str | None, must: bool, limiter: CapacityLimiter) -> None:
        self._send, self._coding, self._must, self._limiter = send, coding, must, limiter
        self._head: Message | None = None
        self._pack: Pack | None = None

    async def send(self, message: Message) -> None:
        """Send a piece of the answer."""
        if message["type"] == "http.response.start" and _is_packable(message):
            self._head = message
            return
        if self._head is not None:
            head, self._head = self._head, None
            message = await self._begin(head, message)
            await self._send(head)
        elif self._pack is not None:
            message = await self._packed(self._pack, message)
        await self._send(message)

    async def _begin(self, head: Message, first: Message) -> Message:
        """Return the first piece as it is sent, and add the coding of the body to ``head``."""
        size_bytes, streams = len(first.get("body", b"")), first.get("more_body", False)
        if not streams and (size_bytes == 0 or (size_bytes < MIN_BYTES and not self._must)):
            return first
        headers = [*head["headers"], (b"vary", b"Accept-Encoding")]
        if self._coding is not None:
            pack = PACKERS[self._coding](streams)
            first = await self._packed(pack, first)
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            headers.append((b"content-encoding", self._coding.encode()))
            if streams:
                self._pack = pack
            else:
                headers.append((b"content-length", str(len(first["body"])).encode()))
        head["headers"] = headers
        return first

    async def _packed(self, pack: Pack, message: Message) -> Message:
        data, is_last = message.get("body", b""), not message.get("more_body", False)
        if len(data) > INLINE_BYTES:
            data = await to_thread.run_sync(pack, data, is_last, limiter=self._limiter)
        elif data or is_last:
            data = pack(data, is_last)
        return {**message, "body": data}


def _coding_of(content_encoding: bytes) -> str | None:
    """Return the coding of a body, None if it has none.

    Raises:
        HTTPException: 415, with the known codings in ``Accept-Encoding`` (RFC 9110, 15.5.16).
    """
    name = content_encoding.decode("latin-1").strip().lower().removeprefix("x-")
    if name in ("", "identity"):
        return None
    if name not in UNPACKERS:
        detail = (
            f"The body has a Content-Encoding that is not read here; send it as it is, or as {' or '.join(UNPACKERS)}."
        )
        raise HTTPException(415, detail, {"Accept-Encoding": ", ".join(UNPACKERS)})
    return name


def _is_packable(head: Message) -> bool:
    media_type = b""
    for name, value in head.get("headers", ()):
        if name == b"content-encoding":
            return False
        if name == b"content-type":
            media_type = value
    return head["status"] != 206 and _packs_well(media_type)


@lru_cache(maxsize=64)
def _packs_well(content_type: bytes) -> bool:
    media_type = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    return media_type.startswith(("text/", *PACKABLE))
