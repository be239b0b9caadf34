"""/internal/v1/attempts: one route for each method of a job context, for a process on a cluster.

Each does for ``HttpJobContext`` what ``DatabaseJobContext`` does itself: see the methods of ``JobContext`` in
``app.work.job_context``. The guard admits only a caller with the secret of the attempt in the path. Every write checks
the fencing token in its own transaction.
"""

import json
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.api.http.raw_body import RawBody
from app.api.http.services import CurrentService
from app.api.http.write_routes import WriteRoute
from app.planning.job_kind import limits_of
from app.problems import BodyTooLarge, Unauthorized
from app.schemas.base import NAME, Number
from app.store import artifacts, checkpoints, datasets, jobs, outcomes, panels, registry, tasks
from app.store.artifacts import PART_BYTES, NewPart
from app.store.attempt_secrets import AttemptPrincipal
from app.store.outcome_codec import outcome_from_bytes
from models.types import JsonObject

OCTETS = "application/octet-stream"
MAX_ID = 2**63 - 1
MAX_PROGRESS_BYTES = 16 * 1024

router = APIRouter(prefix="/internal/v1/attempts/{job_id}/{token}", include_in_schema=False, route_class=WriteRoute)


def _attempt(request: Request) -> AttemptPrincipal:
    # A path that the router matches and the access table does not would be open to any key.
    principal = request.state.principal
    if not isinstance(principal, AttemptPrincipal):
        raise Unauthorized("Only the attempt itself may do this.")
    return principal


Mine = Annotated[AttemptPrincipal, Depends(_attempt)]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_size(progress: JsonObject) -> JsonObject:
    """Return ``progress`` if it is small enough: the database keeps thousands of them for a job. Raise ValueError."""
    text = json.dumps(progress, allow_nan=False)
    if len(text) > MAX_PROGRESS_BYTES or "\\u0000" in text:
        raise ValueError(f"the progress has {len(text)} characters; send at most {MAX_PROGRESS_BYTES}, without NUL")
    return progress


Progress = Annotated[JsonObject, Body(), AfterValidator(_check_size)]
NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no NUL


class LogBody(_Body):
    """Body of ``log``."""

    line: str = Field(max_length=10_000, pattern=NO_NUL)


class FailBody(_Body):
    """Body of ``fail``."""

    code: str = Field(max_length=100, pattern=NO_NUL)
    message: str = Field(max_length=10_000, pattern=NO_NUL)


class ArtifactBody(_Body):
    """Body of ``open_artifact``."""

    name: str = Field(pattern=NAME)
    media_type: str = Field(max_length=128, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")  # a header's value


class CompleteBody(_Body):
    """Body that completes an artifact: the size and checksum of all its parts."""

    size_bytes: int = Field(ge=0, le=MAX_ID)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


@router.get("")
def get_task(service: CurrentService, mine: Mine) -> JsonObject:
    with service.database.read() as session:
        task = tasks.task(session, mine.tenant_id, mine.job_id, mine.token)
    return {**asdict(task), "limits": asdict(limits_of(service.settings))}


@router.get("/panels/{revision_id}")
def get_panel(revision_id: Id, service: CurrentService, mine: Mine) -> Response:
    with service.database.read() as session:
        revision = datasets.revision_by_id(session, mine.tenant_id, revision_id)
        return Response(panels.load(session, mine.tenant_id, revision).to_bytes(), media_type=OCTETS)


@router.get("/champion")
def get_champion(service: CurrentService, mine: Mine) -> JsonObject | None:
    with service.database.read() as session:
        task = tasks.task(session, mine.tenant_id, mine.job_id, mine.token)
        found = tasks.champion(session, mine.tenant_id, task.model)
        return None if found is None else found.to_json()


@router.get("/versions/{version_id}")
def get_version(version_id: Id, service: CurrentService, mine: Mine) -> JsonObject:
    with service.database.read() as session:
        return tasks.version(session, mine.tenant_id, version_id).to_json()


@router.get("/versions/{version_id}/bundle")
def get_bundle(version_id: Id, service: CurrentService, mine: Mine) -> Response:
    with service.database.read() as session:
        return Response(registry.bundle(session, mine.tenant_id, version_id), media_type=OCTETS)


@router.get("/checkpoint")
def get_checkpoint(service: CurrentService, mine: Mine) -> Response:
    with service.database.read() as session:
        data = checkpoints.load(session, mine.job_id)
    return Response(status_code=204) if data is None else Response(data, media_type=OCTETS)


@router.put("/checkpoint", status_code=204)
def put_checkpoint(data: RawBody, service: CurrentService, mine: Mine) -> None:
    with service.database.write() as session:
        checkpoints.save(session, jobs.hold(session, mine.job_id, mine.token), data)


@router.post("/report")
def post_report(progress: Progress, service: CurrentService, mine: Mine) -> dict[str, bool]:
    with service.database.write() as session:
        return {"stop": jobs.report(session, mine.job_id, mine.token, progress)}


@router.post("/log", status_code=204)
def post_log(body: LogBody, service: CurrentService, mine: Mine) -> None:
    with service.database.write() as session:
        jobs.log(session, mine.job_id, mine.token, body.line)


@router.post("/artifacts", status_code=201)
def post_artifact(body: ArtifactBody, service: CurrentService, mine: Mine) -> dict[str, int]:
    with service.database.write() as session:
        job = jobs.hold(session, mine.job_id, mine.token)
        return {"id": artifacts.begin(session, job, body.name, body.media_type)}


@router.put("/artifacts/{artifact_id}/parts/{number}", status_code=204)
def put_part(artifact_id: Id, number: Number, data: RawBody, service: CurrentService, mine: Mine) -> None:
    if len(data) > PART_BYTES:
        raise BodyTooLarge(f"A part has at most {PART_BYTES} bytes; this one has {len(data)}.")
    with service.database.write() as session:
        job, part = jobs.hold(session, mine.job_id, mine.token), NewPart(artifact_id, number, data)
        artifacts.add_part(session, job, part, limits_of(service.settings))


@router.post("/artifacts/{artifact_id}/complete", status_code=204)
def post_complete(artifact_id: Id, body: CompleteBody, service: CurrentService, mine: Mine) -> None:
    with service.database.write() as session:
        job = jobs.hold(session, mine.job_id, mine.token)
        artifacts.complete(session, job, artifact_id, body.size_bytes, body.sha256)


@router.post("/finish", status_code=204)
def post_finish(data: RawBody, service: CurrentService, mine: Mine) -> None:
    outcome = outcome_from_bytes(data)
    with service.database.write() as session:
        outcomes.finish_job(session, tasks.task(session, mine.tenant_id, mine.job_id, mine.token), outcome)


@router.post("/fail", status_code=204)
def post_fail(body: FailBody, service: CurrentService, mine: Mine) -> None:
    with service.database.write() as session:
        jobs.fail(session, mine.job_id, mine.token, body.code, body.message, retry=False)


@router.post("/cancelled", status_code=204)
def post_cancelled(service: CurrentService, mine: Mine) -> None:
    with service.database.write() as session:
        jobs.mark_cancelled(session, mine.job_id, mine.token)
