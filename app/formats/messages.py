"""The messages of an Arrow stream: what is to be known of them before their buffers are unpacked.

Arrow's own reader takes the room that a packed buffer says it needs, whatever that is. So what the messages say is
added up first; where it stands is laid down by Arrow's ``Message.fbs`` and by FlatBuffers.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import Any

import numpy as np

from app.formats.refusals import refusal

MAX_MESSAGES = 20_000
MAX_METADATA_BYTES = 256 * 1024  # of one message; those of 53 columns take 20 KB
END = b"\xff\xff\xff\xff\0\0\0\0"
# The places of fields in their tables.
_MESSAGE_HEADER, _DICTIONARY_DATA, _BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 1, 2, 3


def check_messages(pa: Any, data: bytes, most_bytes: int) -> None:
    """Refuse a stream that is not whole, or that would take more than ``most_bytes`` unpacked.

    Raises:
        InputError: ``too_large``, ``bad_arrow``.
        pyarrow.ArrowException, ValueError, struct.error: it is no stream.
    """
    source, unpacked_bytes = pa.BufferReader(data), 0
    for count, part in enumerate(_messages(pa, source)):
        if count >= MAX_MESSAGES:
            raise refusal("too_large", f"the stream has over {MAX_MESSAGES} messages", "send fewer, larger batches")
        if part.metadata.size > MAX_METADATA_BYTES:
            message = f"the metadata of a message have over {MAX_METADATA_BYTES} bytes"
            raise refusal("too_large", message, "send fewer columns, and none of the tools' own metadata")
        if part.type in ("record batch", "dictionary"):
            unpacked_bytes += _unpacked_bytes(part)
        if unpacked_bytes > most_bytes:
            raise refusal("too_large", f"unpacked, the stream has over {most_bytes} bytes", "send fewer rows")
    end = source.tell()
    if data[:end][-len(END) :] != END:
        raise refusal("bad_arrow", "the stream breaks off: it has no end mark", "close the writer, and send all of it")
    if end < len(data):
        message = f"{len(data) - end} bytes follow the end of the stream"
        raise refusal("bad_arrow", message, "send one stream, its batches one after another")


def _messages(pa: Any, source: Any) -> Iterator[Any]:
    reader = pa.ipc.MessageReader.open_stream(source)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _unpacked_bytes(message: Any) -> int:
    """What the packed buffers of a message say they take unpacked; those that are not packed are in the body."""
    data, body = memoryview(message.metadata), memoryview(message.body)
    batch = _follow(data, _field(data, _follow(data, 0), _MESSAGE_HEADER))
    if message.type == "dictionary":
        batch = _follow(data, _field(data, batch, _DICTIONARY_DATA))
    if not _field(data, batch, _BATCH_COMPRESSION):
        return 0
    buffers = _follow(data, _field(data, batch, _BATCH_BUFFERS))
    (count,) = unpack_from("<I", data, buffers)
    places = np.frombuffer(data, "<i8", 2 * count, buffers + 4).reshape(-1, 2)
    # Before a packed buffer stands how long it is unpacked, or -1 where it was left as it is.
    return sum(max(unpack_from("<q", body, at)[0], 0) for at, length in places.tolist() if length >= 8)


def _field(data: memoryview, table: int, number: int) -> int:
    """Where a field of a table lies, 0 where it was left out."""
    offsets = table - unpack_from("<i", data, table)[0]
    slot = 4 + 2 * number
    if slot >= unpack_from("<H", data, offsets)[0]:
        return 0
    offset: int = unpack_from("<H", data, offsets + slot)[0]
    return table + offset if offset else 0


def _follow(data: memoryview, at: int) -> int:
    """What the reference at this place refers to."""
    place: int = at + unpack_from("<I", data, at)[0]
    return place
