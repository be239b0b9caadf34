"""Dependencies of the routes: the running service, the caller, and the error answers for OpenAPI."""

from typing import Annotated

from fastapi import Depends, Path, Request

from app.principal import Principal
from app.schemas.base import NAME
from app.service import Service
from models.types import JsonObject


def service_of(request: Request) -> Service:
    """Return the running service, in routes that take the request itself."""
    service: Service = request.app.state.service
    return service


def principal_of(request: Request) -> Principal:
    """Return the caller; the guard has refused every request without a valid key."""
    principal: Principal = request.state.principal
    return principal


CurrentService = Annotated[Service, Depends(service_of)]
Caller = Annotated[Principal, Depends(principal_of)]
PathName = Annotated[str, Path(pattern=NAME)]

PROBLEM: JsonObject = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def problems(*statuses: int) -> dict[int | str, JsonObject]:
    """Return the error answers of a route for OpenAPI; 401, 413, 422 and 429 are possible in every one."""
    titles = {
        401: "No valid API key",
        403: "The scope of the key does not allow this",
        404: "Not found",
        409: "Conflict",
        406: "No media type of the answer is acceptable",
        413: "The body is too large",
        415: "The body's type is not supported",
        422: "The request or its data cannot be used",
        429: "Too many requests are waiting, or a rate or limit of the tenant is reached",
        500: "The stored model cannot be used",
        503: "Not available at the moment",
        504: "There was no answer in time",
        507: "The disk of the service is full",
    }
    return {status: {"description": titles[status], **PROBLEM} for status in sorted({401, 413, 422, 429, *statuses})}
