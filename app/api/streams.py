"""POST /v1/forecasts/stream: forecasts of any number of series, line by line or batch by batch."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.api.forecasts import Wanted, cost_gflop, loading, newest, read, served, while_there
from app.api.history import known_for, logged
from app.api.http.raw_routes import RawRoute, body_of, body_schema, header_of
from app.api.http.services import Service, problems
from app.edge.content_negotiation import media_type_for
from app.edge.problem_json import problem_response
from app.forecasting.arrow_answer import ARROW_ANSWER, ARROW_BODY, query_parameters
from app.forecasting.json_answer import head_of, origin_of
from app.forecasting.streaming import Facts, Finish, Make, StreamedResponse, StreamReport, most_series, pieces_of
from app.formats import LINES, STREAMS
from app.problems import TooManyRequests
from app.schemas import ForecastRequest, WarningAnswer
from app.schemas.streams import StreamedSeries, StreamEnd, StreamFailure, StreamHead
from app.serving.alias_state import Target
from app.serving.model_cache import LoadedModel
from models.data.chunks import parts_of
from models.data.panel import Panel
from models.errors import Fault, InputError, ModelBroken
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import ForecastInput, check_request
from models.network.spec import Spec

logger = logging.getLogger(__name__)

router = APIRouter(tags=["forecasts"], route_class=RawRoute)

# A part that finds the queue full waits and tries again: who asked for a million series has time.
WAITS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_MODEL = (
    '{"name": "electricity", "version": 3, "sha256": "9f2c", "cell": "gru", "strategy": "direct", "members": 1, '
    '"trained_horizon": 24}'
)
_BACKTEST = (
    '{"skill": 0.21, "mase": 0.79, "seasonal_naive_mase": 1.0, "horizon": 24, "windows": 90, "coverage": {"80": 0.81}}'
)
_EXAMPLE = f"""\
{{"model": {_MODEL}, "freq": "h", "horizon": 1, "skill": 0.21, "backtest": {_BACKTEST}, "warnings": []}}
{{"unique_id": "PJME", "ds": ["2026-01-02T00:00:00"], "mean": [31542.1], \
"intervals": {{"80": {{"lo": [30110.4], "hi": [32980.7]}}}}, "warnings": []}}
{{"done": true, "series": 1}}
"""


_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The head, a line for each series, and how it ended.",
        "model": StreamHead | StreamedSeries | StreamEnd | StreamFailure,
        "content": {LINES: {"example": _EXAMPLE}, **ARROW_ANSWER},
    }
}


@router.post(
    "/v1/forecasts/stream",
    status_code=200,
    response_class=StreamedResponse,
    responses={**_ANSWER, **problems(404, 406, 415, 429, 500, 503)},
    openapi_extra={**body_schema(ForecastRequest, **ARROW_BODY), "parameters": query_parameters()},
    summary="Forecast series as a stream",
)
async def post_stream(http: Request) -> Response:
    """Forecast any number of series: each is sent as soon as it is made, and none is made before it can be sent.

    The request is that of ``POST /v1/forecasts``. By ``Accept`` the answer is lines of JSON (``application/x-ndjson``)
    or an Arrow stream. What is wrong with the request is refused before the first line; what goes wrong later is the
    last line. A stream without a last line that says ``done`` or ``error`` was cut off: in Arrow it stands in the
    metadata of an empty last batch.
    """
    the: Service = http.app.state.service
    try:
        return await _stream(the, http)
    except Exception:
        the.telemetry.forecast_made("error")
        raise


async def _stream(the: Service, http: Request) -> Response:
    media_type = media_type_for(header_of(http, b"accept"), tuple(STREAMS))
    if media_type is None:
        raise HTTPException(406, f"Streams can be had as {' or '.join(STREAMS)}.")
    body = await body_of(http)
    wanted = Wanted(await read(http, body), body, media_type)
    if wanted.request.session is not None:
        message, hint = "a stream keeps no state", "leave 'session' out, or ask for it by POST /v1/forecasts"
        raise InputError([Fault(code="no_session", field="session", message=message, hint=hint)])
    target, loaded = await served(the, http.state.principal.tenant_id, wanted.request)
    pieces = await _pieces_by(the, http, wanted, target, loaded)
    return StreamedResponse(_pieces(the, http, wanted, target, pieces), the.stream_slots, media_type)


async def _pieces(
    the: Service, http: Request, wanted: Wanted, target: Target, pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """``pieces``; where the network turns out at the first to be broken, those by what the alias falls back to."""
    try:
        try:
            first = await _first(http, pieces)
        except ModelBroken as error:
            target = await asyncio.wrap_future(the.resolver.report_broken(target, error))
            pieces = await _pieces_by(the, http, wanted, target, await loading(the, target))
            first = await _first(http, pieces)
    except ClientDisconnect:
        raise  # which is no error
    except Exception:
        the.telemetry.forecast_made("error")
        raise
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


async def _first(http: Request, pieces: AsyncGenerator[bytes, None]) -> bytes:
    """The first piece; it is not made where the client is gone before its turn comes."""
    return await while_there(http, asyncio.ensure_future(anext(pieces)))


async def _pieces_by(
    the: Service, http: Request, wanted: Wanted, target: Target, loaded: LoadedModel
) -> AsyncGenerator[bytes, None]:
    """The pieces of the answer by this version; what is wrong with the request is raised here."""
    request = wanted.request
    read_it = partial(known_for, the, target.tenant_id, request, target.spec.freq, wanted.body)
    known = await run_sync(read_it, limiter=the.forecast_slots)
    panel = known.panel
    horizon = request.horizon or target.spec.horizon
    gflop = cost_gflop(the.settings, loaded, 1, horizon, len(request.levels))
    numbers = horizon * (1 + 2 * len(request.levels))
    size = most_series((numbers, the.settings.max_forecast_points), (gflop, the.settings.max_forecast_gflop))
    specs = [network.member.spec for network in loaded.networks]
    await run_sync(_check, specs, panel, horizon, size, limiter=the.forecast_slots)

    def log(part: Panel, finish: Finish) -> Finish:
        return logged(the, target, known._replace(panel=part), finish)

    make = _maker(the, loaded, ForecastInput(panel, horizon, tuple(request.levels)), gflop, log)
    stream = await run_sync(STREAMS[wanted.media_type])
    return pieces_of(parts_of(panel, size), make, stream, _telling(the, http, target, loaded, request.model))


def _check(specs: Sequence[Spec], panel: Panel, horizon: int, size: int) -> None:
    """Refuse what cannot be forecast while it still can be refused."""
    for part in parts_of(panel, size):
        check_request(specs, part, horizon)


def _maker(
    the: Service, loaded: LoadedModel, whole: ForecastInput, gflop: float, log: Callable[[Panel, Finish], Finish]
) -> Make:
    """What makes the forecast of some of the series, and may ``log`` it; ``gflop`` is the arithmetic for one."""

    async def make(part: Panel, finish: Finish) -> bytes:
        ask, timeout_s = (
            ForecastInput(newest(part, loaded), whole.horizon, whole.levels),
            the.settings.forecast_timeout_s,
        )
        put = partial(the.batcher.put, loaded, ask, gflop * len(part), log(part, finish), timeout_s)
        for wait_s in WAITS_S:
            with suppress(TooManyRequests):
                return await put()
            await asyncio.sleep(wait_s)
        return await put()

    return make


def _telling(the: Service, http: Request, target: Target, loaded: LoadedModel, model: str) -> StreamReport:
    origin = origin_of(target, model, len(loaded.networks))
    told = tuple(WarningAnswer(code=code, message=message) for code, message in (*target.notes, *loaded.notes))

    def head(made: Forecast) -> Facts:
        return head_of(origin, made, told)

    def failure(error: Exception) -> Facts:
        if isinstance(error, ModelBroken):
            the.resolver.report_broken(target, error)  # too late for this stream, but not for the next
        request_id = http.state.request_id
        response = problem_response(error, request_id, http.url.path)
        if response.status_code >= 500:
            logger.error("a stream broke off", exc_info=error, extra={"request_id": request_id})
        problem: dict[str, Any] = json.loads(bytes(response.body))
        return problem

    return StreamReport(head, failure, the.telemetry.forecast_made)
