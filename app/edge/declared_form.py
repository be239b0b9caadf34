"""Refusal of requests whose query or Content-Type is not that which their route declares.

Otherwise a misspelt filter would return the whole list, and a table sent to a JSON route be called malformed JSON.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple, get_args, get_origin
from urllib.parse import parse_qsl

import fastapi.routing
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.access import find_route, listed_method
from app.problems import UnsupportedMedia
from models.errors import excerpt


class Form(NamedTuple):
    """Form of the requests of one route.

    ``query``: name of each parameter, and whether it may be given several times. ``is_json``: the framework reads the
    body as JSON.
    """

    query: Mapping[str, bool]
    is_json: bool


Forms = Mapping[tuple[str, str], Form]  # by method and path template


class FormCheck:
    """ASGI middleware that refuses undeclared and repeated query parameters, and bodies that are not JSON."""

    def __init__(self, app: ASGIApp, forms: Forms) -> None:
        self.app, self.forms = app, forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            RequestValidationError: with an error for each parameter that is unknown or repeated.
            UnsupportedMedia: the route reads JSON, and the body is announced as something else.
        """
        if scope["type"] == "http" and (scope["query_string"] or scope["method"] not in ("GET", "HEAD")):
            self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        route = find_route(scope["method"], scope["path"])
        form = None if route is None else self.forms.get((listed_method(scope["method"]), route.template))
        if form is None:
            return  # the framework answers 404 or 405
        if scope["query_string"]:
            check_query(scope["query_string"], form.query)
        if form.is_json:
            check_json(scope["headers"])


def check_query(query: bytes, known: Mapping[str, bool]) -> None:
    """Refuse the parameters of ``query`` that are not ``known``, or that are given several times and may not be.

    Raises:
        RequestValidationError: with an error for each, which names the nearest known name.
    """
    given = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    errors = [_unknown(name, known) for name in dict.fromkeys(given) if name not in known]
    for name, may_repeat in known.items():
        if not may_repeat and given.count(name) > 1:
            errors.append(_error(name, "repeated", f"'{name}' is given {given.count(name)} times", "give it once"))
    if errors:
        raise RequestValidationError(errors)


def check_json(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a body whose Content-Type is not JSON.

    Raises:
        UnsupportedMedia: it is another type, or none; curl's ``-d`` alone announces a form.
    """
    found = dict(reversed(headers))
    if b"transfer-encoding" not in found and found.get(b"content-length", b"0") == b"0":
        return  # no body: the framework names the fields that are missing
    kind = found.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        got = f"got Content-Type {excerpt(kind)}" if kind else "got no Content-Type"
        raise UnsupportedMedia(f"{got}; send the header 'Content-Type: application/json'")


def declared_forms(app: FastAPI) -> Forms:
    """Return the form of every route of ``app``, from its function or, for raw routes, its OpenAPI extension."""
    found: dict[tuple[str, str], Form] = {}
    for context in fastapi.routing.iter_route_contexts(app.routes):
        route, form = context.original_route, Form({}, False)
        if isinstance(route, fastapi.routing.APIRoute):
            names = dict(_parameters(route.dependant))
            extra = (route.openapi_extra or {}).get("parameters", ())
            names |= {one["name"]: one.get("explode") is False for one in extra if one["in"] == "query"}
            form = Form(names, route.body_field is not None)
        for method in context.methods or ():
            found[method, context.path or ""] = form
    return found


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the name of each query parameter, and whether it is a list, which is given by repeating it."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        yield field.alias, list in {get_origin(kind) for kind in (annotation, *get_args(annotation))}
    for inner in dependant.dependencies:
        yield from _parameters(inner)


def _unknown(name: str, known: Mapping[str, bool]) -> dict[str, object]:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "remove it"
    names = f"this route knows {', '.join(known)}" if known else "this route has no query parameters"
    return _error(name, "extra_forbidden", f"there is no query parameter of this name; {names}", hint)


def _error(name: str, code: str, message: str, hint: str) -> dict[str, object]:
    return {"type": code, "loc": ("query", name), "msg": message, "hint": hint}
