"""What every route works with, and who is asking."""

from dataclasses import dataclass
from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import Depends, Path, Request

from app.edge.guard import Principal
from app.schemas import NAME
from app.serving.loaded import LoadedModels
from app.settings import Settings
from app.store.db import Database
from app.telemetry import Telemetry


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """The parts of one running service; put together in ``app.main``."""

    settings: Settings
    database: Database
    loaded: LoadedModels
    telemetry: Telemetry
    forecast_slots: CapacityLimiter  # how many forecasts are made at the same time


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _caller(request: Request) -> Principal:
    # The guard has let nobody in without one.
    principal: Principal = request.state.principal
    return principal


The = Annotated[Service, Depends(_service)]
Caller = Annotated[Principal, Depends(_caller)]
PathName = Annotated[str, Path(pattern=NAME)]

PROBLEM: dict[str, Any] = {
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for OpenAPI; 401, 413 and 422 are possible everywhere."""
    titles = {
        401: "No valid API key",
        403: "The key may not write",
        404: "Not found",
        409: "Conflict",
        413: "The body is too large",
        415: "The body's type is not supported",
        422: "The request or its data cannot be used",
        500: "The stored model cannot be used",
        503: "Not available at the moment",
    }
    return {status: {"description": titles[status], **PROBLEM} for status in sorted({401, 413, 422, *statuses})}
