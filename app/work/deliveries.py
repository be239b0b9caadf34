"""Delivery of webhooks: sends each message of the outbox until the receiver accepts it or the message is too old.

Messages are signed by Standard Webhooks 1.0, and an answer of 2xx accepts one. The sender follows no redirects and
reads only the status of an answer. A slow receiver delays only its own messages. A message may arrive twice, under the
same id.
"""

import base64
import hmac
import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from typing import NamedTuple

from app.addresses import Network, resolve_url
from app.outbound import OutboundRequest, send
from app.store import webhooks
from app.store.db import Database
from app.store.webhooks import OutgoingDelivery
from app.work.loop import poll
from models.errors import InputError, excerpt

logger = logging.getLogger(__name__)

MAX_CONCURRENT = 16  # messages
MAX_OF_TENANT = 4  # of these, so that one tenant's slow receivers do not delay the messages of others
TIMEOUT_S = 10.0  # of one whole attempt, without the look-up of the host name
LEASE_S = 120.0  # after this time another sender may send the same message again
FIRST_WAIT_S, MAX_WAIT_S = 5.0, 4 * 3600.0
MAX_AGE_S = 24 * 3600.0
GONE = 410


class DeliveryResult(NamedTuple):
    """Result of one attempt: the status of the answer, if there was one, and a line for the list of deliveries."""

    status: int | None
    detail: str


def sign(delivery: OutgoingDelivery, at_s: int) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a message that is sent at ``at_s``, seconds since 1970.

    Standard Webhooks 1.0: HMAC-SHA256 of ``id.timestamp.body`` under each secret, in base 64.
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    message = {"type": delivery.event, "timestamp": delivery.created_at.isoformat(), "data": delivery.payload}
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "Forecastle",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signature(each, delivery.message_id, at_s, body) for each in delivery.secrets),
    }


def signature(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """Return ``v1,`` and the signature in base 64; ``secret`` is ``whsec_`` and the key in base 64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{at_s}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def wait_s(attempt: int) -> float:
    """Return the seconds to wait after the ``attempt``-th failure: 5 s, four times more each time, ±20 % at random."""
    return min(FIRST_WAIT_S * 4.0 ** (attempt - 1), MAX_WAIT_S) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


class Sender:
    """Sends due messages: up to ``MAX_CONCURRENT`` at a time, ``MAX_OF_TENANT`` of a tenant, one to each webhook."""

    def __init__(self, database: Database, private: Sequence[Network] = (), timeout_s: float = TIMEOUT_S) -> None:
        self._database, self._private, self._timeout_s = database, private, timeout_s
        self._context = ssl.create_default_context()
        self._pool = ThreadPoolExecutor(MAX_CONCURRENT, thread_name_prefix="deliver")
        self._sending: dict[int, tuple[int, Future[None]]] = {}  # by webhook, with its tenant

    def run(self, stop: threading.Event, poll_s: float) -> None:
        """Send messages until ``stop`` is set, then wait for those that are being sent."""
        poll(lambda: 0.0 if self.step() else None, stop, poll_s)
        self.close()

    def step(self) -> int:
        """Begin to send the messages that are due, and return how many they are."""
        self._sending = {webhook: sending for webhook, sending in self._sending.items() if not sending[1].done()}
        free = MAX_CONCURRENT - len(self._sending)
        if free == 0:
            return 0
        with self._database.read() as session:
            if not webhooks.is_due(session):
                return 0
        with self._database.write() as session:
            busy = {webhook: tenant_id for webhook, (tenant_id, _) in self._sending.items()}
            deliveries = webhooks.claim(session, free, busy, MAX_OF_TENANT, LEASE_S)
        for delivery in deliveries:
            self._sending[delivery.webhook_id] = delivery.tenant_id, self._pool.submit(self._deliver, delivery)
        return len(deliveries)

    def close(self) -> None:
        """Wait for the messages that are being sent."""
        self._pool.shutdown()

    def _deliver(self, delivery: OutgoingDelivery) -> None:
        try:
            outcome = self._send(delivery)
            with self._database.write() as session:
                if outcome.status is not None and 200 <= outcome.status < 300:
                    webhooks.mark_delivered(session, delivery, outcome.detail)
                elif outcome.status == GONE:
                    webhooks.disable(session, delivery, outcome.detail)
                else:
                    delay_s = wait_s(delivery.attempt)
                    webhooks.retry_later(session, delivery, outcome.detail, delay_s, MAX_AGE_S)
                    if outcome.status is None:
                        webhooks.postpone(session, delivery, delay_s)
        except Exception:
            # The message is sent again once its lease has expired.
            logger.exception("a message was not delivered", extra={"delivery": delivery.id})

    def _send(self, delivery: OutgoingDelivery) -> DeliveryResult:
        try:
            target = resolve_url(delivery.url, self._private)
            request = OutboundRequest("POST", *sign(delivery, int(time.time())))
            status = send(target, self._context, self._timeout_s, request).status
        except InputError as error:
            return DeliveryResult(None, str(error))
        except TimeoutError:
            return DeliveryResult(None, f"no answer within {self._timeout_s:g} s")
        except ssl.SSLCertVerificationError as error:
            return DeliveryResult(None, f"its certificate cannot be trusted: {error.verify_message}")
        except (OSError, HTTPException) as error:
            return DeliveryResult(None, excerpt(str(error) or type(error).__name__))
        return DeliveryResult(status, f"it answered {status}")
