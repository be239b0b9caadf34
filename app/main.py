"""Assembly of the service: ``create_app`` makes every part and connects them."""

import gc
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import start_http_server
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import (
    api_keys,
    artifacts,
    attempts,
    audit_events,
    datasets,
    decisions,
    deletion,
    forecasts,
    health,
    job_events,
    jobs,
    metrics,
    models,
    problems,
    quality,
    schedules,
    streams,
    tenants,
    usage,
    webhooks,
)
from app.api.http.raw_routes import FastPath, definitions
from app.api.http.services import PROBLEM
from app.edge.body_admission import BodyAdmission
from app.edge.body_budget import BodyBudget
from app.edge.compression_middleware import CompressionMiddleware
from app.edge.declared_form import FormCheck, declared_forms
from app.edge.guard import Credentials, Guard
from app.edge.host_check import HostCheck, parse_hosts
from app.edge.problem_json import install, problem_response
from app.edge.traced_requests import TracedRequests
from app.oidc import Identity, looks_like_token
from app.problems import Conflict
from app.schemas.forecasts import ForecastRequest
from app.service import Service, create_service
from app.settings import Settings
from app.store import attempt_secrets, keys
from app.store.db import Database, now
from app.store.jobs import Fenced
from app.telemetry import Figure

MAX_UNCOLLECTED = 20_000  # objects: a few megabytes
SWITCH_INTERVAL_S = 0.0005
DESCRIPTION = "Post history, get forecasts with honest intervals; train, register and serve recurrent forecasters."


def create_app(settings: Settings) -> FastAPI:
    """Return the service over the database in ``settings``; it connects with the first request."""
    service = create_service(settings)
    work, kept = (forecasts, streams, jobs, job_events, artifacts, attempts), (datasets, models, decisions, quality)
    rooms = (
        *work,
        *kept,
        deletion,
        schedules,
        webhooks,
        api_keys,
        tenants,
        usage,
        audit_events,
        problems,
        health,
        metrics,
    )
    app = Guarded(
        # Not by include_router, which builds every route again: most of the time that an app took to make.
        routes=[route for room in rooms for route in room.router.routes],
        title="Forecastle",
        version=version("forecastle"),
        description=DESCRIPTION,
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a path with a slash too many is not in the access table
        lifespan=_lifespan,
    )
    app.state.service = service
    install(app)
    app.add_exception_handler(Fenced, _fenced)
    app.guard = Guard(
        HostCheck(
            FormCheck(CompressionMiddleware(_admission(app, settings), settings.max_body_bytes), declared_forms(app)),
            parse_hosts(settings.allowed_hosts or ""),
        ),
        Credentials(partial(_authenticate, service), partial(_attempt, service.database)),
        service.limiter,
        max_body_bytes=settings.max_body_bytes,
        telemetry=service.telemetry,
    )
    app.entry = TracedRequests(app.guard, service.traces) if service.traces.is_on else app.guard
    app.state.drain = drain = app.guard.drain
    in_flight = "Requests that are being answered."
    service.telemetry.watch(Figure("forecastle_http_requests_in_flight", in_flight, lambda: len(drain)))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class Guarded(FastAPI):
    """FastAPI behind ``guard``, which checks the key of each request first.

    FastAPI's own first steps, such as reading telemetry settings from the environment, take as long as the guard.
    """

    guard: Guard
    entry: ASGIApp  # the guard, or what traces the requests to it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        await self.entry(scope, receive, send)


def _admission(app: FastAPI, settings: Settings) -> BodyAdmission:
    budget = BodyBudget(settings.max_bodies_bytes)
    app.state.service.telemetry.watch(
        Figure("forecastle_bodies_bytes", "Memory of request bodies under way, estimated.", lambda: budget.held_bytes),
        Figure("forecastle_bodies_limit_bytes", "Most memory that they may take.", lambda: settings.max_bodies_bytes),
    )
    return BodyAdmission(_shortcut(app), budget, min(settings.max_json_bytes, settings.max_body_bytes))


def _shortcut(app: FastAPI) -> FastPath:
    routes = {
        ("POST", "/v1/forecasts"): forecasts.post_forecast,
        ("GET", "/livez"): health.livez,
        ("GET", "/readyz"): health.readyz,
    }
    return FastPath(partial(FastAPI.__call__, app), app, routes)


@asynccontextmanager
async def _lifespan(app: Guarded) -> AsyncIterator[None]:
    with tuned_interpreter(), _metrics_port(app.state.service):
        yield
    await app.guard.keys.close()
    app.state.service.close()


@contextmanager
def _metrics_port(service: Service) -> Iterator[None]:
    """Answer with the metrics of the service on the port ``metrics_port``, if that is set, in threads of its own."""
    host, port = service.settings.host, service.settings.metrics_port
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, metrics.ServiceMetrics(service))
    except OSError as error:
        raise OSError(f"FORECASTLE_METRICS_PORT: {host}:{port}: {error}; choose another port") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def tuned_interpreter() -> Iterator[None]:
    """Tune the garbage collector and the switching of threads for serving; restore both at the end of the block.

    A request leaves almost no reference cycles behind, but 64 under way look like a leak to the collector: at its own
    threshold of 700 objects it took a seventh of a forecast's time. So it ignores the objects that exist already and
    runs seldom.

    The event loop shares the interpreter lock with threads that load models or query the database. Python lets a
    waiting thread wait 5 ms before it asks for the lock, and a request needs the lock several times: the 99th
    percentile of requests beside loads fell from 12 to 9 ms with 0.5 ms.
    """
    threshold, interval_s = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(MAX_UNCOLLECTED, *threshold[1:])
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.unfreeze()
        gc.set_threshold(*threshold)


def _authenticate(service: Service, raw: str) -> keys.KeyPrincipal | None:
    if service.tokens is not None and looks_like_token(raw):
        return _identify(service, service.tokens.verify(raw))
    with service.database.read() as session:
        moment = now(session)
        principal = keys.authenticate(session, raw, moment)
    if principal is not None:
        service.key_use.note(principal.key_id, moment)
    return principal


def _identify(service: Service, holder: Identity | None) -> keys.KeyPrincipal | None:
    if holder is None:
        return None
    with service.database.read() as session:
        return keys.identify(session, holder.tenant, holder.subject, holder.scope)


def _attempt(database: Database, job_id: str, token: int, secret: str) -> attempt_secrets.AttemptPrincipal | None:
    with database.read() as session:
        return attempt_secrets.find_attempt(session, job_id, token, secret)


async def _fenced(request: Request, error: Exception) -> Response:
    return problem_response(Conflict(str(error)), request.state.request_id, request.url.path)


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
        components.setdefault("schemas", {}).update(definitions(ForecastRequest), Problem=PROBLEM_SCHEMA)
        schema["security"] = [{"key": []}]
        for path in ("/livez", "/readyz"):
            schema["paths"][path]["get"]["security"] = []
        for operation in (one for methods in schema["paths"].values() for one in methods.values()):
            if "requestBody" in operation:
                operation["responses"]["400"] = {"description": "The body is not JSON, or is incomplete", **PROBLEM}
        app.openapi_schema = schema
    return app.openapi_schema
