"""/livez, /readyz and /metrics: routes for orchestrators and monitoring."""

from fastapi import APIRouter, Request, Response

from app.api.http.raw_routes import RawRoute
from app.api.http.services import CurrentService, problems, service_of
from app.schemas.health import Health
from app.service import FULL
from app.store import firings, jobs, quality, webhooks
from models.types import JsonObject

router = APIRouter(tags=["health"])
probes = APIRouter(route_class=RawRoute)  # cheap, because anybody may ask them

METRICS_DAYS = 7  # in which values arrived, for the metrics of realised quality
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DAY_S = 86_400.0
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
    is_ready = database in {"ok", FULL} and not is_stopping
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


@router.get("/metrics", responses=problems(), response_class=Response, summary="Prometheus metrics")
def metrics(service: CurrentService, request: Request) -> Response:
    """Return metrics of this process, and of all processes together: jobs, schedules, webhooks, served forecasts."""
    with service.database.read() as session:
        tally, found = jobs.queue_statistics(session), quality.totals(session, METRICS_DAYS)
        ticked_at = firings.last_heartbeat(session, firings.SCHEDULER)
        service.telemetry.schedules_seen(firings.counts(session, DAY_S), firings.lag_s(session), ticked_at)
        service.telemetry.deliveries_counted(webhooks.counts(session))
    service.telemetry.jobs_counted({(str(state), kind): n for (state, kind), n in tally.jobs.items()}, tally.oldest_s)
    service.telemetry.attempts_counted(tally.attempts, tally.waited_s)
    service.telemetry.slots_counted(tally.slots)
    figures = {"points": found.points, "mase": found.mase, "drift": found.drift}
    service.telemetry.quality_realised(figures, found.coverage)
    return Response(service.telemetry.render(), media_type=METRICS_TYPE)
