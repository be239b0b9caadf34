"""``Idempotency-Key``: a POST that is sent again, because its answer was lost, creates nothing a second time."""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, TypeVar

from anyio.to_thread import run_sync
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.api.http.services import Caller, Services
from app.store import idempotency
from app.store.db import Database
from app.store.idempotency import AlreadyAnswered, KeyedRequest
from models.types import JsonObject

A = TypeVar("A", bound=BaseModel)

Keep = Callable[[Session, BaseModel], None]  # to be called in the transaction that creates, with what is answered

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Any text of your own: a request that is repeated with it, within a day, is done only once.",
    ),
]


def forget(session: Session, answer: BaseModel) -> None:
    """For what is created without a key."""


class Once:
    """One request that creates something; ``asked`` is None where it has no key."""

    def __init__(self, database: Database, response: Response, asked: KeyedRequest | None) -> None:
        self._database, self._response, self._asked = database, response, asked

    def __call__(self, shape: type[A], make: Callable[[Keep], A]) -> A:
        """What ``make`` answers, or what the same request was answered before.

        Raises:
            InputError: the key was used for another request.
        """
        if self._asked is None:
            return make(forget)
        if (before := self._before(self._asked)) is not None:
            return shape.model_validate(before)
        try:
            return make(self._keep)
        except AlreadyAnswered:
            return shape.model_validate(self._before(self._asked))

    def _before(self, asked: KeyedRequest) -> JsonObject | None:
        with self._database.read() as session:
            body = idempotency.find_answer(session, asked)
        if body is not None:
            self._response.headers["Idempotency-Replayed"] = "true"
        return body

    def _keep(self, session: Session, answer: BaseModel) -> None:
        assert self._asked is not None
        idempotency.save_answer(session, self._asked, answer.model_dump(mode="json"))


async def _once(request: Request, response: Response, the: Services, caller: Caller, key: Key = None) -> Once:
    asked = None
    if key is not None:
        route = f"{request.method} {request.url.path}"
        digest = await run_sync(_digest, request, await request.body())
        asked = KeyedRequest(tenant_id=caller.tenant_id, key=key, route=route, sha256=digest)
    return Once(the.database, response, asked)


def _digest(request: Request, body: bytes) -> str:
    """Of all that says what is wanted, each part by its length so that no two requests read alike."""
    parts = (request.url.query.encode(), request.headers.get("content-type", "").encode(), body)
    return sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


OnlyOnce = Annotated[Once, Depends(_once)]
