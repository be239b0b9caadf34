"""A JSON header and raw arrays as bytes: the container of bundles and of data set chunks.

Layout: magic (8 bytes), length of the header (8 bytes, little endian), header (JSON, UTF-8), then each array's bytes in
C order and little endian. The header's ``arrays`` lists name, dtype and shape in the order in which they follow.
It contains no code, and every length is checked before it is used.
"""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import BundleError, excerpt
from models.types import JsonObject

MAGIC = b"FCASTLE1"
MAX_AXES = 8
_DTYPES = ("<f4", "<f8", "<i8")
NamedArrays = dict[str, NDArray[Any]]


def pack(header: JsonObject, arrays: NamedArrays) -> bytes:
    """Return ``header`` (JSON values) and ``arrays`` (float32, float64 or int64) as bytes; equal input, equal bytes."""
    parts = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    listing = [{"name": name, "dtype": part.dtype.str, "shape": list(part.shape)} for name, part in parts.items()]
    for entry in listing:
        if entry["dtype"] not in _DTYPES:
            raise BundleError(
                f"array '{entry['name']}' has dtype {entry['dtype']}; only {', '.join(_DTYPES)} can be stored"
            )
    text = json.dumps({**header, "arrays": listing}, allow_nan=False, sort_keys=True).encode()
    return b"".join([MAGIC, len(text).to_bytes(8, "little"), text, *(part.tobytes() for part in parts.values())])


def unpack(data: bytes) -> tuple[JsonObject, NamedArrays]:
    """Return the header and the arrays (read-only views of ``data``) that ``pack`` wrote.

    Raises:
        BundleError: the bytes are truncated, too long, or not in this format.
    """
    if data[:8] != MAGIC:
        raise BundleError(f"the bytes begin with {excerpt(data[:8])}, not with {MAGIC!r}: not a Forecastle container")
    start = 16 + int.from_bytes(data[8:16], "little")
    if start > len(data):
        raise BundleError(f"the header should end at byte {start}, but there are only {len(data)} bytes")
    try:
        header = json.loads(data[16:start])
        listing = [(str(e["name"]), str(e["dtype"]), tuple(map(int, e["shape"]))) for e in header.pop("arrays")]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BundleError("the header is not JSON with a list of arrays") from error
    arrays: NamedArrays = {}
    for name, dtype, shape in listing:
        arrays[name], start = _read_array(data, start, name, dtype, shape)
    if start != len(data):
        raise BundleError(f"{len(data) - start} bytes are left over after the last array")
    return header, arrays


def _read_array(data: bytes, start: int, name: str, dtype: str, shape: tuple[int, ...]) -> tuple[NDArray[Any], int]:
    if dtype not in _DTYPES or len(shape) > MAX_AXES or not all(0 <= size <= len(data) for size in shape):
        raise BundleError(
            f"array {excerpt(name)} has dtype {excerpt(dtype)}, shape {excerpt(shape)}, which cannot be stored"
        )
    count = math.prod(shape)
    end = start + count * np.dtype(dtype).itemsize
    if end > len(data):
        raise BundleError(f"array {excerpt(name)} should end at byte {end}, but there are only {len(data)} bytes")
    return np.frombuffer(data, dtype, count, start).reshape(shape), end
