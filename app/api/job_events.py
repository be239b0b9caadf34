"""Attempts of a job, and a stream of its events (Server-Sent Events)."""

import json
from collections.abc import AsyncGenerator
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header
from fastapi.responses import Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.streamed_response import StreamedResponse
from app.schemas.base import Page
from app.schemas.jobs import AttemptAnswer
from app.store import jobs
from app.store.job_watch import JobWatch
from app.store.jobs import ENDED, JobUpdate
from app.store.tables import JobEvent
from models.types import JsonObject

router = APIRouter(tags=["jobs"])

EVENTS = "text/event-stream"
RECONNECT_MS = 2_000  # before a client that lost the connection tries again
KEEP_ALIVE_S = 15.0  # between two comments without events, so that no proxy closes the connection
EVENT: JsonObject = {
    "type": "object",
    "description": "One event of the stream.",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Send it as `Last-Event-ID` to continue after this event."},
        "event": {"enum": ["state", "progress", "log", "end"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_ANSWER: dict[int | str, JsonObject] = {
    200: {
        "description": "Events, each with an id; the last is `end`.",
        "content": {
            EVENTS: {
                "schema": EVENT,
                "example": 'id: 7\nevent: progress\ndata: {"phase": "fit", "epoch": 3, "share": 0.4}\n\n',
            }
        },
    }
}

LastEventId = Annotated[
    # The document has no null: a header is text.
    Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | SkipJsonSchema[None],
    Header(alias="Last-Event-ID", description="Continue after this event, as browsers do."),
]


@router.get("/v1/jobs/{job_id}/attempts", responses=problems(404), summary="List attempts at a job")
def list_attempts(
    job_id: PathName, service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[AttemptAnswer]:
    """Return each start of a job, oldest first: its worker, the time it had waited, and its end."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: jobs.list_attempts(session, caller.tenant_id, job_id, after or 0, size),
            lambda rows: [AttemptAnswer.model_validate(row) for row in rows],
            row_id,
        )


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 429)},
    summary="Follow a job",
)
async def follow_job(
    job_id: PathName, service: CurrentService, caller: Caller, last_event_id: LastEventId = None
) -> Response:
    """Send events as they occur: ``state``, ``progress`` and ``log``, from the first stored or after ``Last-Event-ID``.

    After the end of the job comes an event ``end`` with its last state; then a client should close. If the service
    stops or the key is revoked before, the last event is ``error``; after a stop a client connects again.
    """
    await run_sync(_find, service, caller, job_id)
    pieces = _event_stream(service.watch, job_id, int(last_event_id or 0), caller.key_id)
    return StreamedResponse(pieces, service.watch.slots.hold(caller.tenant_id), EVENTS)


def _find(service: CurrentService, caller: Caller, job_id: str) -> None:
    with service.database.read() as session:
        jobs.get(session, caller.tenant_id, job_id)


async def _event_stream(watch: JobWatch, job_id: str, after: int, key_id: str) -> AsyncGenerator[bytes, None]:
    yield f"retry: {RECONNECT_MS}\n\n".encode()
    with watch.watching(job_id, after, key_id) as watcher:
        while not watch.is_stopping:
            update = await watcher.next(KEEP_ALIVE_S)
            if watcher.is_refused:
                yield _encode_event("error", {"code": "unauthorized", "message": "the key is no longer valid"})
                return
            if update is None:
                yield b": still here\n\n"
                continue
            for event in update.events:
                yield _encode_event(event.kind, event.data, event)
            if _is_complete(update):
                yield _encode_event("end", {"state": update.state, "attempt": update.attempt})
                return
    yield _encode_event("error", {"code": "unavailable", "message": "the service is being stopped; connect again"})


def _is_complete(update: JobUpdate) -> bool:
    """Return whether the job has ended and its last event is in this update or an earlier one."""
    last = update.events[-1].data.get("state") if update.events else update.state
    return update.state in ENDED and last == update.state


def _encode_event(kind: str, data: JsonObject, event: JobEvent | None = None) -> bytes:
    """Return one event in the format of the HTML standard; JSON text contains no line breaks."""
    lines = [] if event is None else [f"id: {event.id}"]
    return "\n".join([*lines, f"event: {kind}", f"data: {json.dumps(data, allow_nan=False)}", "", ""]).encode()
