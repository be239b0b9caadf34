"""The table of every route of the service and of the access that it needs."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import fastapi.routing
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from app.principal import Scope


class Access(StrEnum):
    """Credentials of a route: none, a key of a scope or of one that includes it, or the secret of the attempt in its
    path."""

    PUBLIC = "public"
    FORECAST = "forecast"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    OPERATOR = "operator"
    ATTEMPT = "attempt"


ATTEMPTS = "/internal/v1/attempts/{job_id}/{token}"


# Scope of a key that each kind of access needs.
SCOPE_OF: dict[Access, Scope] = {
    Access.FORECAST: "forecast",
    Access.READ: "read",
    Access.WRITE: "write",
    Access.ADMIN: "admin",
    Access.OPERATOR: "operator",
}

ACCESS: dict[tuple[str, str], Access] = {
    ("GET", "/livez"): Access.PUBLIC,
    ("GET", "/readyz"): Access.PUBLIC,
    ("GET", "/metrics"): Access.READ,
    ("GET", "/openapi.json"): Access.FORECAST,
    ("GET", "/problems/{code}"): Access.FORECAST,
    ("POST", "/v1/forecasts"): Access.FORECAST,
    ("POST", "/v1/forecasts/stream"): Access.FORECAST,
    ("GET", "/v1/datasets"): Access.READ,
    ("POST", "/v1/datasets"): Access.WRITE,
    ("GET", "/v1/datasets/{name}"): Access.READ,
    ("POST", "/v1/datasets/{name}/rows"): Access.WRITE,
    ("GET", "/v1/datasets/{name}/revisions"): Access.READ,
    ("GET", "/v1/jobs"): Access.READ,
    ("POST", "/v1/jobs"): Access.WRITE,
    ("GET", "/v1/jobs/{job_id}"): Access.READ,
    ("DELETE", "/v1/jobs/{job_id}"): Access.WRITE,
    ("GET", "/v1/jobs/{job_id}/attempts"): Access.READ,
    ("GET", "/v1/jobs/{job_id}/events"): Access.READ,
    ("GET", "/v1/jobs/{job_id}/artifacts"): Access.READ,
    ("GET", "/v1/jobs/{job_id}/artifacts/{name}"): Access.READ,
    ("DELETE", "/v1/jobs/{job_id}/artifacts/{name}"): Access.WRITE,
    ("POST", "/v1/jobs/{job_id}/cancel"): Access.WRITE,
    ("GET", "/v1/models"): Access.READ,
    ("GET", "/v1/models/{name}"): Access.READ,
    ("DELETE", "/v1/models/{name}"): Access.WRITE,
    ("GET", "/v1/models/{name}/versions"): Access.READ,
    ("POST", "/v1/models/{name}/versions"): Access.WRITE,
    ("GET", "/v1/models/{name}/versions/{number}"): Access.READ,
    ("DELETE", "/v1/models/{name}/versions/{number}"): Access.WRITE,
    ("POST", "/v1/models/{name}/versions/{number}/restore"): Access.WRITE,
    ("GET", "/v1/models/{name}/versions/{number}/bundle"): Access.READ,
    ("GET", "/v1/models/{name}/aliases"): Access.READ,
    ("PUT", "/v1/models/{name}/aliases/{alias}"): Access.WRITE,
    ("DELETE", "/v1/models/{name}/aliases/{alias}"): Access.WRITE,
    ("GET", "/v1/models/{name}/aliases/{alias}/moves"): Access.READ,
    ("POST", "/v1/models/{name}/aliases/{alias}/rollback"): Access.WRITE,
    ("GET", "/v1/models/{name}/quality"): Access.READ,
    ("GET", "/v1/models/{name}/decisions"): Access.READ,
    ("POST", "/v1/models/{name}/decisions/{number}/approve"): Access.WRITE,
    ("POST", "/v1/models/{name}/decisions/{number}/reject"): Access.WRITE,
    ("GET", "/v1/audit-events"): Access.ADMIN,
    ("GET", "/v1/schedules"): Access.READ,
    ("POST", "/v1/schedules"): Access.WRITE,
    ("GET", "/v1/schedules/{name}"): Access.READ,
    ("PATCH", "/v1/schedules/{name}"): Access.WRITE,
    ("DELETE", "/v1/schedules/{name}"): Access.WRITE,
    ("POST", "/v1/schedules/{name}/pause"): Access.WRITE,
    ("POST", "/v1/schedules/{name}/resume"): Access.WRITE,
    ("POST", "/v1/schedules/{name}/run"): Access.WRITE,
    ("GET", "/v1/schedules/{name}/firings"): Access.READ,
    ("GET", "/v1/usage"): Access.READ,
    ("GET", "/v1/webhooks"): Access.READ,
    ("POST", "/v1/webhooks"): Access.WRITE,
    ("GET", "/v1/webhooks/{name}"): Access.READ,
    ("DELETE", "/v1/webhooks/{name}"): Access.WRITE,
    ("POST", "/v1/webhooks/{name}/rotate"): Access.WRITE,
    ("POST", "/v1/webhooks/{name}/test"): Access.WRITE,
    ("GET", "/v1/webhooks/{name}/deliveries"): Access.READ,
    ("GET", "/v1/keys"): Access.ADMIN,
    ("POST", "/v1/keys"): Access.ADMIN,
    ("GET", "/v1/keys/{key_id}"): Access.ADMIN,
    ("DELETE", "/v1/keys/{key_id}"): Access.ADMIN,
    ("POST", "/v1/keys/{key_id}/rotate"): Access.ADMIN,
    ("GET", "/v1/tenants"): Access.OPERATOR,
    ("POST", "/v1/tenants"): Access.OPERATOR,
    ("GET", "/v1/tenants/{name}"): Access.OPERATOR,
    ("DELETE", "/v1/tenants/{name}"): Access.OPERATOR,
    ("GET", "/v1/tenants/{name}/export"): Access.OPERATOR,
    ("POST", "/v1/tenants/{name}/keys"): Access.OPERATOR,
    ("POST", "/v1/tenants/{name}/suspend"): Access.OPERATOR,
    ("POST", "/v1/tenants/{name}/resume"): Access.OPERATOR,
    ("GET", ATTEMPTS): Access.ATTEMPT,
    ("GET", f"{ATTEMPTS}/panels/{{revision_id}}"): Access.ATTEMPT,
    ("GET", f"{ATTEMPTS}/champion"): Access.ATTEMPT,
    ("GET", f"{ATTEMPTS}/versions/{{version_id}}"): Access.ATTEMPT,
    ("GET", f"{ATTEMPTS}/versions/{{version_id}}/bundle"): Access.ATTEMPT,
    ("GET", f"{ATTEMPTS}/checkpoint"): Access.ATTEMPT,
    ("PUT", f"{ATTEMPTS}/checkpoint"): Access.ATTEMPT,
    ("POST", f"{ATTEMPTS}/report"): Access.ATTEMPT,
    ("POST", f"{ATTEMPTS}/log"): Access.ATTEMPT,
    ("POST", f"{ATTEMPTS}/artifacts"): Access.ATTEMPT,
    ("PUT", f"{ATTEMPTS}/artifacts/{{artifact_id}}/parts/{{number}}"): Access.ATTEMPT,
    ("POST", f"{ATTEMPTS}/artifacts/{{artifact_id}}/complete"): Access.ATTEMPT,
    ("POST", f"{ATTEMPTS}/finish"): Access.ATTEMPT,
    ("POST", f"{ATTEMPTS}/fail"): Access.ATTEMPT,
    ("POST", f"{ATTEMPTS}/cancelled"): Access.ATTEMPT,
}

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# First segments of the routes that need more than WRITE, such as /v1/keys.
PROTECTED = tuple(
    {"/".join(path.split("/")[:3]) for (_, path), access in ACCESS.items() if access in (Access.ADMIN, Access.OPERATOR)}
)
SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Route(NamedTuple):
    """One entry of the table."""

    template: str
    access: Access


_FIXED = {(method, path): Route(path, access) for (method, path), access in ACCESS.items() if "{" not in path}
# Routes with parameters by method, each with the segments of its template.
_OTHERS: dict[str, list[tuple[list[str], Route]]] = {}
for (_method, _template), _access in ACCESS.items():
    if "{" in _template:
        _OTHERS.setdefault(_method, []).append((_template.split("/"), Route(_template, _access)))


def find_route(method: str, path: str) -> Route | None:
    """Return the route that the concrete ``path`` fits, or None; HEAD counts as GET."""
    listed = listed_method(method)
    fixed = _FIXED.get((listed, path))
    if fixed is not None:
        return fixed
    segments = path.split("/")
    return next((route for template, route in _OTHERS.get(listed, ()) if _fits(template, segments)), None)


def unlisted_access(method: str, path: str) -> Access:
    """Return the access that a path needs which the table lacks.

    The framework's router matches more paths than the table. So that no key reaches a handler by such a path that it
    could not reach by the listed one, this is the most that any route with the same beginning needs.
    """
    if path.startswith(PROTECTED):
        return Access.OPERATOR
    return Access.READ if method in SAFE_METHODS else Access.WRITE


def allowed_methods(path: str) -> list[str]:
    """Return the methods that the table lists for the concrete ``path``, in the order of their names."""
    methods = sorted({method for method, _ in ACCESS})
    return [method for method in methods if find_route(method, path) is not None]


def unlisted(app: FastAPI) -> set[tuple[str, str]]:
    """Return the routes of ``app`` that the table lacks; a mounted app whose routes are unknown counts as unlisted."""
    return set(_served(app.routes)) - set(ACCESS)


def stale(app: FastAPI) -> set[tuple[str, str]]:
    """Return the entries of the table that ``app`` does not serve."""
    return set(ACCESS) - set(_served(app.routes))


def listed_method(method: str) -> str:
    """Return the method under which the table lists ``method``: HEAD counts as GET."""
    return "GET" if method == "HEAD" else method


def _fits(template: Sequence[str], segments: Sequence[str]) -> bool:
    return len(template) == len(segments) and all(
        SEGMENT.fullmatch(got) is not None if want.startswith("{") else want == got
        for want, got in zip(template, segments, strict=True)
    )


def _served(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    # FastAPI keeps an included router as one opaque entry of `routes`; this is its own way to look inside.
    for context in fastapi.routing.iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, Mount) and route.routes:
            yield from _served(route.routes, prefix + route.path)
            continue
        # `path`, not `path_format`: a `{name:path}` matches more than the table's `{name}` and must not pass for it.
        path = prefix + (context.path if context.path is not None else f"<{type(route).__name__}>")
        for method in context.methods or {"*"}:
            yield listed_method(method), path
