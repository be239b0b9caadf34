"""/v1/datasets: stored series; each write is a new immutable revision."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.http.idempotency import Idempotency, SaveAnswer, save_nothing
from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.raw_body import RawBody
from app.api.http.services import Caller, CurrentService, PathName, principal_of, problems, service_of
from app.formats import MEDIA_TYPES, read_panel
from app.schemas.base import NAME, Page
from app.schemas.datasets import RevisionAnswer
from app.service import Service
from app.store import datasets, panels
from app.store.tables import Dataset, Revision
from models.data.panel import Panel
from models.errors import InputError

router = APIRouter(tags=["datasets"])

_TABLE = {
    "type": "object",
    "required": ["unique_id", "ds", "y"],
    "properties": {
        "unique_id": {"type": "array", "items": {"type": "string"}},
        "ds": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        "y": {"type": "array", "items": {"type": ["number", "null"]}},
    },
    "additionalProperties": {
        "type": "array",
        "items": {"type": ["number", "boolean", "string", "null"]},
        "description": "A covariate.",
    },
}
_CSV_EXAMPLE = (
    "unique_id,ds,y,price,weekday\nshop,2026-01-01,12.5,3,thu\nshop,2026-01-02,,3,fri\nshop,2026-01-03,11,4,sat\n"
)
_JSON_EXAMPLE = {
    "unique_id": ["shop", "shop", "shop"],
    "ds": ["2026-01-01", "2026-01-02", "2026-01-03"],
    "y": [12.5, None, 11],
    "price": [3, 3, 4],
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPES[".csv"]: {"schema": {"type": "string"}, "example": _CSV_EXAMPLE},
            MEDIA_TYPES[".parquet"]: {"schema": {"type": "string", "format": "binary"}},
            MEDIA_TYPES[".arrows"]: {"schema": {"type": "string", "format": "binary"}},
            MEDIA_TYPES[".json"]: {"schema": _TABLE, "example": _JSON_EXAMPLE},
        },
    }
}

Freq = Annotated[
    str | None, Query(max_length=20, description="Such as h, 15min, D, MS; read off the data if left out.")
]


@router.post(
    "/v1/datasets", status_code=201, responses=problems(403, 409, 415), openapi_extra=_BODY, summary="Create a data set"
)
async def post_dataset(
    name: Annotated[str, Query(pattern=NAME)],
    table: RawBody,
    request: Request,
    response: Response,
    idempotent: Idempotency,
    freq: Freq = None,
) -> RevisionAnswer:
    """Create a data set from a table of rows ``unique_id, ds, y``; its Content-Type names the format.

    Values may be empty and rows may be missing: ``missing_total`` counts both. Further columns of numbers, true and
    false, or text are stored as covariates. Rows after the last value of a series hold covariates known in advance.
    """
    service, caller = service_of(request), principal_of(request)
    media_type = request.headers.get("content-type", "")

    def create(save: SaveAnswer) -> RevisionAnswer:
        return create_dataset(
            service, caller, name, read_panel(table, media_type, freq, service.settings.max_rows), save
        )

    created = await idempotent.answer_async(RevisionAnswer, create)
    response.headers["Location"] = f"/v1/datasets/{name}"
    return created


@router.post(
    "/v1/datasets/{name}/rows",
    status_code=201,
    responses=problems(403, 404, 409, 415),
    openapi_extra=_BODY,
    summary="Append rows",
)
async def post_rows(name: PathName, table: RawBody, request: Request, idempotent: Idempotency) -> RevisionAnswer:
    """Append rows that follow the last values, with the columns of the data set, as a new revision."""
    service, caller = service_of(request), principal_of(request)
    media_type = request.headers.get("content-type", "")

    def append(save: SaveAnswer) -> RevisionAnswer:
        return _append(service, caller, name, partial(read_panel, table, media_type), save)

    return await idempotent.answer_async(RevisionAnswer, append)


@router.get("/v1/datasets", responses=problems(), summary="List data sets")
def list_datasets(
    service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[RevisionAnswer]:
    """List all data sets with their newest revisions, oldest first."""
    tenant_id = caller.tenant_id
    with service.database.read() as session:

        def answers(rows: Sequence[Dataset]) -> list[RevisionAnswer]:
            newest = datasets.newest(session, tenant_id, [row.id for row in rows])
            return [revision_answer(newest[row.id]) for row in rows]

        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: datasets.list_page(session, tenant_id, after or 0, size),
            answers,
            row_id,
        )


@router.get("/v1/datasets/{name}", responses=problems(404), summary="Show a data set")
def get_dataset(
    name: PathName,
    service: CurrentService,
    caller: Caller,
    revision: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> RevisionAnswer:
    """Show a data set at its newest revision, or at the given one."""
    with service.database.read() as session:
        return revision_answer(datasets.revision(session, caller.tenant_id, name, revision))


@router.get("/v1/datasets/{name}/revisions", responses=problems(404), summary="List revisions")
def list_revisions(
    name: PathName, service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[RevisionAnswer]:
    """List the revisions of a data set, newest first."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: datasets.list_revisions(session, caller.tenant_id, name, after, size),
            lambda rows: [revision_answer(row) for row in rows],
            lambda row: row.number,
        )


def revision_answer(revision: Revision) -> RevisionAnswer:
    """Return the public form of a revision."""
    return RevisionAnswer(
        dataset=revision.dataset.name,
        freq=revision.dataset.freq,
        revision=revision.number,
        sha256=revision.sha256,
        rows_added=revision.rows_added,
        rows_total=revision.rows_total,
        series_total=revision.series_total,
        missing_total=revision.missing_total,
        covariates=revision.covariates,
        first_ds=revision.first_ds,
        last_ds=revision.last_ds,
        created_by=revision.created_by,
        created_at=revision.created_at,
    )


def create_dataset(
    service: Service, caller: Caller, name: str, panel: Panel, save: SaveAnswer = save_nothing
) -> RevisionAnswer:
    """Store ``panel`` as a new data set; call ``save`` with the answer in the same transaction.

    Raises:
        Conflict: a data set of this name exists.
    """
    first = panels.new_revision(panel)
    with service.database.write() as session:
        answer = revision_answer(
            datasets.create(session, caller.tenant_id, name, str(panel.freq), first, caller.key_id)
        )
        save(session, answer)
    return answer


def _append(
    service: Service, caller: Caller, name: str, read: Callable[..., Panel], save: SaveAnswer
) -> RevisionAnswer:
    with service.database.read() as session:
        newest = datasets.revision(session, caller.tenant_id, name)
        before = panels.load(session, caller.tenant_id, newest)
    rows = read(newest.dataset.freq, service.settings.max_rows, before.categories)
    added = panels.new_revision(rows, before)
    if added.rows_total > service.settings.max_rows:
        message = f"with these rows the data set would have {added.rows_total} rows"
        hint = (
            f"a data set holds at most {service.settings.max_rows} rows; create another, or raise FORECASTLE_MAX_ROWS"
        )
        raise InputError.of("too_many_rows", message, hint)
    # The rows were checked against this revision; if another was written meanwhile, this raises Conflict.
    with service.database.write() as session:
        answer = revision_answer(datasets.append(session, caller.tenant_id, name, newest.number, added, caller.key_id))
        save(session, answer)
    return answer
