"""Data sets and their revisions: revisions are immutable, and each stores only the rows that it added."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import audit_log
from app.store.db import insert_if_absent, now
from app.store.stored_quotas import check_quota
from app.store.tables import Dataset, Revision
from models.errors import excerpt
from models.json_types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """A write to a data set; ``chunk`` and ``rows_added`` describe the write, the other fields the content after it.

    ``rows_added`` counts the rows with a value, ``rows_total`` also missing rows and rows without a value. ``reading``
    records how the table was read.
    """

    sha256: str
    rows_added: int
    rows_total: int
    series_total: int
    missing_total: int
    covariates: list[str]
    first_ds: str
    last_ds: str
    chunk: bytes
    reading: JsonObject = field(default_factory=dict)


def create(session: Session, tenant_id: int, name: str, freq: str, revision: NewRevision, created_by: str) -> Revision:
    """Create a data set and return its first revision. Raise Conflict if the name exists, QuotaExceeded."""
    inserted = insert_if_absent(session, Dataset, tenant_id=tenant_id, name=name, freq=freq, created_at=now(session))
    if inserted is None:
        raise Conflict(f"data set {excerpt(name)} exists already; append rows to it or choose another name")
    check_quota(session, tenant_id, "max_datasets")
    return _add(session, session.get_one(Dataset, inserted), 1, revision, created_by)


def append(
    session: Session, tenant_id: int, name: str, expected_number: int, revision: NewRevision, created_by: str
) -> Revision:
    """Add the next revision.

    Raises:
        NotFound: as ``get``.
        Conflict: ``expected_number`` is no longer the newest.
        QuotaExceeded: the tenant would have more bytes than it may have.
    """
    dataset = get(session, tenant_id, name)
    # The lock is on the data set, so that two appends cannot both see the same newest revision.
    session.execute(select(Dataset.id).where(Dataset.id == dataset.id).with_for_update())
    newest = session.scalars(select(func.max(Revision.number)).where(Revision.dataset_id == dataset.id)).one()
    if newest != expected_number:
        raise Conflict(
            f"data set {excerpt(name)} is at revision {newest}, not {expected_number}; read it again, then append"
        )
    return _add(session, dataset, expected_number + 1, revision, created_by)


def get(session: Session, tenant_id: int, name: str) -> Dataset:
    """Return the data set ``name``. Raise NotFound."""
    found = session.scalars(select(Dataset).where(Dataset.tenant_id == tenant_id, Dataset.name == name)).one_or_none()
    if found is None:
        raise NotFound(f"no data set {excerpt(name)}; GET /v1/datasets lists them")
    return found


def revision(session: Session, tenant_id: int, name: str, number: int | None = None) -> Revision:
    """Return a revision of a data set, the newest if ``number`` is None. Raise NotFound."""
    dataset = get(session, tenant_id, name)
    query = select(Revision).where(Revision.dataset_id == dataset.id).order_by(Revision.number.desc()).limit(1)
    found = session.scalars(query if number is None else query.where(Revision.number == number)).one_or_none()
    if found is None:
        newest = session.scalars(query).one().number
        raise NotFound(f"data set {excerpt(name)} has no revision {number}; the newest is {newest}")
    return found


def revision_by_id(session: Session, tenant_id: int, revision_id: int) -> Revision:
    """Return the revision of a job or version, with its ``.dataset``. Raise NotFound."""
    query = select(Revision).where(Revision.tenant_id == tenant_id, Revision.id == revision_id)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"no revision with the id {revision_id}; GET /v1/datasets lists the data sets")
    return found


def revisions_by_id(session: Session, tenant_id: int, ids: Iterable[int | None]) -> dict[int, Revision]:
    """Return the revisions that a page of jobs or versions points at, by id, ``.dataset`` included, in one query."""
    wanted = {one for one in ids if one is not None}
    query = select(Revision).where(Revision.tenant_id == tenant_id, Revision.id.in_(wanted))
    return {found.id: found for found in session.scalars(query)} if wanted else {}


def chunks(session: Session, tenant_id: int, dataset_id: int, up_to_number: int, after: int = 0) -> list[bytes]:
    """Return the bytes of the revisions after number ``after`` up to ``up_to_number``, in this order.

    Empty if the data set belongs to another tenant.
    """
    query = select(Revision.chunk).where(Revision.tenant_id == tenant_id, Revision.dataset_id == dataset_id)
    between = query.where(Revision.number > after, Revision.number <= up_to_number)
    return list(session.scalars(between.order_by(Revision.number)))


def list_page(session: Session, tenant_id: int, after_id: int, size: int) -> list[Dataset]:
    """Return up to ``size`` data sets with an id above ``after_id``, oldest first."""
    query = select(Dataset).where(Dataset.tenant_id == tenant_id, Dataset.id > after_id)
    return list(session.scalars(query.order_by(Dataset.id).limit(size)))


def list_revisions(session: Session, tenant_id: int, name: str, after: int | None, size: int) -> list[Revision]:
    """Return up to ``size`` revisions with a number below ``after`` (None: all), newest first.

    Raise NotFound for the data set.
    """
    query = select(Revision).where(Revision.dataset_id == get(session, tenant_id, name).id)
    if after is not None:
        query = query.where(Revision.number < after)
    return list(session.scalars(query.order_by(Revision.number.desc()).limit(size)))


def newest(session: Session, tenant_id: int, dataset_ids: Sequence[int]) -> dict[int, Revision]:
    """Return the newest revision of each data set by the data set's id, in one query."""
    numbers = (
        select(Revision.dataset_id, func.max(Revision.number).label("number"))
        .where(Revision.tenant_id == tenant_id, Revision.dataset_id.in_(dataset_ids))
        .group_by(Revision.dataset_id)
        .subquery()
    )
    same = (Revision.dataset_id == numbers.c.dataset_id) & (Revision.number == numbers.c.number)
    return {found.dataset_id: found for found in session.scalars(select(Revision).join(numbers, same))}


def _add(session: Session, dataset: Dataset, number: int, revision: NewRevision, created_by: str) -> Revision:
    row = Revision(
        tenant_id=dataset.tenant_id,
        dataset=dataset,
        number=number,
        created_by=created_by,
        created_at=now(session),
        size_bytes=len(revision.chunk),
        **asdict(revision),
    )
    session.add(row)
    session.flush()
    check_quota(session, row.tenant_id, "max_stored_bytes")
    action: audit_log.Action = "dataset.created" if number == 1 else "dataset.appended"
    detail: JsonObject = {"revision": number, "rows_added": revision.rows_added, "sha256": revision.sha256}
    audit_log.record(session, dataset.tenant_id, created_by, action, dataset.name, detail)
    return row
