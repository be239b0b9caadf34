"""POST /v1/forecasts: history in, forecasts with intervals out."""

import asyncio
from functools import partial
from typing import NamedTuple

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.api.history import known_for, logged
from app.api.http.raw_routes import RawResponse, RawRoute, body_of, body_schema, header_of, parsed
from app.api.http.services import Service, problems
from app.edge.content_negotiation import media_type_for
from app.forecasting.arrow_answer import ARROW_ANSWER, ARROW_BODY, answer_arrow, is_arrow, queried, query_parameters
from app.forecasting.json_answer import answer_json, origin_of
from app.forecasting.request_panel import future_of
from app.formats import ARROW, load_arrow
from app.problems import CorruptBundle, Unavailable
from app.schemas import ForecastAnswer, ForecastRequest, WarningAnswer
from app.schemas.streams import ForecastQuery
from app.serving.alias_state import Target
from app.serving.model_cache import LoadedModel
from app.serving.session_cache import Held, Inline, Key, Source, Stored
from app.settings import Settings
from app.store import datasets, panels
from models.data.calendar import Freq
from models.data.panel import Panel
from models.errors import BundleError, Fault, InputError, ModelBroken
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import ForecastInput
from models.forecasting.session import forecast_session
from models.network.sizes import forecast_flop

router = APIRouter(tags=["forecasts"], route_class=RawRoute)

ANSWERS = ("application/json", ARROW)
NOTHING = Panel((), np.zeros(0, "datetime64[us]"), np.zeros(0), np.zeros(1, np.int64), Freq(1, "D"))
MAX_INLINE_BYTES = 64 * 1024  # larger bodies are read in a thread: a millisecond of the event loop is everybody's
PATIENCE_S = 0.25  # after this it is worth looking whether the client is still there


@router.post(
    "/v1/forecasts",
    response_model=ForecastAnswer,
    responses={200: {"content": ARROW_ANSWER}, **problems(404, 406, 409, 415, 429, 500, 503, 504)},
    openapi_extra={**body_schema(ForecastRequest, **ARROW_BODY), "parameters": query_parameters()},
    summary="Forecast series",
)
async def post_forecast(http: Request) -> Response:
    """Forecast inline history or series of a stored data set with a registered version of a model.

    History in bulk may come as Arrow, with the rest of the request in the query; by ``Accept`` the answer is JSON or
    Arrow. With ``session`` a model of carried state keeps it, so that later requests send only what is new.
    """
    the: Service = http.app.state.service
    try:
        answer, series = await _forecast(the, http)
    except Exception:
        the.telemetry.forecast_made("error")
        raise
    the.telemetry.forecast_made("ok", series)
    return answer


class Wanted(NamedTuple):
    """A request as it was read; of a table, ``body``, only a query goes with it."""

    request: ForecastRequest | ForecastQuery
    body: bytes
    media_type: str  # of the answer

    @property
    def large(self) -> bool:
        """Whether reading it is for a thread of its own."""
        stored = isinstance(self.request, ForecastRequest) and self.request.dataset is not None
        return stored or isinstance(self.request, ForecastQuery) or len(self.body) > MAX_INLINE_BYTES


async def _forecast(the: Service, http: Request) -> tuple[Response, int]:
    media_type = media_type_for(header_of(http, b"accept"), ANSWERS)
    if media_type is None:
        raise HTTPException(406, f"Forecasts can be had as {' or '.join(ANSWERS)}.")
    if media_type == ARROW:
        await run_sync(load_arrow)  # the first time it takes a third of a second
    body = await body_of(http)
    wanted = Wanted(await read(http, body), body, media_type)
    target, loaded = await served(the, http.state.principal.tenant_id, wanted.request)
    try:
        return await _made(the, http, wanted, target, loaded)
    except ModelBroken as error:
        target = await asyncio.wrap_future(the.resolver.report_broken(target, error))
        return await _made(the, http, wanted, target, await loading(the, target))


async def read(http: Request, body: bytes) -> ForecastRequest | ForecastQuery:
    """What the request says, but for a table that is its body."""
    if is_arrow(header_of(http, b"content-type")):
        return queried(http.query_params)
    if len(body) > MAX_INLINE_BYTES:
        return await run_sync(parsed, ForecastRequest, body)
    return parsed(ForecastRequest, body)


async def _made(
    the: Service, http: Request, wanted: Wanted, target: Target, loaded: LoadedModel
) -> tuple[Response, int]:
    request, media_type = wanted.request, wanted.media_type
    horizon, levels = request.horizon or target.spec.horizon, tuple(request.levels)
    origin = origin_of(target, request.model, len(loaded.networks))
    told = tuple(WarningAnswer(code=code, message=message) for code, message in (*target.notes, *loaded.notes))

    def finish(made: Forecast) -> bytes:
        if media_type == ARROW:
            return answer_arrow(origin, made, told)
        return answer_json(origin, made, told)

    if request.session is not None:
        change = partial(go_on, the, target, loaded, wanted, ForecastInput(NOTHING, horizon, levels))
        made = await run_sync(change, limiter=the.forecast_slots) if wanted.large else change()
        return RawResponse(finish(made), media_type), len(made.ids)
    read_it = partial(known_for, the, target.tenant_id, request, target.spec.freq, wanted.body)
    known = await run_sync(read_it, limiter=the.forecast_slots) if wanted.large else read_it()
    panel = known.panel
    gflop = cost_gflop(the.settings, loaded, len(panel), horizon, len(levels))
    ask = ForecastInput(newest(panel, loaded), horizon, levels)
    kept = logged(the, target, known, finish)
    waiting = the.batcher.put(loaded, ask, gflop, kept, the.settings.forecast_timeout_s)
    return RawResponse(await while_there(http, waiting), media_type), len(panel)


