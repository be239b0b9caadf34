"""Outcomes of jobs as bytes, sent from a process without a database to the service.

An outcome is the length of its JSON in 8 bytes (little endian), the JSON, and the bytes of the version, if any.
"""

import json
from dataclasses import asdict

from pydantic import BaseModel, ValidationError

from app.store.outcomes import Candidate, Outcome, Ruling
from models.errors import BundleError, Fault, InputError, SpecError
from models.forecasting import bundle
from models.json_types import JsonObject
from models.network.spec import Spec
from models.training.report import VersionReport

MAX_JSON_BYTES = 16 * 1024**2


class _Version(BaseModel):
    spec: JsonObject
    scores: JsonObject
    skill: float | None
    data_sha256: str | None
    ruling: Ruling


class _Message(BaseModel):
    result: JsonObject
    version: _Version | None
    ruling: Ruling | None = None  # of a job that made no version


def outcome_to_bytes(outcome: Outcome) -> bytes:
    """Return ``outcome`` as bytes."""
    values: JsonObject = {"result": outcome.result, "version": None, "ruling": None}
    if outcome.ruling is not None:
        values["ruling"] = asdict(outcome.ruling)
    candidate, data = outcome.version, b""
    if candidate is not None:
        data = candidate.bundle
        values["version"] = {
            "spec": candidate.spec.to_json(),
            "scores": candidate.report.to_json(),
            "skill": candidate.skill,
            "data_sha256": candidate.data_sha256,
            "ruling": asdict(candidate.ruling),
        }
    text = json.dumps(values, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, data])


def outcome_from_bytes(data: bytes) -> Outcome:
    """Return the outcome that ``outcome_to_bytes`` wrote.

    Raises:
        InputError: other bytes, or a version that is no bundle.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or end > len(data) or end > MAX_JSON_BYTES:
        raise _refused(f"{len(data)} bytes that should begin with {end - 8} bytes of JSON")
    try:
        message = _Message.model_validate(json.loads(data[8:end], parse_constant=_no_number))
        if message.version is None:
            if end != len(data):
                raise _refused("bytes of a version that is not described")
            return Outcome(result=message.result, ruling=message.ruling)
        sent = message.version
        candidate = Candidate(
            bundle=data[end:],
            spec=Spec.from_json(sent.spec),
            report=VersionReport.from_json(sent.scores),
            skill=sent.skill,
            data_sha256=sent.data_sha256,
            ruling=sent.ruling,
        )
        bundle.from_bytes(candidate.bundle)  # a version that cannot be served is not registered
    except (ValidationError, ValueError, TypeError, RecursionError, SpecError, BundleError) as error:
        raise _refused(f"an outcome that cannot be read: {error}") from error
    return Outcome(result=message.result, version=candidate)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refused(message: str) -> InputError:
    return InputError([Fault(code="bad_outcome", message=message[:300], hint="use a runner of the service's release")])
