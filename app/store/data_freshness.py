"""Age of a model and of the data that it is trained on, for the triggers of schedules."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.store import registry
from app.store.tables import Dataset, Model, Revision, Version
from models.json_types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """Newest revision of a data set, and newest version of a model that was trained on the data set.

    ``rows`` counts the observed values of the data set: gaps and rows of known covariates in the future do not count.
    The revision ``revision_id``, written at ``data_at``, added the last of them. The version was trained at
    ``trained_at`` on the first ``trained_rows``; both are None if there is no such version.
    """

    dataset_id: int
    revision_id: int
    rows: int
    data_at: datetime
    trained_rows: int | None = None
    trained_at: datetime | None = None


def freshness(session: Session, tenant_id: int, request: JsonObject) -> Freshness | None:
    """Return the freshness of the model and the data set in ``request``, the body of a job.

    If it names no data set, that of the champion is used, on which the job will train; or if the champion was imported,
    that of the model's newest trained version. None if there is no such data set.
    """
    of_model = (Model.tenant_id == tenant_id) & (Model.name == model_of(request))
    query = select(Version, Revision).join(Model, Model.id == Version.model_id)
    query = query.join(Revision, Revision.id == Version.revision_id).where(of_model)
    named, watched = request.get("dataset"), None
    if named is not None:
        query = query.join(Dataset, Dataset.id == Revision.dataset_id).where(Dataset.name == named)
    elif (watched := _dataset_of_champion(session, tenant_id, request)) is not None:
        query = query.where(Revision.dataset_id == watched)
    last = session.execute(query.order_by(Version.id.desc()).limit(1)).one_or_none()
    newest = _newest(session, tenant_id, named, watched if last is None else last[1].dataset_id)
    if newest is None:
        return None
    return Freshness(
        dataset_id=newest.dataset_id,
        revision_id=newest.id,
        rows=_count_values(session, newest),
        data_at=newest.created_at,
        trained_rows=None if last is None else _count_values(session, last[1]),
        trained_at=None if last is None else last[0].created_at,
    )


def _dataset_of_champion(session: Session, tenant_id: int, request: JsonObject) -> int | None:
    champion = registry.champion(session, tenant_id, model_of(request))
    if champion is None or champion.revision_id is None:
        return None
    return session.scalars(select(Revision.dataset_id).where(Revision.id == champion.revision_id)).one()


def model_of(request: JsonObject) -> str | None:
    """Return the model in ``request``, the body of a job; None if it names neither a model nor a version."""
    model: str | None = request.get("model")
    version: str | None = request.get("version")
    return version.partition("@")[0] if model is None and version is not None else model


def _newest(session: Session, tenant_id: int, name: str | None, dataset_id: int | None) -> Revision | None:
    query = select(Revision).join(Dataset, Dataset.id == Revision.dataset_id).where(Dataset.tenant_id == tenant_id)
    of_tenant = query.where(Dataset.id == dataset_id if name is None else Dataset.name == name)
    numbers = select(func.max(Revision.number)).where(Revision.dataset_id == Dataset.id, Revision.rows_added > 0)
    numbers = numbers.correlate(Dataset)
    return session.scalars(of_tenant.where(Revision.number == numbers.scalar_subquery())).one_or_none()


def _count_values(session: Session, revision: Revision) -> int:
    """Return the number of values written up to ``revision``: each is written once, because rows only continue."""
    written = (Revision.dataset_id == revision.dataset_id) & (Revision.number <= revision.number)
    return session.scalars(select(func.coalesce(func.sum(Revision.rows_added), 0)).where(written)).one()
