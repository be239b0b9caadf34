"""What every route works with, and who is asking."""

from dataclasses import dataclass
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Path, Request

from app.forecasting.forecast import Forecasting
from app.principal import Principal
from app.schemas.base import NAME
from app.serving.alias_refresher import AliasRefresher
from app.serving.model_cache import ModelCache
from app.settings import Settings
from app.store.db import Database
from app.store.job_watch import JobWatch
from app.telemetry import Telemetry
from models.types import JsonObject


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """The parts of one running service; put together in ``app.main``."""

    settings: Settings
    database: Database
    forecasting: Forecasting
    models: ModelCache
    aliases: AliasRefresher
    telemetry: Telemetry
    watch: JobWatch
    stream_slots: CapacityLimiter  # how many streams are sent at the same time

    def close(self) -> None:
        """Answer all that waits and end the threads; then close the database's connections."""
        self.watch.stop()
        self.forecasting.close()
        self.database.dispose()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _caller(request: Request) -> Principal:
    # The guard has let nobody in without one.
    principal: Principal = request.state.principal
    return principal


Services = Annotated[Service, Depends(_service)]
Caller = Annotated[Principal, Depends(_caller)]
PathName = Annotated[str, Path(pattern=NAME)]

PROBLEM: JsonObject = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def problems(*statuses: int) -> dict[int | str, JsonObject]:
    """The error answers of a route, for OpenAPI; 401, 413 and 422 are possible everywhere."""
    titles = {
        401: "No valid API key",
        403: "The key may not write",
        404: "Not found",
        409: "Conflict",
        406: "No answer that can be given is accepted",
        413: "The body is too large",
        415: "The body's type is not supported",
        422: "The request or its data cannot be used",
        429: "Too many requests are waiting",
        500: "The stored model cannot be used",
        503: "Not available at the moment",
        504: "There was no answer in time",
    }
    return {status: {"description": titles[status], **PROBLEM} for status in sorted({401, 413, 422, *statuses})}
