"""``Idempotency-Key``: a POST that is repeated, because its answer was lost, creates nothing a second time."""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, TypeVar

from anyio.to_thread import run_sync
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.api.http.services import Caller, CurrentService
from app.principal import Principal
from app.problems import Conflict
from app.service import Service
from app.store import idempotency
from app.store.idempotency import AlreadyAnswered, KeyedRequest
from models.types import JsonObject

A = TypeVar("A", bound=BaseModel)

SaveAnswer = Callable[[Session, BaseModel], None]  # stores the answer, in the transaction that creates the thing

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Any text: a request that is repeated with the same key within a day is executed only once.",
    ),
]


def save_nothing(session: Session, answer: BaseModel) -> None:
    """Store no answer: the request has no key."""


class IdempotentRequest:
    """One request that creates something; ``keyed`` is None if it has no key."""

    def __init__(self, service: Service, caller: Principal, response: Response, keyed: KeyedRequest | None) -> None:
        self._service, self._caller, self._response, self._keyed = service, caller, response, keyed

    def answer(self, shape: type[A], create: Callable[[SaveAnswer], A]) -> A:
        """Return the answer of ``create``, or the stored answer to the same request.

        Raises:
            InputError: the key was used for another request.
        """
        if self._keyed is None:
            return create(save_nothing)
        if (stored := self._stored(self._keyed)) is not None:
            return shape.model_validate(stored)
        try:
            return create(self._save)
        except AlreadyAnswered:
            return shape.model_validate(self._stored(self._keyed))
        except Conflict:
            # The same request may have created the thing since the look-up above; then its answer is stored with it.
            if (stored := self._stored(self._keyed)) is None:
                raise
            return shape.model_validate(stored)

    def is_repeat(self) -> bool:
        """Return whether an answer to the same request is stored. Raise InputError, as ``answer``."""
        return self._keyed is not None and self._stored(self._keyed) is not None

    async def answer_async(self, shape: type[A], create: Callable[[SaveAnswer], A]) -> A:
        """Return ``answer`` from a thread for uploads, for routes that read the body themselves."""
        return await self._service.uploads.run(self._caller.tenant_id, self.answer, shape, create)

    def _stored(self, keyed: KeyedRequest) -> JsonObject | None:
        with self._service.database.read() as session:
            body = idempotency.find_answer(session, keyed)
        if body is not None:
            self._response.headers["Idempotency-Replayed"] = "true"
        return body

    def _save(self, session: Session, answer: BaseModel) -> None:
        assert self._keyed is not None
        idempotency.save_answer(session, self._keyed, answer.model_dump(mode="json"))


async def _idempotent_request(
    request: Request, response: Response, service: CurrentService, caller: Caller, key: Key = None
) -> IdempotentRequest:
    keyed = None
    if key is not None:
        route = f"{request.method} {request.url.path}"
        digest = await run_sync(_digest, request, await request.body())
        keyed = KeyedRequest(tenant_id=caller.tenant_id, key=key, route=route, sha256=digest)
    return IdempotentRequest(service, caller, response, keyed)


def _digest(request: Request, body: bytes) -> str:
    """Hash query, content type and body, each with its length so that no two requests have equal input."""
    parts = (request.url.query.encode(), request.headers.get("content-type", "").encode(), body)
    return sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


Idempotency = Annotated[IdempotentRequest, Depends(_idempotent_request)]
