"""/v1/datasets: stored series; each write is a new immutable revision."""

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.http.idempotency import Idempotency, SaveAnswer, save_nothing
from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.raw_body import RawBody
from app.api.http.services import Caller, CurrentService, PathName, principal_of, problems, service_of
from app.api.http.table_query import NewDatasetQuery, TableQuery
from app.formats import MEDIA_TYPES
from app.schemas.base import Page
from app.schemas.datasets import ReadingAnswer, RevisionAnswer
from app.service import Service
from app.store import datasets, panels
from app.store.tables import Dataset, Revision
from app.tables import Before, TablePanel, TableReading, read_table
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
            **{
                MEDIA_TYPES[extension]: {"schema": {"type": "string", "format": "binary"}}
                for extension in (".tsv", ".ndjson", ".parquet", ".arrows", ".arrow", ".xlsx")
            },
            MEDIA_TYPES[".json"]: {"schema": _TABLE, "example": _JSON_EXAMPLE},
        },
    }
}


@router.post(
    "/v1/datasets", status_code=201, responses=problems(403, 409, 415), openapi_extra=_BODY, summary="Create a data set"
)
async def post_dataset(
    query: Annotated[NewDatasetQuery, Depends()],
    table: RawBody,
    request: Request,
    response: Response,
    idempotent: Idempotency,
) -> RevisionAnswer:
    """Create a data set from a table; its Content-Type names the format.

    Columns named unique_id, ds and y are the ids, times and values; otherwise these are recognised by content, then by
    name, and ``reading`` tells which they are. Values may be empty and rows may be missing: ``missing_total`` counts
    both. Further columns of numbers, true and false, or text are stored as covariates. Rows after the last value of a
    series hold covariates known in advance. Rows are sorted by time; nothing else is repaired unless asked for.
    """
    service, caller = service_of(request), principal_of(request)
    media_type = request.headers.get("content-type", "")

    def create(save: SaveAnswer) -> RevisionAnswer:
        read = read_table(table, media_type, query.options(query.freq), service.settings.max_rows)
        return create_dataset(service, caller, query.name, read, save)

    created = await idempotent.answer_async(RevisionAnswer, create)
    response.headers["Location"] = f"/v1/datasets/{query.name}"
    return created


@router.post(
    "/v1/datasets/{name}/rows",
    status_code=201,
    responses=problems(403, 404, 409, 415),
    openapi_extra=_BODY,
    summary="Append rows",
)
async def post_rows(
    name: PathName,
    query: Annotated[TableQuery, Depends()],
    table: RawBody,
    request: Request,
    idempotent: Idempotency,
) -> RevisionAnswer:
    """Append rows that follow the last values, with the columns of the data set, as a new revision.

    Options that are left out are those of the newest revision.
    """
    service, caller = service_of(request), principal_of(request)
    media_type = request.headers.get("content-type", "")

    def append(save: SaveAnswer) -> RevisionAnswer:
        def read(freq: str, before: Before) -> TablePanel:
            return read_table(table, media_type, query.options(freq), service.settings.max_rows, before)

        return _append(service, caller, name, read, save)

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
    reading = TableReading.from_json(revision.reading)
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
        reading=ReadingAnswer(
            id=list(reading.options.id),
            time=reading.options.time,
            target=list(reading.options.target),
            ignored=list(reading.ignored),
            written=reading.written,
            repairs=reading.repairs,
        ),
        created_by=revision.created_by,
        created_at=revision.created_at,
    )


def create_dataset(
    service: Service, caller: Caller, name: str, table: TablePanel, save: SaveAnswer = save_nothing
) -> RevisionAnswer:
    """Store the panel of ``table`` as a new data set; call ``save`` with the answer in the same transaction.

    Raises:
        Conflict: a data set of this name exists.
    """
    panel = table.panel
    first = panels.new_revision(panel, reading=table.reading.to_json())
    with service.database.write() as session:
        answer = revision_answer(
            datasets.create(session, caller.tenant_id, name, str(panel.freq), first, caller.key_id)
        )
        save(session, answer)
    return answer


def _append(
    service: Service, caller: Caller, name: str, read: Callable[[str, Before], TablePanel], save: SaveAnswer
) -> RevisionAnswer:
    with service.database.read() as session:
        newest = datasets.revision(session, caller.tenant_id, name)
        before = panels.load(session, caller.tenant_id, newest)
    usual = TableReading.from_json(newest.reading).options
    rows = read(newest.dataset.freq, Before(usual, before.categories))
    added = panels.new_revision(rows.panel, before, rows.reading.to_json())
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
