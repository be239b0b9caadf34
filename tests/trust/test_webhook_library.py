"""Messages of webhooks as the library of the Standard Webhooks project checks them at a receiver."""

from base64 import b64encode
from datetime import UTC, datetime
from secrets import token_bytes

import pytest
import standardwebhooks

from app.store.webhooks import OutgoingDelivery
from app.work.deliveries import sign


def message(*secrets: str) -> OutgoingDelivery:
    """A message that is signed with ``secrets``."""
    return OutgoingDelivery(
        id=1,
        attempt=1,
        webhook_id=1,
        tenant_id=1,
        url="",
        secrets=secrets,
        message_id="msg_1",
        event="job.failed",
        payload={"job": "a1"},
        created_at=datetime(2026, 5, 1, tzinfo=UTC),
    )


def new_secret() -> str:
    return "whsec_" + b64encode(token_bytes(32)).decode()


def now_s() -> int:
    return int(datetime.now(UTC).timestamp())


def test_the_library_accepts_a_message_also_while_the_secret_changes() -> None:
    old, new = new_secret(), new_secret()
    body, headers = sign(message(new, old), now_s())
    for secret in (old, new):
        assert standardwebhooks.Webhook(secret).verify(body, headers)["data"] == {"job": "a1"}


@pytest.mark.parametrize("changed", ["body", "id", "timestamp", "secret", "age"])
def test_the_library_refuses_a_message_that_was_changed_or_is_old(changed: str) -> None:
    secret = new_secret()
    body, headers = sign(message(secret), now_s() - (600 if changed == "age" else 0))
    if changed == "body":
        body = body.replace(b"a1", b"a2")
    if changed in {"id", "timestamp"}:
        headers = {**headers, f"webhook-{changed}": str(int(headers["webhook-timestamp"]) + 1)}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret() if changed == "secret" else secret).verify(body, headers)
