"""What a running job may know of itself and of what there is, as plain values: no row leaves the store.

A process beside the database and one on a cluster, which asks over HTTP, work with the same values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.store import datasets, jobs, registry
from app.store.jobs import Fenced
from app.store.tables import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job under the ``token`` of one attempt; ``request`` is its order, ``label`` says which child of a parent."""

    id: str
    tenant_id: int
    token: int
    attempt: int
    kind: str
    model: str
    revision_id: int
    dataset_id: int
    request: Mapping[str, Any]
    label: Mapping[str, Any] | None
    schedule_id: int | None
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """A version without its bytes; ``dataset_id`` is of the data set whose revision it learned."""

    id: int
    model: str
    number: int
    spec: Mapping[str, Any]
    scores: Mapping[str, Any]
    skill: float | None
    revision_id: int
    dataset_id: int


def task(session: Session, tenant_id: int, job_id: str, token: int) -> Task:
    """The job that is held under ``token``.

    Raises:
        NotFound: this tenant has no such job.
        Fenced: the token is not the job's newest.
    """
    job = jobs.get(session, tenant_id, job_id)
    if job.token != token:
        raise Fenced(f"job {job_id} is at token {job.token}, not {token}; drop the work and claim another job")
    own = {name: getattr(job, name) for name in Task.__slots__ if name != "dataset_id"}
    revision = datasets.revision_by_id(session, tenant_id, job.revision_id)
    return Task(**own, dataset_id=revision.dataset_id)


def version(session: Session, tenant_id: int, version_id: int) -> VersionFacts:
    """The version of that id. Raise NotFound."""
    return _facts(session, registry.version(session, tenant_id, version_id))


def champion(session: Session, tenant_id: int, model: str) -> VersionFacts | None:
    """The model's champion; None where there is no such model, or it has none."""
    found = registry.champion(session, tenant_id, model)
    return None if found is None else _facts(session, found)


def _facts(session: Session, row: Version) -> VersionFacts:
    model = registry.model_by_id(session, row.tenant_id, row.model_id)
    revision = datasets.revision_by_id(session, row.tenant_id, row.revision_id)
    return VersionFacts(
        id=row.id,
        model=model.name,
        number=row.number,
        spec=row.spec,
        scores=row.scores,
        skill=row.skill,
        revision_id=row.revision_id,
        dataset_id=revision.dataset_id,
    )
