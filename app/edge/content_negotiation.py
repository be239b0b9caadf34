"""Choice of an answer's format and coding by ``Accept`` and ``Accept-Encoding`` with weights (RFC 9110, 12.5)."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

# Longer headers are ignored: no ordinary client sends one.
MAX_HEADER_LENGTH = 1_000
CODINGS = ("zstd", "gzip")  # the preferred one first
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


@lru_cache(maxsize=256)
def coding_for(accept_encoding: bytes) -> tuple[str | None, bool]:
    """Return the coding of the answer (None: uncompressed), and whether an uncompressed answer is not acceptable."""
    given = weights(accept_encoding.decode("latin-1"))
    rest = given.get("*")
    plain = given.get("identity", rest)
    values = {name: given.get(name, given.get(f"x-{name}", rest or 0.0)) for name in CODINGS}
    best = max(CODINGS, key=lambda name: values[name])
    is_compressed = values[best] > 0 and values[best] >= (plain or 0.0)
    return (best if is_compressed else None), plain == 0


@lru_cache(maxsize=256)
def media_type_for(accept: str, offered: Sequence[str]) -> str | None:
    """Return the media type of ``offered`` (the default first) that ``accept`` prefers; None if it accepts none."""
    given = weights(accept)
    if not given:
        return offered[0]
    best = max(offered, key=lambda name: _weight_of(name, given))
    return best if _weight_of(best, given) > 0 else None


def weights(header: str) -> dict[str, float]:
    """Return the names in ``header``, in lower case and without parameters, each with its weight from 0 to 1.

    A name with an invalid weight is left out. If a name occurs twice, the higher weight counts.
    """
    found: dict[str, float] = {}
    for part in header.split(",") if len(header) <= MAX_HEADER_LENGTH else ():
        name, _, parameters = part.partition(";")
        weight, key = _weight(parameters), name.strip().lower()
        if key and weight is not None:
            found[key] = max(found.get(key, 0.0), weight)
    return found


def _weight(parameters: str) -> float | None:
    """Return the weight among ``a=b;q=0.5``: 1 if there is none, None if it is not valid."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else None
    return 1.0


def _weight_of(media_type: str, given: Mapping[str, float]) -> float:
    ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")
    return next((given[name] for name in ranges if name in given), 0.0)
