"""A kind of job: its request, the payload that the job table stores, and the function that does the work.

Each module of this package named after a kind defines them and a ``KIND``; ``app.planning.kinds`` lists the kinds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy.orm import Session

from app.principal import Principal
from app.schemas.job_bodies import JobBody
from app.settings import Settings
from app.store import datasets, panels, registry
from app.store.job_limits import JobLimits, check_stored_bytes
from app.store.jobs import NewJob, check_room
from app.store.tables import Revision, Version
from models.data.panel import Panel
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster
from models.types import JsonMapping, JsonObject

MAX_NUMBER = 2**31 - 1  # of a version: the largest integer of a database column

R = TypeVar("R", bound=JobBody)


class Payload(Protocol):
    """Plan of a job as the column ``jobs.request`` stores it: every field has a value."""

    def to_json(self) -> JsonObject:
        """Return the payload as JSON values."""


@dataclass(frozen=True, slots=True)
class PinnedVersion:
    """A version by the ``name`` of the request, MODEL@ALIAS or MODEL@NUMBER, and by its number and row.

    The alias may move before the job runs; number and row do not change.
    """

    name: str
    number: int
    id: int

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.name.partition("@")[0]

    @property
    def reference(self) -> str:
        """The version as MODEL@NUMBER."""
        return f"{self.model}@{self.number}"


class StoredData(NamedTuple):
    """A revision of a data set and its content."""

    revision: Revision
    panel: Panel


class StoredVersion(NamedTuple):
    """A version of the registry: its pinned name, its forecaster and its row."""

    pinned: PinnedVersion
    forecaster: Forecaster
    row: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """Fields of ``JobAnswer`` that depend on the kind; ``order`` is the whole payload of a job that trains nothing."""

    order: JsonMapping | None = None
    spec: JsonObject | None = None
    training: JsonObject | None = None
    members: Sequence[JsonMapping] = ()
    warm_start_from: str | None = None
    auto: JsonMapping | None = None
    refit: bool = False
    promote: str | None = None
    gate: JsonMapping | None = None


def payload_details(values: JsonMapping) -> JobDetails:
    """Return the details of a job that trains nothing, of which the API shows the stored payload as it is."""
    return JobDetails(order=values)


def limits_of(settings: Settings) -> JobLimits:
    """Return the limits that ``settings`` set."""
    return JobLimits(
        max_points=settings.max_job_points,
        max_gflop=settings.max_job_gflop,
        max_file_bytes=settings.max_artifact_bytes,
        max_stored_bytes=settings.max_stored_artifact_bytes,
        max_queued=settings.max_queued_jobs,
    )


@dataclass(frozen=True, slots=True)
class PlanContext:
    """Stored data and versions for the planning of one job, read in one transaction for one tenant."""

    session: Session
    settings: Settings
    principal: Principal
    kind: str

    @property
    def limits(self) -> JobLimits:
        """The limits of a job."""
        return limits_of(self.settings)

    def check_room(self, added: int) -> None:
        """Refuse ``added`` more jobs of a tenant that has too many in the queue. Raise QuotaExceeded."""
        check_room(self.session, self.principal.tenant_id, added, self.limits)

    def check_storage(self) -> None:
        """Refuse a job that writes a file if the files of the tenant have reached their limit. Raise QuotaExceeded."""
        check_stored_bytes(self.session, self.principal.tenant_id, self.limits)

    def data(self, name: str, number: int | None) -> StoredData:
        """Return the data set ``name`` at revision ``number``, the newest if None. Raise NotFound."""
        revision = datasets.revision(self.session, self.principal.tenant_id, name, number)
        return StoredData(revision, panels.load(self.session, self.principal.tenant_id, revision))

    def version(self, name: str) -> StoredVersion:
        """Return the version MODEL@NUMBER or MODEL@ALIAS. Raise NotFound, CorruptBundle."""
        tenant_id = self.principal.tenant_id
        model, _, which = name.partition("@")
        number = int(which) if which.isdigit() and int(which) <= MAX_NUMBER else None
        row = registry.resolve(self.session, tenant_id, model, number, which)
        forecaster = bundle.from_bytes(registry.bundle(self.session, tenant_id, row.id))
        return StoredVersion(PinnedVersion(name, row.number, row.id), forecaster, row)

    def new_job(self, request: JobBody, model: str, revision: Revision, payload: Payload) -> NewJob:
        """Return the job of a payload, with priority, resource and deadline of the request."""
        return NewJob(
            tenant_id=self.principal.tenant_id,
            kind=self.kind,
            model=model,
            revision_id=revision.id,
            request=payload.to_json(),
            max_attempts=self.settings.max_attempts,
            created_by=self.principal.key_id,
            priority=request.priority,
            resource=request.resource,
            deadline_s=request.deadline_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """A kind of job.

    ``work`` names the function that does the job, as MODULE:FUNCTION; only a process that runs jobs imports it.
    ``details`` reads the fields of ``JobAnswer`` from a stored payload, also one of an earlier release.
    """

    name: str
    work: str
    details: Callable[[JsonMapping], JobDetails] = payload_details


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedKind(JobKind, Generic[R]):
    """A kind of job that POST /v1/jobs queues.

    ``plan`` turns a request into a job to queue: it completes every field with the stored data and refuses a request
    that cannot work.
    """

    request: type[R]
    plan: Callable[[PlanContext, R], NewJob]
