"""Import of a bundle: its payload, the checks before it is queued, and the job that registers it as a version."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.planning.job_answers import job_answer
from app.principal import Principal
from app.problems import NotFound
from app.schemas.jobs import JobAnswer
from app.settings import Settings
from app.store import checkpoints, jobs, registry
from app.store.db import Database
from app.store.jobs import NewJob
from models.data.calendar import parse_freq
from models.errors import BundleError, InputError
from models.forecasting import bundle
from models.network.spec import Spec

KIND = "import"  # not in the table of kinds: its body is the bundle, so POST /v1/jobs cannot start it
WORK = "app.work.bundle_import:import_version"

_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPayload:
    """Bundle to check and register, by its SHA-256 (hex) and size; its bytes are the first checkpoint of the job."""

    sha256: str
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the payload as the column ``jobs.request`` holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ImportPayload":
        """Return the payload that ``to_json`` described."""
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BundleUpload:
    """Bytes of a bundle that were sent for ``model``, with the header ``Content-Digest`` of the request, if any."""

    model: str
    data: bytes
    content_digest: str | None = None


def import_bundle(
    database: Database,
    settings: Settings,
    principal: Principal,
    upload: BundleUpload,
    keep: Callable[[Session, JobAnswer], None] = lambda session, answer: None,
) -> JobAnswer:
    """Queue the job that registers the uploaded bundle, and return its public form.

    The bytes are checked here as far as no network is needed; the job compares the two engines on it. ``keep`` is
    called with the answer in the transaction that queues the job.

    Raises:
        InputError: a wrong checksum, bytes that are no bundle, or another frequency than the model's.
    """
    digest = bundle.sha256(upload.data)
    _check_digest(upload.content_digest, digest)
    spec = _spec_of(upload.data)
    new = NewJob(
        tenant_id=principal.tenant_id,
        kind=KIND,
        model=upload.model,
        revision_id=None,
        request=ImportPayload(sha256=digest, size_bytes=len(upload.data)).to_json(),
        max_attempts=settings.max_attempts,
        created_by=principal.key_id,
    )
    with database.write() as session:
        _check_freq(session, new, spec)
        job = jobs.enqueue(session, new)
        checkpoints.keep(session, job, upload.data)
        answer = job_answer(session, job)
        keep(session, answer)
    return answer


def _check_digest(header: str | None, digest: str) -> None:
    """Raise InputError if the ``Content-Digest`` in ``header`` (RFC 9530) is not ``digest``, a SHA-256 in hex."""
    if header is None:
        return
    field, hint = "Content-Digest", "send sha-256=:BASE64: of the bundle's bytes, without a Content-Encoding"
    match = _SHA256.search(header)
    if match is None:
        raise InputError.of("bad_digest", "the header has no SHA-256", hint, field=field)
    arrived = base64.b64encode(bytes.fromhex(digest)).decode()
    if match[1] != arrived:
        message = f"the bytes that arrived have the SHA-256 {arrived}, the header says {match[1]}"
        raise InputError.of("wrong_digest", message, "send the bundle again", field=field)


def _spec_of(data: bytes) -> Spec:
    try:
        return bundle.from_bytes(data).spec
    except BundleError as error:
        hint = "send the bytes of GET /v1/models/{name}/versions/{number}/bundle, as they are"
        raise InputError.of("bad_bundle", str(error)[:200], hint) from error


def _check_freq(session: Session, new: NewJob, spec: Spec) -> None:
    """Raise InputError if the model has versions, and the newest forecasts another frequency than ``spec``."""
    assert new.model is not None
    try:
        newest = registry.list_versions(session, new.tenant_id, new.model, None, 1)
    except NotFound:
        return
    freq = newest[0].spec["freq"] if newest else spec.freq
    if parse_freq(freq) != parse_freq(spec.freq):
        message = f"the bundle has the frequency {spec.freq}, version {newest[0].number} of the model has {freq}"
        raise InputError.of("other_frequency", message, "import it under the name of another model", field="freq")
