"""create_app: the one place where the service is put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from anyio import CapacityLimiter
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from app.api import datasets, forecasts, health, jobs, models
from app.api.service import Service
from app.edge.answers import install, problem_response
from app.edge.guard import Guard
from app.problems import Unavailable
from app.serving.loaded import LoadedModels, engine_maker
from app.settings import Settings
from app.store import keys, registry
from app.store.db import Database, now
from app.telemetry import Telemetry

DESCRIPTION = "Post history, get forecasts with honest intervals; train, register and serve recurrent forecasters."


def create_app(settings: Settings) -> FastAPI:
    """The whole service over the database that ``settings`` name; nothing is connected before the first request."""
    service = create_service(settings)
    app = FastAPI(
        title="Forecastle",
        version=version("forecastle"),
        description=DESCRIPTION,
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # an address that is not in the access table is no address
        lifespan=_lifespan,
    )
    app.state.service = service
    for room in (forecasts, datasets, jobs, models, health):
        app.include_router(room.router)
    install(app)
    for away in (OperationalError, NoFreeConnection):
        app.add_exception_handler(away, _database_away)
    app.add_middleware(
        Guard,
        authenticate=lambda raw: _authenticate(service.database, raw),
        max_body_bytes=settings.max_body_bytes,
        telemetry=service.telemetry,
    )
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def create_service(settings: Settings) -> Service:
    """The parts of the service, for the API and for the command line."""
    database, telemetry = Database(settings.url), Telemetry(version("forecastle"))

    def fetch(tenant_id: int, version_id: int) -> bytes:
        with database.read() as session:
            return registry.bundle(session, tenant_id, version_id)

    loaded = LoadedModels(fetch, engine_maker(settings), settings.cache_bytes, telemetry)
    return Service(settings, database, loaded, telemetry, CapacityLimiter(settings.forecast_threads))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.service.database.dispose()


def _authenticate(database: Database, raw: str) -> keys.Principal | None:
    try:
        with database.read() as session:
            return keys.authenticate(session, raw, now(session))
    except (OperationalError, NoFreeConnection) as error:
        raise _unavailable() from error


async def _database_away(request: Request, error: Exception) -> Response:
    return problem_response(_unavailable(), request.state.request_id, request.url.path)


def _unavailable() -> Unavailable:
    return Unavailable("the database does not answer; try again in a few seconds")


PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code", "request_id", "errors", "errors_total"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable name of the kind of error."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "maxItems": 20,
            "items": {
                "type": "object",
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "hint": {"type": "string", "description": "What to do."},
                    "unique_id": {"type": "string"},
                    "row": {"type": "integer", "description": "Counted from 1."},
                    "field": {"type": "string"},
                    "pointer": {"type": "string", "description": "JSON Pointer into the body."},
                },
            },
        },
        "errors_total": {"type": "integer"},
    },
}


def _openapi(app: FastAPI) -> dict[str, object]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
        schema["security"] = [{"key": []}]
        for path in ("/livez", "/readyz"):
            schema["paths"][path]["get"]["security"] = []
        app.openapi_schema = schema
    return app.openapi_schema
