"""Values that a running job reads about itself and about versions; no database row leaves the store.

A process beside the database and a process on a cluster, which reads them over HTTP, work with the same values.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.store import datasets, jobs, registry
from app.store.jobs import Fenced
from app.store.tables import Version
from models.json_types import JsonObject
from models.network.spec import Spec
from models.training.report import VersionReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Job under the ``token`` of one attempt; ``request`` is its payload, ``label`` says which child of a parent it is.

    ``model``, ``revision_id`` and ``dataset_id`` are None for a job that is about no model or reads no stored data.
    """

    id: str
    tenant_id: int
    token: int
    attempt: int
    kind: str
    model: str | None
    revision_id: int | None
    dataset_id: int | None
    request: JsonObject
    label: JsonObject | None
    schedule_id: int | None
    created_by: str

    @property
    def data_id(self) -> int:
        """Return the id of the revision that the job reads. Raise ValueError if it reads no stored data."""
        if self.revision_id is None:
            raise ValueError(f"job {self.id} of the kind {self.kind!r} names no revision of a data set")
        return self.revision_id


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """Version without its bytes; ``dataset_id`` is of the data set whose revision it learned from.

    Both ids are None for an imported version: the data that it learned from are unknown.
    """

    id: int
    model: str
    number: int
    spec: Spec
    report: VersionReport
    skill: float | None
    revision_id: int | None
    dataset_id: int | None

    def to_json(self) -> JsonObject:
        """Return the facts as they are sent to a process without a database."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("spec", "report")}
        return plain | {"spec": self.spec.to_json(), "scores": self.report.to_json()}

    @classmethod
    def from_json(cls, values: JsonObject) -> "VersionFacts":
        """Return the facts that ``to_json`` described."""
        spec, report = Spec.from_json(values["spec"]), VersionReport.from_json(values["scores"])
        plain = {name: value for name, value in values.items() if name not in ("spec", "scores")}
        return cls(spec=spec, report=report, **plain)


def task(session: Session, tenant_id: int, job_id: str, token: int) -> Task:
    """Return the job that is held under ``token``.

    Raises:
        NotFound: the tenant has no such job.
        Fenced: the token is not the job's newest.
    """
    job = jobs.get(session, tenant_id, job_id)
    if job.token != token:
        raise Fenced(f"job {job_id} is at token {job.token}, not {token}; drop the work and claim another job")
    own = {name: getattr(job, name) for name in Task.__slots__ if name != "dataset_id"}
    return Task(**own, dataset_id=_dataset_id(session, tenant_id, job.revision_id))


def version(session: Session, tenant_id: int, version_id: int) -> VersionFacts:
    """Return the version of this id. Raise NotFound."""
    return _facts(session, registry.version(session, tenant_id, version_id))


def champion(session: Session, tenant_id: int, model: str | None) -> VersionFacts | None:
    """Return the model's champion; None if there is no such model or it has none."""
    found = registry.champion(session, tenant_id, model)
    return None if found is None else _facts(session, found)


def _facts(session: Session, row: Version) -> VersionFacts:
    model = registry.model_by_id(session, row.tenant_id, row.model_id)
    return VersionFacts(
        id=row.id,
        model=model.name,
        number=row.number,
        spec=Spec.from_json(row.spec),
        report=VersionReport.from_json(row.scores),
        skill=row.skill,
        revision_id=row.revision_id,
        dataset_id=_dataset_id(session, row.tenant_id, row.revision_id),
    )


def _dataset_id(session: Session, tenant_id: int, revision_id: int | None) -> int | None:
    return None if revision_id is None else datasets.revision_by_id(session, tenant_id, revision_id).dataset_id
