"""/v1/keys: the API keys of the caller's tenant."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app.api.http.pagination import PageSize, PageToken, after_text, read_page
from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.write_routes import WriteRoute
from app.principal import Principal, Scope, includes
from app.problems import Forbidden
from app.schemas.base import Page
from app.schemas.keys import MAX_OVERLAP_S, KeyAnswer, KeyRequest, NewKeyAnswer
from app.store import keys
from app.store.keys import IssuedKey, NewKey

router = APIRouter(tags=["keys"], route_class=WriteRoute)

Overlap = Annotated[
    float, Query(ge=0, le=MAX_OVERLAP_S, description="Seconds for which the former key works beside the new one.")
]


@router.post("/v1/keys", status_code=201, responses=problems(403), summary="Create a key")
def post_key(request: KeyRequest, response: Response, service: CurrentService, caller: Caller) -> NewKeyAnswer:
    """Create a key of the tenant; only this answer shows it in full, and no Idempotency-Key repeats it."""
    with service.database.write() as session:
        answer = new_key_answer(session, caller.tenant_id, request, caller)
    response.headers["Location"] = f"/v1/keys/{answer.id}"
    return answer


@router.get("/v1/keys", responses=problems(403), summary="List keys")
def list_keys(
    service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[KeyAnswer]:
    """Return the keys of the tenant by id, without their secrets; revoked and expired ones included."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_text(page_token),
            lambda after, size: keys.list_page(session, caller.tenant_id, after, size),
            lambda rows: [KeyAnswer.model_validate(row) for row in rows],
            lambda row: row.id,
        )


@router.get("/v1/keys/{key_id}", responses=problems(403, 404), summary="Show a key")
def get_key(key_id: PathName, service: CurrentService, caller: Caller) -> KeyAnswer:
    """Return a key without its secret."""
    with service.database.read() as session:
        return KeyAnswer.model_validate(keys.get(session, caller.tenant_id, key_id))


@router.delete("/v1/keys/{key_id}", status_code=204, responses=problems(403, 404, 409), summary="Revoke a key")
def delete_key(key_id: PathName, service: CurrentService, caller: Caller) -> None:
    """Revoke a key for ever; within a second no process accepts it. Repeating this changes nothing.

    Refused with 403 for a key of a wider scope than the caller's, and with 409 for the last operator key.
    """
    with service.database.write() as session:
        key = keys.get(session, caller.tenant_id, key_id)
        _refuse_wider(caller, key.scope)
        keys.check_not_last_operator(session, key)
        keys.revoke(session, caller.tenant_id, key_id, caller.key_id)


@router.post("/v1/keys/{key_id}/rotate", responses=problems(403, 404, 409), summary="Replace a key by a new one")
def rotate_key(key_id: PathName, service: CurrentService, caller: Caller, overlap_s: Overlap = 86_400) -> NewKeyAnswer:
    """Return a successor of the same name, scope and length of life, shown only here; the key itself expires soon.

    It works for ``overlap_s`` seconds more, a day unless given. Refused with 409 if it is revoked or has expired.
    """
    with service.database.write() as session:
        _refuse_wider(caller, keys.get(session, caller.tenant_id, key_id).scope)
        return _new_answer(keys.rotate(session, caller.tenant_id, key_id, overlap_s, caller.key_id))


def new_key_answer(session: Session, tenant_id: int, request: KeyRequest, caller: Principal) -> NewKeyAnswer:
    """Create a key of a tenant. Raise Forbidden for a wider scope than the caller's, InputError for a bad end."""
    _refuse_wider(caller, request.scope)
    new = NewKey(request.name, request.scope, keys.expiry(session, request.expires_at, request.expires_in_s))
    return _new_answer(keys.issue(session, tenant_id, new, caller.key_id))


def _refuse_wider(caller: Principal, scope: Scope) -> None:
    if not includes(caller.scope, scope):
        raise Forbidden(
            f"A key with the scope '{caller.scope}' cannot create, replace or revoke one with the scope '{scope}'."
        )


def _new_answer(issued: IssuedKey) -> NewKeyAnswer:
    return NewKeyAnswer(key=issued.text, **KeyAnswer.model_validate(issued.row).model_dump())
