"""/v1/models: the registry. Versions are immutable; aliases move between them, and every move is recorded."""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from app.api.http.idempotency import Idempotency
from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.raw_body import RawBody
from app.api.http.services import Caller, CurrentService, PathName, principal_of, problems, service_of
from app.api.http.write_routes import WriteRoute
from app.planning.bundle_import import BundleUpload
from app.planning.jobs import submit_import
from app.problems import UnsupportedMedia
from app.schemas.base import Page
from app.schemas.jobs import JobAnswer
from app.schemas.models import AliasAnswer, AliasMoveAnswer, ModelAnswer, MoveRequest, VersionAnswer
from app.store import alias_history, datasets, registry
from app.store.tables import Alias, Model, Revision, Version
from models.errors import InputError
from models.types import JsonObject

router = APIRouter(tags=["models"], route_class=WriteRoute)

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Archived = Annotated[bool, Query(description="List the archived ones instead of those in use.")]
Digest = Annotated[
    str | None,
    Header(
        max_length=1_000,
        description="RFC 9530: the SHA-256 of the bundle, which is refused if other bytes arrive.",
        examples=["sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"],
    ),
]

OCTETS = "application/octet-stream"
BINARY = {"type": "string", "format": "binary"}
_BUNDLE: dict[int | str, JsonObject] = {200: {"description": "The bundle.", "content": {OCTETS: {"schema": BINARY}}}}


@router.get("/v1/models", responses=problems(), summary="List models")
def list_models(
    service: CurrentService,
    caller: Caller,
    page_token: PageToken = None,
    page_size: PageSize = 50,
    archived: Archived = False,
) -> Page[ModelAnswer]:
    """List the models in use, or the archived ones, with their aliases, oldest first."""
    with service.database.read() as session:

        def answers(rows: Sequence[Model]) -> list[ModelAnswer]:
            aliases = registry.aliases_of(session, rows)
            return [_model(row, aliases[row.id]) for row in rows]

        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: registry.list_models(session, caller.tenant_id, after or 0, size, archived),
            answers,
            row_id,
        )


@router.get("/v1/models/{name}", responses=problems(404), summary="Show a model")
def get_model(name: PathName, service: CurrentService, caller: Caller) -> ModelAnswer:
    """Show a model and the versions of its aliases."""
    with service.database.read() as session:
        row = registry.get_model(session, caller.tenant_id, name)
        return _model(row, registry.list_aliases(session, caller.tenant_id, name))


@router.get("/v1/models/{name}/versions", responses=problems(404), summary="List versions")
def list_versions(
    name: PathName,
    service: CurrentService,
    caller: Caller,
    page_token: PageToken = None,
    page_size: PageSize = 50,
    archived: Archived = False,
) -> Page[VersionAnswer]:
    """List the versions of a model, newest first: those in use, or the archived and deleted ones."""
    with service.database.read() as session:

        def answers(rows: Sequence[Version]) -> list[VersionAnswer]:
            revisions = datasets.revisions_by_id(session, caller.tenant_id, [row.revision_id for row in rows])
            return [version_answer(name, row, revisions) for row in rows]

        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: registry.list_versions(session, caller.tenant_id, name, after, size, archived),
            answers,
            row_id,
        )


@router.get("/v1/models/{name}/versions/{number}", responses=problems(404), summary="Show a version")
def get_version(name: PathName, number: Number, service: CurrentService, caller: Caller) -> VersionAnswer:
    """Show a version: its spec, its training data, and its backtest beside seasonal naive."""
    with service.database.read() as session:
        row = registry.resolve(session, caller.tenant_id, name, number, None)
        revisions = datasets.revisions_by_id(session, caller.tenant_id, [row.revision_id])
    return version_answer(name, row, revisions)


@router.get(
    "/v1/models/{name}/versions/{number}/bundle",
    responses=_BUNDLE | problems(404, 500),
    response_class=Response,
    summary="Export a version",
)
def get_bundle(name: PathName, number: Number, service: CurrentService, caller: Caller) -> Response:
    """Download the bundle of a version: specs, weights and calibration. It can be imported here or in another service.

    Its SHA-256 is checked first, and sent as ``Content-Digest`` (RFC 9530) and as ``ETag``.
    """
    with service.database.read() as session:
        row = registry.resolve(session, caller.tenant_id, name, number, None)
        data = registry.bundle(session, caller.tenant_id, row.id)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}-{number}.bundle"',
        "ETag": f'"{row.sha256}"',
        "Content-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(row.sha256)).decode()}:",
    }
    return Response(data, media_type=OCTETS, headers=headers)


