"""Content negotiation: ``Accept`` and ``Accept-Encoding`` with their weights (RFC 9110, 12.5)."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

# No real client sends longer ones.
LONGEST_HEADER = 1_000
CODINGS = ("zstd", "gzip")  # the better one first
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


@lru_cache(maxsize=256)
def coding_for(accept_encoding: bytes) -> tuple[str | None, bool]:
    """Return the coding of the answer (None for a plain one), and whether a plain answer is not accepted."""
    said = weights(accept_encoding.decode("latin-1"))
    rest = said.get("*")
    plain = said.get("identity", rest)
    values = {name: said.get(name, said.get(f"x-{name}", rest or 0.0)) for name in CODINGS}
    best = max(CODINGS, key=lambda name: values[name])
    wanted = values[best] > 0 and values[best] >= (plain or 0.0)
    return (best if wanted else None), plain == 0


@lru_cache(maxsize=256)
def media_type_for(accept: str, offered: Sequence[str]) -> str | None:
    """Return the one of ``offered`` (the default first) with the highest weight in ``accept``, None if it has none."""
    said = weights(accept)
    if not said:
        return offered[0]
    best = max(offered, key=lambda name: _weight_of(name, said))
    return best if _weight_of(best, said) > 0 else None


def weights(header: str) -> dict[str, float]:
    """Return the names in ``header``, in lower case and without parameters, each with its weight from 0 to 1.

    One whose weight cannot be read is left out; of one that comes twice the higher weight counts.
    """
    said: dict[str, float] = {}
    for part in header.split(",") if len(header) <= LONGEST_HEADER else ():
        name, _, parameters = part.partition(";")
        weight, key = _weight(parameters), name.strip().lower()
        if key and weight is not None:
            said[key] = max(said.get(key, 0.0), weight)
    return said


def _weight(parameters: str) -> float | None:
    """Return the weight among parameters such as ``a=b;q=0.5``, 1 if there is none; None if it is malformed."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else None
    return 1.0


def _weight_of(media_type: str, said: Mapping[str, float]) -> float:
    ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")
    return next((said[name] for name in ranges if name in said), 0.0)
