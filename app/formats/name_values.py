"""Parser of ``NAME=VALUE`` arguments of the command line."""

import json
from collections.abc import Sequence

from app.formats.errors import refusal
from models.errors import excerpt


def parse_pairs(pairs: Sequence[str]) -> dict[str, object]:
    """Parse ``["horizon=24", "cell=lstm"]`` to ``{"horizon": 24, "cell": "lstm"}``; a value that is not JSON is text.

    Raises:
        InputError: a pair has no ``=``.
    """
    values: dict[str, object] = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found:
            raise refusal("bad_pair", f"{excerpt(pair)} is not NAME=VALUE", "write for example horizon=24")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
