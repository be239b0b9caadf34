"""/livez and /readyz: probes of orchestrators and load balancers."""

from fastapi import APIRouter, Request, Response

from app.api.http.raw_routes import RawRoute
from app.api.http.services import service_of
from app.schemas.health import Health
from app.service import FULL, NEWER
from models.types import JsonObject

router = APIRouter(tags=["health"])
probes = APIRouter(route_class=RawRoute)  # cheap, because anybody may ask them

_NOT_READY: dict[int | str, JsonObject] = {503: {"model": Health, "description": "Not ready to serve"}}


@probes.get("/livez", response_model=Health, summary="Is the process alive?")
async def livez(http: Request) -> Response:
    """Return ok while the process can answer."""
    return _answer(Health(status="ok", checks={}))


@probes.get("/readyz", response_model=Health, responses=_NOT_READY, summary="Can it serve?")
async def readyz(http: Request) -> Response:
    """Return whether the database answers and has the schema of the release, 503 if not; and the device of networks.

    The database is asked once a second at most. With a full disk the service is ``degraded`` and not refused to load
    balancers, because it still forecasts. A service that is being stopped is not ready, so that a load balancer
    sends it nothing more.
    """
    service = service_of(http)
    database, is_stopping = await service.database_state.result(), http.app.state.drain.is_stopping
    is_ready = database in {"ok", FULL, NEWER} and not is_stopping
    device = service.models.device
    checks = {"database": database, "device": "; ".join([device.name, *(note.message for note in device.notes)])}
    if fallen_back := service.aliases.moves().fallen_back:
        checks["aliases"] = f"{fallen_back} serve an earlier version than they point at"
    if is_stopping:
        checks["process"] = "it is being stopped"
    status = "unavailable" if not is_ready else "degraded" if database == FULL else "ok"
    return _answer(Health(status=status, checks=checks), 200 if is_ready else 503)


def _answer(health: Health, status: int = 200) -> Response:
    return Response(health.model_dump_json(), status, media_type="application/json")


router.include_router(probes)
