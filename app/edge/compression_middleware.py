"""ASGI middleware that decompresses request bodies as they are read and compresses answers as they are sent."""

from functools import lru_cache

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.compression import COMPRESSORS, DECOMPRESSORS, BadCompressedData, Compress, Decompressor
from app.edge.content_negotiation import coding_for

MIN_BYTES = 1024  # compression of shorter answers would hardly save time
# Compressed in the event loop: a thread would cost more (0.1 ms). Larger pieces must not delay other requests.
INLINE_BYTES = 32 * 1024
PIECE_BYTES = 1024**2
THREADS = 2
COMPRESSIBLE = ("application/json", "application/problem+json", "application/x-ndjson", "application/vnd.apache.arrow.")
_HEADERS_OF_COMPRESSED = (b"content-encoding", b"content-length")


class CompressionMiddleware:
    """ASGI middleware between the guard and the service; the service reads and sends uncompressed bodies.

    ``max_body_bytes`` limits the decompressed size of a body; the guard limits the size on the wire.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.limiter = CapacityLimiter(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            HTTPException: 415 if the body has an unsupported coding, 406 if the client accepts no supported one.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepted = content_encoding = None
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted = value if accepted is None else accepted + b"," + value
            elif name == b"content-encoding":
                content_encoding = value if content_encoding is None else content_encoding + b"," + value
        if content_encoding is not None and (coding := _coding_of(content_encoding)) is not None:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in _HEADERS_OF_COMPRESSED]}
            receive = DecompressedRequest(receive, coding, self.max_body_bytes, self.limiter).receive
        chosen, must_compress = (None, False) if accepted is None else coding_for(accepted)
        if must_compress and chosen is None:
            raise HTTPException(
                406, f"Answers are compressed with {' or '.join(COMPRESSORS)}, or not at all; accept one of these."
            )
        await self.app(scope, receive, CompressedResponse(send, chosen, must_compress, self.limiter).send)


class DecompressedRequest:
    """Compressed request body; ``receive`` decompresses one piece at each call."""

    def __init__(self, receive: Receive, coding: str, max_body_bytes: int, limiter: CapacityLimiter) -> None:
        self._receive, self._coding, self._limiter = receive, coding, limiter
        self._max_body_bytes = max_body_bytes
        self._decompressor = Decompressor(coding)
        self._decompressed_bytes = 0
        self._is_received = False  # the whole compressed body
        self._is_read = False  # the whole decompressed body

    async def receive(self) -> Message:
        """Return the next piece of the body; after the last one, the next message of the server.

        Raises:
            HTTPException: 413 for a body over the limit, and the rest is not decompressed; 400 for a body that is
                damaged, cut short, or followed by other bytes.
        """
        if self._is_read:
            return await self._receive()
        piece = await self._decompress()
        while not piece and not self._is_received:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._decompressor.feed(message.get("body", b""))
            self._is_received = not message.get("more_body", False)
            piece = await self._decompress()
        self._is_read = self._is_received and self._decompressor.is_empty
        if not piece and not self._is_read:
            raise HTTPException(400, f"The body ends before its {self._coding} data are complete; send all of it.")
        return {"type": "http.request", "body": piece, "more_body": not self._is_read}

    async def _decompress(self) -> bytes:
        is_large = self._decompressed_bytes >= INLINE_BYTES
        # One byte over the limit is enough to refuse the body.
        left = self._max_body_bytes + 1 - self._decompressed_bytes
        max_bytes, piece = min(left, PIECE_BYTES if is_large else INLINE_BYTES), b""
        try:
            if is_large and left:
                piece = await to_thread.run_sync(self._decompressor.read, max_bytes, limiter=self._limiter)
            elif left:
                piece = self._decompressor.read(max_bytes)
        except BadCompressedData as error:
            raise HTTPException(
                400, f"The body cannot be decompressed as its Content-Encoding states: {error}."
            ) from error
        self._decompressed_bytes += len(piece)
        if self._decompressed_bytes > self._max_body_bytes:
            raise HTTPException(413, f"The decompressed body may have at most {self._max_body_bytes} bytes; send less.")
        return piece


class CompressedResponse:
    """Answer that is compressed as it is sent.

    Its head is held back until the first piece of the body, because the size of that decides about compression. Each
    piece of a streamed answer can be decompressed on arrival.
    """

    __slots__ = ("_coding", "_compress_piece", "_head", "_limiter", "_must_compress", "_send")

    def __init__(self, send: Send, coding: str | None, must_compress: bool, limiter: CapacityLimiter) -> None:
        self._send, self._coding, self._must_compress, self._limiter = send, coding, must_compress, limiter
        self._head: Message | None = None
        self._compress_piece: Compress | None = None

    async def send(self, message: Message) -> None:
        """Send a piece of the answer."""
        if message["type"] == "http.response.start" and _is_compressible(message):
            self._head = message
            return
        if self._head is not None:
            head, self._head = self._head, None
            message = await self._begin(head, message)
            await self._send(head)
        elif self._compress_piece is not None:
            message = await self._compressed(self._compress_piece, message)
        await self._send(message)

    async def _begin(self, head: Message, first: Message) -> Message:
        """Return the first piece, compressed if that is worth it, and set the headers of ``head`` to match."""
        size_bytes, streams = len(first.get("body", b"")), first.get("more_body", False)
        if not streams and (size_bytes == 0 or (size_bytes < MIN_BYTES and not self._must_compress)):
            return first
        headers = [*head["headers"], (b"vary", b"Accept-Encoding")]
        if self._coding is not None:
            compress = COMPRESSORS[self._coding](streams)
            first = await self._compressed(compress, first)
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            headers.append((b"content-encoding", self._coding.encode()))
            if streams:
                self._compress_piece = compress
            else:
                headers.append((b"content-length", str(len(first["body"])).encode()))
        head["headers"] = headers
        return first

    async def _compressed(self, compress: Compress, message: Message) -> Message:
        data, is_last = message.get("body", b""), not message.get("more_body", False)
        if len(data) > INLINE_BYTES:
            data = await to_thread.run_sync(compress, data, is_last, limiter=self._limiter)
        elif data or is_last:
            data = compress(data, is_last)
        return {**message, "body": data}


def _coding_of(content_encoding: bytes) -> str | None:
    """Return the coding of a body; None if it is not compressed.

    Raises:
        HTTPException: 415 for another coding; its header ``Accept-Encoding`` lists the supported ones (RFC 9110,
            15.5.16).
    """
    name = content_encoding.decode("latin-1").strip().lower().removeprefix("x-")
    if name in ("", "identity"):
        return None
    if name not in DECOMPRESSORS:
        names = " or ".join(DECOMPRESSORS)
        detail = f"The Content-Encoding of the body is not supported; use {names}, or send it uncompressed."
        raise HTTPException(415, detail, {"Accept-Encoding": ", ".join(DECOMPRESSORS)})
    return name


def _is_compressible(head: Message) -> bool:
    media_type = b""
    for name, value in head.get("headers", ()):
        if name == b"content-encoding":
            return False
        if name == b"content-type":
            media_type = value
    return head["status"] != 206 and _compresses_well(media_type)


@lru_cache(maxsize=64)
def _compresses_well(content_type: bytes) -> bool:
    media_type = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    return media_type.startswith(("text/", *COMPRESSIBLE))
