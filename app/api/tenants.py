"""/v1/tenants: all tenants of the service, for its operator."""

from collections.abc import AsyncGenerator, Iterator

from fastapi import APIRouter, Response

from app.api.api_keys import new_key_answer
from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.streamed_response import StreamedResponse
from app.api.http.write_routes import WriteRoute
from app.schemas.base import Page
from app.schemas.keys import KeyRequest, NewKeyAnswer
from app.schemas.tenants import TenantAnswer, TenantRequest
from app.service import Service
from app.store import tenant_deletion, tenants
from app.tenant_export import export_tenant
from models.types import JsonObject

ZIP = "application/zip"
_ARCHIVE: dict[int | str, JsonObject] = {200: {"description": "The archive.", "content": {ZIP: {}}}}

router = APIRouter(tags=["tenants"], route_class=WriteRoute)


@router.post("/v1/tenants", status_code=201, responses=problems(403, 409), summary="Create a tenant")
def post_tenant(request: TenantRequest, response: Response, service: CurrentService, caller: Caller) -> TenantAnswer:
    """Create a tenant without keys; give it an admin key next."""
    with service.database.write() as session:
        answer = TenantAnswer.model_validate(tenants.create(session, request.name, caller))
    response.headers["Location"] = f"/v1/tenants/{request.name}"
    return answer


@router.post("/v1/tenants/{name}/keys", status_code=201, responses=problems(403, 404), summary="Create a key for it")
def post_tenant_key(name: PathName, request: KeyRequest, service: CurrentService, caller: Caller) -> NewKeyAnswer:
    """Create a key of any tenant, such as its first admin key; only this answer shows it in full."""
    with service.database.write() as session:
        return new_key_answer(session, tenants.get(session, name).id, request, caller)


@router.get("/v1/tenants", responses=problems(403), summary="List tenants")
def list_tenants(
    service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[TenantAnswer]:
    """Return all tenants, oldest first."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: tenants.list_page(session, after or 0, size),
            lambda rows: [TenantAnswer.model_validate(row) for row in rows],
            row_id,
        )


@router.get("/v1/tenants/{name}", responses=problems(403, 404), summary="Show a tenant")
def get_tenant(name: PathName, service: CurrentService, caller: Caller) -> TenantAnswer:
    """Return a tenant."""
    with service.database.read() as session:
        return TenantAnswer.model_validate(tenants.get(session, name))


@router.post("/v1/tenants/{name}/suspend", responses=problems(403, 404, 409), summary="Suspend a tenant")
def suspend_tenant(name: PathName, service: CurrentService, caller: Caller) -> TenantAnswer:
    """Refuse its keys (403, ``tenant_suspended``) on every process within a second; repeating it changes nothing.

    Its queued jobs and its schedules wait; jobs that run finish. Refused with 409 for the caller's own tenant.
    """
    with service.database.write() as session:
        return TenantAnswer.model_validate(tenants.suspend(session, name, caller))


@router.post("/v1/tenants/{name}/resume", responses=problems(403, 404, 409), summary="Resume a tenant")
def resume_tenant(name: PathName, service: CurrentService, caller: Caller) -> TenantAnswer:
    """End a suspension; schedules treat the due times in between by their misfire policy."""
    with service.database.write() as session:
        return TenantAnswer.model_validate(tenants.resume(session, name, caller))


@router.get(
    "/v1/tenants/{name}/export",
    status_code=200,
    responses=_ARCHIVE | problems(403, 404, 429, 503),
    response_class=StreamedResponse,
    summary="Export a tenant",
)
async def get_export(name: PathName, service: CurrentService, caller: Caller) -> StreamedResponse:
    """Return all that a tenant has as one ZIP archive, without secrets, made while it is sent.

    It ends with ``checksums.sha256``; an archive that was cut off does not open. Suspend the tenant first, so that
    the archive is of one moment.
    """
    slot = service.stream_slots.hold(caller.tenant_id)
    return StreamedResponse(_pieces(service, caller.tenant_id, export_tenant(service.database, name)), slot, ZIP)


@router.delete("/v1/tenants/{name}", status_code=204, responses=problems(403, 404, 409), summary="Delete a tenant")
def delete_tenant(name: PathName, service: CurrentService, caller: Caller) -> None:
    """Delete a suspended tenant with all that belongs to it, for ever.

    Refused with 409 while it is not suspended, and while jobs of it run: these are cancelled by the first request.
    A deletion that was interrupted goes on when it is requested again.
    """
    with service.database.write() as session:
        tenant_deletion.stop_jobs(session, name, caller)
    is_done = False
    while not is_done:
        with service.database.write() as session:
            is_done = tenant_deletion.delete_some(session, name, caller)


async def _pieces(service: Service, tenant_id: int, made: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of ``made``, each made in one of the threads for uploads."""
    while (piece := await service.uploads.run(tenant_id, next, made, None)) is not None:
        yield piece
