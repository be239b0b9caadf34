"""What is in the outbox is sent: signed as Standard Webhooks 1.0 says, again and again until it is taken or too old.

What answers 2xx has it. Redirects are not followed, of an answer nothing but its status is read, and one who takes long
keeps nobody else waiting. A message may arrive twice: under the same id.
"""

import base64
import hmac
import json
import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from app.addresses import Network, ResolvedAddress, resolve_url
from app.store import webhooks
from app.store.db import Database
from app.store.webhooks import OutgoingDelivery
from app.work.loop import poll
from models.errors import InputError, excerpt

logger = logging.getLogger(__name__)

AT_ONCE = 8  # messages on their way at the same time
TIMEOUT_S = 10.0  # for all of one attempt, but for the look-up of the name
LEASE_S = 120.0  # after which another sender may think that this one is dead
FIRST_WAIT_S, MAX_WAIT_S = 5.0, 4 * 3600.0
MAX_AGE_S = 24 * 3600.0
GONE = 410


class DeliveryResult(NamedTuple):
    """How an attempt ended: the status that was answered, None where nothing was, and what to write down."""

    status: int | None
    detail: str


def signed(parcel: OutgoingDelivery, at_s: int) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a message that is sent at ``at_s``, seconds since 1970.

    Standard Webhooks 1.0: HMAC-SHA256 of ``id.timestamp.body`` under each secret, in base 64.
    """
    message = {"type": parcel.event, "timestamp": parcel.created_at.isoformat(), "data": parcel.payload}
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "Forecastle",
        "webhook-id": parcel.message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signature(each, parcel.message_id, at_s, body) for each in parcel.secrets),
    }


def signature(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """``v1,`` and the signature; ``secret`` is ``whsec_`` and the key in base 64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.digest(key, f"{message_id}.{at_s}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(made).decode()}"


def wait_s(attempt: int) -> float:
    """Seconds to wait after the ``attempt``-th failure: four times as long each time, and not all at once."""
    return min(FIRST_WAIT_S * 4.0 ** (attempt - 1), MAX_WAIT_S) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


class Sender:
    """Sends what is due, up to ``AT_ONCE`` at a time and one for each webhook; ``run`` does so until told to stop."""

    def __init__(self, database: Database, private: Sequence[Network] = (), timeout_s: float = TIMEOUT_S) -> None:
        self._database, self._private, self._timeout_s = database, private, timeout_s
        self._context = ssl.create_default_context()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver")
        self._sending: dict[int, Future[None]] = {}  # by webhook

    def run(self, stop: threading.Event, poll_s: float) -> None:
        """Send until ``stop`` is set, and wait for what is on its way."""
        poll(lambda: 0.0 if self.step() else None, stop, poll_s)
        self.close()

    def step(self) -> int:
        """Take what is due and begin to send it; how many messages that are."""
        self._sending = {webhook: future for webhook, future in self._sending.items() if not future.done()}
        free = AT_ONCE - len(self._sending)
        if free == 0:
            return 0
        with self._database.read() as session:
            if not webhooks.is_due(session):
                return 0
        with self._database.write() as session:
            parcels = webhooks.take(session, free, list(self._sending), LEASE_S)
        for parcel in parcels:
            self._sending[parcel.webhook_id] = self._pool.submit(self._deliver, parcel)
        return len(parcels)

    def close(self) -> None:
        """Wait for what is on its way."""
        self._pool.shutdown()

    def _deliver(self, parcel: OutgoingDelivery) -> None:
        try:
            outcome = self._send(parcel)
            with self._database.write() as session:
                if outcome.status is not None and 200 <= outcome.status < 300:
                    webhooks.taken(session, parcel, outcome.detail)
                elif outcome.status == GONE:
                    webhooks.disable(session, parcel, outcome.detail)
                else:
                    delay_s = wait_s(parcel.attempt)
                    webhooks.again(session, parcel, outcome.detail, delay_s, MAX_AGE_S)
                    if outcome.status is None:
                        webhooks.hold_back(session, parcel, delay_s)
        except Exception:
            # Its lease brings it back; but somebody must see why.
            logger.exception("a message could not be sent", extra={"delivery": parcel.id})

    def _send(self, parcel: OutgoingDelivery) -> DeliveryResult:
        try:
            target = resolve_url(parcel.url, self._private)
            status = _post(target, self._context, self._timeout_s, *signed(parcel, int(time.time())))
        except InputError as error:
            return DeliveryResult(None, str(error))
        except TimeoutError:
            return DeliveryResult(None, f"no answer within {self._timeout_s:g} s")
        except ssl.SSLCertVerificationError as error:
            return DeliveryResult(None, f"its certificate cannot be trusted: {error.verify_message}")
        except (OSError, HTTPException) as error:
            return DeliveryResult(None, excerpt(str(error) or type(error).__name__))
        return DeliveryResult(status, f"it answered {status}")


def _post(
    target: ResolvedAddress, context: ssl.SSLContext, timeout_s: float, body: bytes, headers: dict[str, str]
) -> int:
    """The status of the answer. Raise TimeoutError, OSError, HTTPException."""
    over = threading.Event()
    with socket.create_connection((target.ip, target.port), timeout_s) as plain, plain.dup() as other:
        # The timeout of a socket is for one read: who sends a byte now and then would never come to an end.
        timer = threading.Timer(timeout_s, _cut, (other, over))
        timer.start()
        try:
            return _ask(target, context, plain, body, headers)
        except (OSError, HTTPException) as error:
            raise TimeoutError if over.is_set() else error from None
        finally:
            timer.cancel()
            timer.join()


def _ask(
    target: ResolvedAddress, context: ssl.SSLContext, plain: socket.socket, body: bytes, headers: dict[str, str]
) -> int:
    connection = HTTPConnection(target.host, target.port)
    connection.sock = context.wrap_socket(plain, server_hostname=target.host) if target.tls else plain
    try:
        connection.request("POST", target.path, body, {"Host": target.authority, "Connection": "close", **headers})
        with connection.getresponse() as answer:
            return answer.status
    finally:
        connection.close()


def _cut(connected: socket.socket, over: threading.Event) -> None:
    over.set()
    with suppress(OSError):  # the other side was faster
        connected.shutdown(socket.SHUT_RDWR)
