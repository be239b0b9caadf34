"""``NAME=VALUE``, as it is written on a command line."""

import json
from collections.abc import Sequence
from typing import Any

from app.formats.refusals import refusal
from models.errors import excerpt


def parse_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """``["horizon=24", "cell=lstm"]`` as ``{"horizon": 24, "cell": "lstm"}``; values are JSON where they can be.

    Raises:
        InputError: a pair without ``=``.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found:
            raise refusal("bad_pair", f"{excerpt(pair)} is not NAME=VALUE", "write for example horizon=24")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