@router.post(
    "/v1/models/{name}/versions",
    status_code=202,
    responses=problems(403, 415),
    openapi_extra={"requestBody": {"required": True, "content": {OCTETS: {"schema": BINARY}}}},
    summary="Import a version",
)
async def post_version(
    name: PathName,
    data: RawBody,
    request: Request,
    response: Response,
    idempotent: Idempotency,
    content_digest: Digest = None,
) -> JobAnswer:
    """Queue the import of a bundle as the next version of a model, which is created if absent; no alias moves.

    A damaged bundle is refused at once. Then a worker checks that ONNX Runtime and Keras agree on it, as after
    training; ``Location`` is the address of the job. The skill of an imported version is unknown; a job of the kind
    ``backtest`` measures it.
    """
    service, caller = service_of(request), principal_of(request)
    if request.headers.get("content-type", OCTETS) != OCTETS:
        raise UnsupportedMedia(f"A bundle has the Content-Type {OCTETS}.")
    upload = BundleUpload(model=name, data=data, content_digest=content_digest)
    job = await idempotent.answer_async(
        JobAnswer, lambda save: submit_import(service.database, service.settings, caller, upload, save)
    )
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


@router.get("/v1/models/{name}/aliases", responses=problems(404), summary="List aliases")
def list_aliases(name: PathName, service: CurrentService, caller: Caller) -> list[AliasAnswer]:
    """List the aliases of a model with their versions."""
    with service.database.read() as session:
        return [alias_answer(row) for row in registry.list_aliases(session, caller.tenant_id, name)]


@router.put("/v1/models/{name}/aliases/{alias}", responses=problems(403, 404, 409), summary="Move an alias")
def put_alias(
    name: PathName, alias: PathName, request: MoveRequest, service: CurrentService, caller: Caller
) -> AliasAnswer:
    """Point an alias at a version: promote, or roll back. Repeating it changes nothing.

    A version that cannot be loaded is refused, and so is an alias of digits only: MODEL@7 is version 7. Every process
    serves the new version within a second, once it has loaded it.
    """
    if alias.isdecimal():
        message, hint = f"'{alias}' would be read as the number of a version", "begin the alias with a letter"
        raise InputError.of("bad_alias", message, hint, field="alias")
    with service.database.read() as session:
        version = registry.resolve(session, caller.tenant_id, name, request.version, None)
    service.models.get(caller.tenant_id, version.id)
    move = registry.Move(model=name, alias=alias, number=request.version, reason=request.reason, moved_by=caller.key_id)
    with service.database.write() as session:
        answer = alias_answer(registry.move_alias(session, caller.tenant_id, move))
    service.aliases.forget((caller.tenant_id, name, alias))
    return answer


@router.get("/v1/models/{name}/aliases/{alias}/moves", responses=problems(404), summary="History of an alias")
def list_moves(
    name: PathName,
    alias: PathName,
    service: CurrentService,
    caller: Caller,
    page_token: PageToken = None,
    page_size: PageSize = 50,
) -> Page[AliasMoveAnswer]:
    """List the moves of an alias, newest first, with caller and reason."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: alias_history.alias_moves(session, caller.tenant_id, name, alias, after, size),
            lambda rows: [AliasMoveAnswer.model_validate(row) for row in rows],
            row_id,
        )


def _model(row: Model, aliases: Sequence[Alias]) -> ModelAnswer:
    return ModelAnswer(
        model=row.name,
        aliases=[alias_answer(alias) for alias in aliases],
        created_at=row.created_at,
        archived_at=row.archived_at,
        archived_by=row.archived_by,
    )


def alias_answer(row: Alias) -> AliasAnswer:
    """Return the public form of an alias."""
    return AliasAnswer(alias=row.name, version=row.version.number, moved_at=row.moved_at)


def version_answer(model: str, row: Version, revisions: Mapping[int, Revision]) -> VersionAnswer:
    """Return the public form of a version; ``revisions`` has the one that it learned from, by id."""
    revision = None if row.revision_id is None else revisions[row.revision_id]
    return VersionAnswer(
        model=model,
        version=row.number,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        spec=row.spec,
        scores=row.scores,
        skill=row.skill,
        origin=row.origin,
        dataset=None if revision is None else revision.dataset.name,
        revision=None if revision is None else revision.number,
        data_sha256=row.data_sha256,
        job_id=row.job_id,
        created_by=row.created_by,
        created_at=row.created_at,
        archived_at=row.archived_at,
        archived_by=row.archived_by,
        deleted_at=row.deleted_at,
        deleted_by=row.deleted_by,
    )
