"""Checks of the messages of an Arrow stream before their buffers are decompressed.

Arrow's reader allocates the size that a compressed buffer declares, however large. So the declared sizes are added up
first; Arrow's ``Message.fbs`` and FlatBuffers define their positions.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import Any

import numpy as np

from app.formats.errors import refusal

MAX_MESSAGES = 20_000
MAX_METADATA_BYTES = 256 * 1024  # of one message; the metadata of 53 columns take 20 KB
END = b"\xff\xff\xff\xff\0\0\0\0"
# Positions of fields in their FlatBuffers tables.
_MESSAGE_HEADER, _DICTIONARY_DATA, _BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 1, 2, 3


def check_messages(pa: Any, data: bytes, max_bytes: int) -> None:
    """Refuse a stream that is truncated, or larger than ``max_bytes`` once decompressed.

    Raises:
        InputError: ``too_large``, ``bad_arrow``.
        pyarrow.ArrowException, ValueError, struct.error: the bytes are not an Arrow stream.
    """
    source, unpacked_bytes = pa.BufferReader(data), 0
    for count, part in enumerate(_messages(pa, source)):
        if count >= MAX_MESSAGES:
            raise refusal("too_large", f"the stream has over {MAX_MESSAGES} messages", "send fewer, larger batches")
        if part.metadata.size > MAX_METADATA_BYTES:
            message = f"the metadata of one message have over {MAX_METADATA_BYTES} bytes"
            raise refusal("too_large", message, "send fewer columns, without metadata added by tools")
        if part.type in ("record batch", "dictionary"):
            unpacked_bytes += _unpacked_bytes(part)
        if unpacked_bytes > max_bytes:
            raise refusal("too_large", f"the decompressed stream has over {max_bytes} bytes", "send fewer rows")
    end = source.tell()
    if data[:end][-len(END) :] != END:
        raise refusal(
            "bad_arrow", "the stream is truncated: it has no end marker", "close the writer and send the whole stream"
        )
    if end < len(data):
        message = f"{len(data) - end} bytes follow the end of the stream"
        raise refusal("bad_arrow", message, "send one stream with all batches")


def _messages(pa: Any, source: Any) -> Iterator[Any]:
    reader = pa.ipc.MessageReader.open_stream(source)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _unpacked_bytes(message: Any) -> int:
    """Return the declared decompressed bytes of the compressed buffers of a message."""
    data, body = memoryview(message.metadata), memoryview(message.body)
    batch = _follow(data, _field(data, _follow(data, 0), _MESSAGE_HEADER))
    if message.type == "dictionary":
        batch = _follow(data, _field(data, batch, _DICTIONARY_DATA))
    if not _field(data, batch, _BATCH_COMPRESSION):
        return 0
    buffers = _follow(data, _field(data, batch, _BATCH_BUFFERS))
    (count,) = unpack_from("<I", data, buffers)
    spans = np.frombuffer(data, "<i8", 2 * count, buffers + 4).reshape(-1, 2)
    # A compressed buffer begins with its decompressed length, or -1 if it was stored uncompressed.
    return sum(max(unpack_from("<q", body, at)[0], 0) for at, length in spans.tolist() if length >= 8)


def _field(data: memoryview, table: int, number: int) -> int:
    """Return the position of a field of a FlatBuffers table, or 0 if the field is absent."""
    offsets = table - unpack_from("<i", data, table)[0]
    slot = 4 + 2 * number
    if slot >= unpack_from("<H", data, offsets)[0]:
        return 0
    offset: int = unpack_from("<H", data, offsets + slot)[0]
    return table + offset if offset else 0


def _follow(data: memoryview, at: int) -> int:
    """Return the position that the reference at ``at`` points to."""
    target: int = at + unpack_from("<I", data, at)[0]
    return target