async def served(the: Service, tenant_id: int, request: ForecastRequest | ForecastQuery) -> tuple[Target, LoadedModel]:
    """The version that the request means, in memory; where it cannot be loaded, the one that its alias falls back to.

    Raises:
        NotFound: no such model, version or alias for this tenant.
        CorruptBundle, BundleError: the version cannot be served, and there is none to fall back to.
        Unavailable: it is still being loaded.
    """
    asked_for = (tenant_id, request.model, request.version, request.alias)
    target = the.resolver.find(*asked_for) or await the.resolver.wait(*asked_for)
    loaded = the.loaded.find(tenant_id, target.version_id)
    if loaded is not None:
        return target, the.stretches.fit(target.version_id, loaded)
    try:
        return target, await loading(the, target)
    except (CorruptBundle, BundleError) as error:
        target = await asyncio.wrap_future(the.resolver.report_broken(target, error))
        return target, await loading(the, target)


async def loading(the: Service, target: Target) -> LoadedModel:
    """The version, once it is loaded; other requests go on meanwhile."""
    waiting = asyncio.wrap_future(the.loaded.load(target.tenant_id, target.version_id))
    try:
        loaded = await asyncio.wait_for(waiting, the.settings.load_timeout_s)
    except TimeoutError:
        message = f"version {target.number} of {target.model} is being loaded; try again in a few seconds"
        raise Unavailable(message) from None
    return the.stretches.fit(target.version_id, loaded)


def go_on(the: Service, target: Target, loaded: LoadedModel, wanted: Wanted, ask: ForecastInput) -> Forecast:
    """The forecast after what is new, read by the session that the request names; ``ask`` has no panel of its own.

    An alias has one session of a name, of the version that answered last: were there one for each, those of a version
    that is rolled back to would lack the points that came meanwhile.

    Raises:
        InputError, Conflict: see ``app.serving.session_cache``.
    """
    request, windows, networks = wanted.request, target.report.carry or 1, loaded.networks
    assert request.session is not None
    key = Key(target.tenant_id, f"{target.model}@{target.alias or target.number}", request.session)

    def update(source: Inline | Stored) -> Forecast:
        def change(held: Held | None) -> tuple[Held, Forecast]:
            if held is not None and held.version_id != target.version_id:
                held = None
            after = source.go_on(networks, held, windows)._replace(version_id=target.version_id)
            cost_gflop(the.settings, loaded, len(after.session), ask.horizon, len(ask.levels))
            return after, forecast_session(
                networks, loaded.forecaster.calibration, after.session, ask.horizon, ask.levels
            )

        return the.sessions.update(key, change)

    if isinstance(request, ForecastQuery) or request.dataset is None:
        return update(Inline(known_for(the, target.tenant_id, request, target.spec.freq, wanted.body).panel))
    with the.database.read() as session:
        revision = datasets.revision(session, target.tenant_id, request.dataset.name, request.dataset.revision)
        ids = None if request.dataset.ids is None else tuple(request.dataset.ids)
        read = partial(panels.newer, session, target.tenant_id, revision)
        ahead = None if request.future is None else future_of(request.future, str(revision.dataset.freq))
        return update(Stored(Source(revision.dataset_id, ids), revision.number, read, ahead))


def newest(panel: Panel, loaded: LoadedModel) -> Panel:
    """Of much longer series only what the networks read, and what is known ahead."""
    context = max(network.member.spec.context for network in loaded.networks)
    return panel.tail(context) if len(panel.y) > 2 * max(1, context) * len(panel) else panel


def cost_gflop(settings: Settings, loaded: LoadedModel, series: int, horizon: int, levels: int) -> float:
    """The arithmetic that a forecast takes.

    Raises:
        InputError: it is more than one request may ask for, or its answer would be.
    """
    if horizon > settings.max_horizon:
        message = f"{horizon if horizon < 10**15 else 'so many'} steps are asked for"
        raise _too_much("horizon_too_long", message, f"ask for at most {settings.max_horizon}")
    numbers = series * horizon * (1 + 2 * levels)
    if numbers > settings.max_forecast_points:
        message = f"{series} series of {horizon} steps with {levels} levels are {numbers} numbers"
        hint = f"ask for at most {settings.max_forecast_points} at a time: fewer series, steps or levels"
        raise _too_much("answer_too_large", message, hint)
    gflop = series * sum(forecast_flop(network.member.spec, horizon) for network in loaded.networks) / 1e9
    if gflop > settings.max_forecast_gflop:
        message = f"{series} series of {horizon} steps would take this model {gflop:.0f} billion operations"
        hint = f"ask for at most {settings.max_forecast_gflop} billion at a time: fewer series or steps"
        raise _too_much("too_much_work", message, hint)
    return gflop


def _too_much(code: str, message: str, hint: str) -> InputError:
    return InputError([Fault(code=code, field="horizon", message=message, hint=hint)])


async def while_there(http: Request, waiting: "asyncio.Future[bytes]") -> bytes:
    """What is waited for; given up where the client is gone before it comes.

    Raises:
        ClientDisconnect: it is gone.
    """
    if waiting.done():
        return waiting.result()
    loop = asyncio.get_running_loop()
    watches: list[asyncio.Task[None]] = []
    timer = loop.call_later(PATIENCE_S, lambda: watches.append(loop.create_task(_cancel_when_gone(http, waiting))))
    try:
        return await waiting
    except asyncio.CancelledError:
        if watches and watches[0].done():
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        for watch in watches:
            watch.cancel()


async def _cancel_when_gone(http: Request, waiting: "asyncio.Future[bytes]") -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
    waiting.cancel()
