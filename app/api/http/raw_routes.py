"""Routes that read their own body, and the validation of a body by its schema."""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from models.types import JsonObject

T = TypeVar("T", bound=BaseModel)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class RawRoute(APIRoute):
    """A documented route whose function gets the plain request.

    FastAPI's own work for each request, to resolve dependencies and to validate the answer, takes as long as a
    forecast.
    """

    def get_route_handler(self) -> Handler:
        """Return the function of the route."""
        handler: Handler = self.endpoint
        return handler


class FastPath:
    """ASGI application that calls some raw routes without the framework, and the framework for all other requests.

    ``routes``: (method, path) -> the function of the route, which is listed in ``service`` too. An exception of it
    passes to the caller: the guard answers it.
    """

    def __init__(self, app: ASGIApp, service: FastAPI, routes: Mapping[tuple[str, str], Handler]) -> None:
        self.app, self.service, self.routes = app, service, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        handler = self.routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if handler is None:
            await self.app(scope, receive, send)
            return
        scope["app"] = self.service
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)


async def body_of(http: Request) -> bytes:
    """Return the whole body, which nearly always comes in one piece.

    Raises:
        ClientDisconnect: the client disconnected before the end of the body.
    """
    pieces, more = list[bytes](), True
    while more:
        message = await http.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def header_of(http: Request, name: bytes) -> str:
    """Return the first header of this name (lower case); an empty text if there is none."""
    return next((value.decode("latin-1") for known, value in http.scope["headers"] if known == name), "")


class RawResponse(Response):
    """A complete answer with the two headers that it needs, made in a third of the time of Starlette's own."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self.status_code, self.body, self.background = 200, content, None
        self.raw_headers = [(b"content-length", b"%d" % len(content)), (b"content-type", media_type.encode())]


def parsed(schema: type[T], body: bytes) -> T:
    """Return the JSON ``body`` as ``schema``, read in one pass over its bytes.

    Raises:
        RequestValidationError: it is no JSON, or does not fit the schema.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, body) from error


def _refusal(error: ValidationError, body: bytes) -> RequestValidationError:
    (first, *_) = errors = error.errors(include_url=False, include_input=False)
    if first["type"] == "json_invalid":
        return RequestValidationError([{**first, "loc": ("body", str(first["ctx"]["error"]))}])
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in errors], body=json.loads(body))


def body_schema(schema: type[BaseModel], **others: JsonObject) -> JsonObject:
    """Return ``openapi_extra`` of a raw route: its body as JSON of ``schema``, and each media type of ``others``."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}, **others}
    return {"requestBody": {"required": True, "content": content}}


def definitions(*schemas: type[BaseModel]) -> JsonObject:
    """Return the schemas and their parts as components of OpenAPI."""
    found: JsonObject = {}
    for schema in schemas:
        made = schema.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= made.pop("$defs", {})
        found[schema.__name__] = made
    return found
