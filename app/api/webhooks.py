"""/v1/webhooks: who is told when a job ends, an alias moves, or a schedule needs somebody."""

from fastapi import APIRouter, Response

from app.addresses import parse_networks, resolve_url
from app.api.http.idempotency import Keep, OnlyOnce
from app.api.http.pagination import MAX_PAGE_SIZE, PageSize, PageToken, after_id, next_token
from app.api.http.services import Caller, PathName, Services, problems
from app.schemas.base import Page
from app.schemas.webhooks import DeliveryAnswer, NewWebhookAnswer, WebhookAnswer, WebhookRequest
from app.store import webhooks

router = APIRouter(tags=["webhooks"])


@router.post("/v1/webhooks", status_code=201, responses=problems(403, 409), summary="Create a webhook")
def post_webhook(
    request: WebhookRequest, response: Response, the: Services, caller: Caller, once: OnlyOnce
) -> NewWebhookAnswer:
    """Have an address told of events; the secret that signs them is shown this one time. Private ones are refused."""

    def create(keep: Keep) -> WebhookAnswer:
        resolve_url(request.url, parse_networks(the.settings.webhook_private_networks))
        events = list(dict.fromkeys(request.events))
        with the.database.write() as session:
            row = webhooks.create(session, caller.tenant_id, request.name, request.url, events, caller.key_id)
            answer = WebhookAnswer.model_validate(row)
            keep(session, answer)
        return answer

    made = once(WebhookAnswer, create)
    response.headers["Location"] = f"/v1/webhooks/{made.name}"
    # No kept answer has the secret: it goes when its webhook goes. A repeat is shown it, as the first answer was lost.
    with the.database.read() as session:
        return NewWebhookAnswer.model_validate(webhooks.get(session, caller.tenant_id, made.name))


@router.get("/v1/webhooks", responses=problems(), summary="List webhooks")
def list_webhooks(the: Services, caller: Caller) -> Page[WebhookAnswer]:
    """All webhooks by name, without their secrets, on one page."""
    with the.database.read() as session:
        rows = webhooks.list_all(session, caller.tenant_id)
    return Page(items=[WebhookAnswer.model_validate(row) for row in rows], next_page_token=None)


@router.get("/v1/webhooks/{name}", responses=problems(404), summary="Show a webhook")
def get_webhook(name: PathName, the: Services, caller: Caller) -> WebhookAnswer:
    """A webhook, without its secret; ``disabled`` where it has answered 410."""
    with the.database.read() as session:
        return WebhookAnswer.model_validate(webhooks.get(session, caller.tenant_id, name))


@router.delete("/v1/webhooks/{name}", status_code=204, responses=problems(403, 404), summary="Delete a webhook")
def delete_webhook(name: PathName, the: Services, caller: Caller) -> None:
    """Delete a webhook and what it was still to be told."""
    with the.database.write() as session:
        webhooks.remove(session, caller.tenant_id, name)


@router.post("/v1/webhooks/{name}/rotate", responses=problems(403, 404), summary="Give it a new secret")
def rotate_secret(name: PathName, the: Services, caller: Caller) -> NewWebhookAnswer:
    """A new secret, shown this one time; for 24 hours messages are signed with the one before as well."""
    with the.database.write() as session:
        return NewWebhookAnswer.model_validate(webhooks.rotate(session, caller.tenant_id, name))


@router.post("/v1/webhooks/{name}/test", status_code=202, responses=problems(403, 404, 409), summary="Send a test")
def send_test(name: PathName, the: Services, caller: Caller) -> DeliveryAnswer:
    """Send the event ``webhook.test`` the way every other is sent; the list of deliveries says how it went."""
    with the.database.write() as session:
        return DeliveryAnswer.model_validate(webhooks.send_test(session, caller.tenant_id, name))


@router.get("/v1/webhooks/{name}/deliveries", responses=problems(404), summary="List deliveries")
def list_deliveries(
    name: PathName, the: Services, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[DeliveryAnswer]:
    """What a webhook was told within the last 7 days, newest first, and whether it took it."""
    size = min(page_size, MAX_PAGE_SIZE)
    with the.database.read() as session:
        rows = webhooks.list_deliveries(session, caller.tenant_id, name, after_id(page_token), size)
    items = [DeliveryAnswer.model_validate(row) for row in rows]
    return Page(items=items, next_page_token=next_token(rows, size, rows[-1].id if rows else None))
