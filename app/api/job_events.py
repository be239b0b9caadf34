"""What happens to a job: its attempts, and its events as they come (Server-Sent Events)."""

import json
from collections.abc import AsyncGenerator
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header
from fastapi.responses import Response

from app.api.http.pagination import MAX_PAGE_SIZE, PageSize, PageToken, after_id, next_token
from app.api.http.services import Caller, PathName, Services, problems
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
AGAIN_MS = 2_000  # until a client that lost the connection comes back
STILL_HERE_S = 15.0  # between two signs of life while nothing happens, or a proxy may close the connection
_ANSWER: dict[int | str, JsonObject] = {
    200: {
        "description": "Events, each with an id; the last is `end`.",
        "content": {
            EVENTS: {
                "schema": {"type": "string"},
                "example": 'id: 7\nevent: progress\ndata: {"phase": "fit", "epoch": 3, "share": 0.4}\n\n',
            }
        },
    }
}

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,18}$", description="Go on after this event, as browsers do."),
]


@router.get("/v1/jobs/{job_id}/attempts", responses=problems(404), summary="List attempts at a job")
def list_attempts(
    job_id: PathName, the: Services, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[AttemptAnswer]:
    """Each start of a job, oldest first: which worker had it, how long it had waited, and how it ended."""
    size = min(page_size, MAX_PAGE_SIZE)
    with the.database.read() as session:
        rows = jobs.list_attempts(session, caller.tenant_id, job_id, after_id(page_token) or 0, size)
    items = [
        AttemptAnswer(
            number=row.number,
            worker=row.worker,
            started_at=row.started_at,
            waited_s=row.waited_s,
            ended_at=row.ended_at,
            outcome=row.outcome,
            message=row.message,
        )
        for row in rows
    ]
    return Page(items=items, next_page_token=next_token(rows, size, rows[-1].id if rows else None))


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=Response,
    responses={**_ANSWER, **problems(404, 429)},
    summary="Follow a job",
)
async def follow_job(job_id: PathName, the: Services, caller: Caller, last_event_id: LastEventId = None) -> Response:
    """Events as they come: ``state``, ``progress`` and ``log``, from the first that is kept or after ``Last-Event-ID``.

    After the job is over there is an event ``end``, with its last state; then a client should close.
    """
    await run_sync(_find, the, caller, job_id)
    return StreamedResponse(_told(the.watch, job_id, int(last_event_id or 0)), the.watch.slots, EVENTS)


def _find(the: Services, caller: Caller, job_id: str) -> None:
    with the.database.read() as session:
        jobs.get(session, caller.tenant_id, job_id)


async def _told(watch: JobWatch, job_id: str, after: int) -> AsyncGenerator[bytes, None]:
    yield f"retry: {AGAIN_MS}\n\n".encode()
    with watch.watching(job_id, after) as watcher:
        while not watch.is_stopping:
            news = await watcher.next(STILL_HERE_S)
            if news is None:
                yield b": still here\n\n"
                continue
            for event in news.events:
                yield _piece(event.kind, event.data, event)
            if _is_all(news):
                yield _piece("end", {"state": news.state, "attempt": news.attempt})
                return


def _is_all(news: JobUpdate) -> bool:
    """Whether the job is over and its last event is among these, or was known."""
    last = news.events[-1].data.get("state") if news.events else news.state
    return news.state in ENDED and last == news.state


def _piece(kind: str, data: JsonObject, event: JobEvent | None = None) -> bytes:
    """One event in the format of the HTML standard; JSON has no line breaks of its own."""
    lines = [] if event is None else [f"id: {event.id}"]
    return "\n".join([*lines, f"event: {kind}", f"data: {json.dumps(data, allow_nan=False)}", "", ""]).encode()
