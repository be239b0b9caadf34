"""/v1/jobs/{id}/artifacts: the files that a job wrote, sent in parts."""

import base64
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.write_routes import WriteRoute
from app.schemas.base import Page
from app.schemas.jobs import ArtifactAnswer
from app.service import Service
from app.store import artifacts, jobs
from models.types import JsonObject

router = APIRouter(tags=["jobs"], route_class=WriteRoute)

_FILE: dict[int | str, JsonObject] = {200: {"description": "The file.", "content": {"application/octet-stream": {}}}}


@router.get("/v1/jobs/{job_id}/artifacts", responses=problems(404), summary="List the files of a job")
def list_artifacts(job_id: PathName, service: CurrentService, caller: Caller) -> Page[ArtifactAnswer]:
    """Return the files that a job wrote, by name; there are none before the job has succeeded."""
    with service.database.read() as session:
        rows = artifacts.list_of_job(session, jobs.get(session, caller.tenant_id, job_id))
        return Page(items=[ArtifactAnswer.model_validate(row) for row in rows], next_page_token=None)


@router.get(
    "/v1/jobs/{job_id}/artifacts/{name}",
    responses=_FILE | problems(404),
    response_class=StreamingResponse,
    summary="Download a file of a job",
)
def get_artifact(job_id: PathName, name: PathName, service: CurrentService, caller: Caller) -> StreamingResponse:
    """Return the file ``name``, with its SHA-256 as ``Repr-Digest`` (RFC 9530) and as ``ETag``."""
    with service.database.read() as session:
        row = artifacts.get(session, jobs.get(session, caller.tenant_id, job_id), name)
    assert row.sha256 is not None
    headers = {
        "Content-Length": str(row.size_bytes),
        "Content-Disposition": f'attachment; filename="{row.name}"',
        "ETag": f'"{row.sha256}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(row.sha256)).decode()}:",
    }
    return StreamingResponse(_parts(service, row.id), media_type=row.media_type, headers=headers)


@router.delete(
    "/v1/jobs/{job_id}/artifacts/{name}",
    status_code=204,
    responses=problems(403, 404),
    summary="Delete a file of a job",
)
def delete_artifact(job_id: PathName, name: PathName, service: CurrentService, caller: Caller) -> None:
    """Delete the file ``name`` of a job that has succeeded; the job and its result stay."""
    with service.database.write() as session:
        artifacts.delete_one(session, jobs.get(session, caller.tenant_id, job_id), name, caller.key_id)


def _parts(service: Service, artifact_id: int) -> Iterator[bytes]:
    """Yield the parts, each read in its own transaction: a slow client holds no database connection."""
    number = 1
    while True:
        with service.database.read() as session:
            part = artifacts.read_part(session, artifact_id, number)
        if part is None:
            return
        yield part
        number += 1
