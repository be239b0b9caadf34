"""The values of a job as they are sent between the service and a process elsewhere.

An outcome is 8 bytes that say how long its JSON is (little endian), the JSON, and the bytes of the version, if any.
"""

import json
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.store.outcomes import Outcome
from models.errors import BundleError, Fault, InputError
from models.forecasting import bundle

MAX_JSON_BYTES = 16 * 1024**2


def outcome_to_bytes(outcome: Outcome) -> bytes:
    """``outcome`` as bytes."""
    values = asdict(outcome)
    version = values["version"]
    made: bytes = b"" if version is None else version.pop("bundle")
    text = json.dumps(values, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, made])


def outcome_from_bytes(data: bytes) -> Outcome:
    """What ``outcome_to_bytes`` was given. Raise InputError for other bytes, and for a version that is no bundle."""
    end = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or end > len(data) or end > MAX_JSON_BYTES:
        raise _refused(f"{len(data)} bytes that should begin with {end - 8} bytes of JSON")
    try:
        values: Any = json.loads(data[8:end], parse_constant=_no_number)
        if isinstance(values, dict) and isinstance(values.get("version"), dict):
            values["version"]["bundle"] = data[end:]
        elif end != len(data):
            raise _refused("bytes of a version that is not described")
        outcome = TypeAdapter(Outcome).validate_python(values)
        if outcome.version is not None:
            bundle.from_bytes(outcome.version.bundle)  # what cannot be served is not registered
    except (ValidationError, ValueError, RecursionError, BundleError) as error:
        raise _refused(f"an outcome that cannot be read: {error}") from error
    return outcome


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refused(message: str) -> InputError:
    return InputError([Fault(code="bad_outcome", message=message[:300], hint="send what this release's runner sends")])
