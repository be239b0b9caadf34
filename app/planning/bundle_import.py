"""Job kind ``import``: register an uploaded bundle as a version. Its request is the bundle itself, not JSON."""

import base64
import re
from dataclasses import asdict, dataclass

from app.planning.job_kind import JobKind, PlanContext
from app.problems import NotFound
from app.store import registry
from app.store.jobs import NewJob
from models.data.calendar import parse_freq
from models.errors import BundleError, InputError
from models.forecasting import bundle
from models.types import JsonMapping, JsonObject

_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPayload:
    """Bundle to check and register, by its SHA-256 (hex) and size; its bytes are the first checkpoint of the job."""

    sha256: str
    size_bytes: int

    def to_json(self) -> JsonObject:
        """Return the payload as the column ``jobs.request`` stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: JsonMapping) -> "ImportPayload":
        """Return the payload that ``to_json`` described."""
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BundleUpload:
    """Bytes of a bundle that were sent for ``model``, with the header ``Content-Digest`` of the request, if any."""

    model: str
    data: bytes
    content_digest: str | None = None


def plan(context: PlanContext, upload: BundleUpload) -> NewJob:
    """Return the job that compares the two engines on the uploaded bundle and registers it.

    The bytes are checked here as far as no network is needed.

    Raises:
        InputError: a wrong checksum, bytes that are no bundle, or another frequency than the model's.
    """
    digest = bundle.sha256(upload.data)
    _check_digest(upload.content_digest, digest)
    try:
        spec = bundle.from_bytes(upload.data).spec
    except BundleError as error:
        hint = "send the bytes of GET /v1/models/{name}/versions/{number}/bundle, as they are"
        raise InputError.of("bad_bundle", str(error)[:200], hint) from error
    _check_freq(context, upload.model, spec.freq)
    return NewJob(
        tenant_id=context.principal.tenant_id,
        kind=context.kind,
        model=upload.model,
        revision_id=None,
        request=ImportPayload(sha256=digest, size_bytes=len(upload.data)).to_json(),
        max_attempts=context.settings.max_attempts,
        created_by=context.principal.key_id,
    )


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


def _check_freq(context: PlanContext, model: str, freq: str) -> None:
    """Raise InputError if ``model`` has versions, and the newest forecasts another frequency than ``freq``."""
    try:
        newest = registry.list_versions(context.session, context.principal.tenant_id, model, None, 1)
    except NotFound:
        return
    if newest and parse_freq(newest[0].spec["freq"]) != parse_freq(freq):
        version = f"version {newest[0].number} of the model has {newest[0].spec['freq']}"
        message = f"the bundle has the frequency {freq}, {version}"
        raise InputError.of("other_frequency", message, "import it under the name of another model", field="freq")


KIND = JobKind(name="import", work="app.work.bundle_import:import_version")
