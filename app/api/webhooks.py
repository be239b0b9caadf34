"""/v1/webhooks: messages about jobs that ended, aliases that moved and schedules that need a person."""

import asyncio

from anyio.to_thread import run_sync
from fastapi import APIRouter, Response

from app.addresses import parse_networks, resolve_url
from app.api.http.idempotency import Idempotency, IdempotentRequest, SaveAnswer
from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.write_routes import WriteRoute
from app.principal import Principal
from app.schemas.base import Page
from app.schemas.webhooks import DeliveryAnswer, NewWebhookAnswer, WebhookAnswer, WebhookRequest
from app.service import Service
from app.store import webhooks
from models.errors import InputError

router = APIRouter(tags=["webhooks"], route_class=WriteRoute)

LOOKUP_TIMEOUT_S = 5.0  # of the host name of a URL, with the time until a thread is free


@router.post("/v1/webhooks", status_code=201, responses=problems(403, 409, 429, 503), summary="Create a webhook")
async def post_webhook(
    request: WebhookRequest, response: Response, service: CurrentService, caller: Caller, idempotent: Idempotency
) -> NewWebhookAnswer:
    """Send events to an address; only this answer shows the secret that signs them. Private addresses are refused."""
    if not await run_sync(idempotent.is_repeat):
        await _check_address(request.url, service, caller)
    created = await service.writes.run(caller.tenant_id, _create, request, service, caller, idempotent)
    response.headers["Location"] = f"/v1/webhooks/{created.name}"
    return created


async def _check_address(url: str, service: Service, caller: Principal) -> None:
    """Refuse a ``url`` where nothing may be sent, or whose name server does not answer. Raise InputError."""
    private = parse_networks(service.settings.webhook_private_networks)
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            await service.lookups.run(caller.tenant_id, resolve_url, url, private)
    except TimeoutError as error:
        message = f"the address of the URL was not found within {LOOKUP_TIMEOUT_S:g} s"
        raise InputError.of("unknown_host", message, "check the name, or try again later", field="url") from error


def _create(
    request: WebhookRequest, service: Service, caller: Principal, idempotent: IdempotentRequest
) -> NewWebhookAnswer:
    def create(save: SaveAnswer) -> WebhookAnswer:
        events = list(dict.fromkeys(request.events))
        with service.database.write() as session:
            row = webhooks.create(session, caller.tenant_id, request.name, request.url, events, caller.key_id)
            answer = WebhookAnswer.model_validate(row)
            save(session, answer)
        return answer

    created = idempotent.answer(WebhookAnswer, create)
    # A stored answer has no secret, which is deleted with its webhook. A repeat shows it: the first answer was lost.
    with service.database.read() as session:
        return NewWebhookAnswer.model_validate(webhooks.get(session, caller.tenant_id, created.name))


@router.get("/v1/webhooks", responses=problems(), summary="List webhooks")
def list_webhooks(service: CurrentService, caller: Caller) -> Page[WebhookAnswer]:
    """Return all webhooks by name, without their secrets, on one page."""
    with service.database.read() as session:
        rows = webhooks.list_all(session, caller.tenant_id)
    return Page(items=[WebhookAnswer.model_validate(row) for row in rows], next_page_token=None)


@router.get("/v1/webhooks/{name}", responses=problems(404), summary="Show a webhook")
def get_webhook(name: PathName, service: CurrentService, caller: Caller) -> WebhookAnswer:
    """Return a webhook without its secret; it is ``disabled`` after an answer with status 410."""
    with service.database.read() as session:
        return WebhookAnswer.model_validate(webhooks.get(session, caller.tenant_id, name))


@router.delete("/v1/webhooks/{name}", status_code=204, responses=problems(403, 404), summary="Delete a webhook")
def delete_webhook(name: PathName, service: CurrentService, caller: Caller) -> None:
    """Delete a webhook and its pending messages."""
    with service.database.write() as session:
        webhooks.remove(session, caller.tenant_id, name, caller.key_id)


@router.post("/v1/webhooks/{name}/rotate", responses=problems(403, 404), summary="Give it a new secret")
def rotate_secret(name: PathName, service: CurrentService, caller: Caller) -> NewWebhookAnswer:
    """Return a new secret, shown only here; for 24 hours messages are signed with the previous secret as well."""
    with service.database.write() as session:
        return NewWebhookAnswer.model_validate(webhooks.rotate(session, caller.tenant_id, name, caller.key_id))


@router.post("/v1/webhooks/{name}/test", status_code=202, responses=problems(403, 404, 409), summary="Send a test")
def send_test(name: PathName, service: CurrentService, caller: Caller) -> DeliveryAnswer:
    """Send the event ``webhook.test`` as any other event; the list of deliveries shows its result."""
    with service.database.write() as session:
        return DeliveryAnswer.model_validate(webhooks.send_test(session, caller.tenant_id, name))


@router.get("/v1/webhooks/{name}/deliveries", responses=problems(404), summary="List deliveries")
def list_deliveries(
    name: PathName, service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[DeliveryAnswer]:
    """Return the messages of the last 7 days, newest first, and whether the webhook accepted them."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: webhooks.list_deliveries(session, caller.tenant_id, name, after, size),
            lambda rows: [DeliveryAnswer.model_validate(row) for row in rows],
            row_id,
        )
