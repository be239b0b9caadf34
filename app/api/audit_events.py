"""/v1/audit-events: the log of changes."""

from fastapi import APIRouter

from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.services import Caller, CurrentService, problems
from app.schemas.audit import AuditEventAnswer
from app.schemas.base import Page
from app.store import audit_log

router = APIRouter(tags=["audit"])


@router.get("/v1/audit-events", responses=problems(403), summary="List changes")
def list_events(
    service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[AuditEventAnswer]:
    """List the changes of the tenant, newest first: who changed what, and by which request.

    The events are stored in the transactions of the changes, and are chained: each has the SHA-256 of itself and of the
    event before it, so that a changed or deleted one is found.
    """
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: audit_log.list_page(session, caller.tenant_id, after, size),
            lambda rows: [AuditEventAnswer.model_validate(row) for row in rows],
            row_id,
        )
