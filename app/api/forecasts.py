"""POST /v1/forecasts: history in, forecasts with intervals out."""

from collections.abc import Sequence
from functools import partial

from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.api.http.arrow_query import ARROW_ANSWER, ARROW_BODY, check_json, is_arrow, parse_query, query_parameters
from app.api.http.disconnect import while_connected
from app.api.http.raw_routes import RawResponse, RawRoute, body_of, body_schema, header_of, parsed
from app.api.http.services import principal_of, problems, service_of
from app.edge.content_negotiation import media_type_for
from app.forecasting.arrow_answer import answer_arrow
from app.forecasting.client import Client
from app.forecasting.json_answer import answer_json
from app.formats import ARROW, load_arrow
from app.schemas.forecasts import ForecastAnswer, ForecastRequest
from app.schemas.series_decoder import decode_series_request, refusal_of
from app.schemas.streams import ForecastQuery

router = APIRouter(tags=["forecasts"], route_class=RawRoute)

ANSWERS = ("application/json", ARROW)
MAX_INLINE_BYTES = 64 * 1024  # a larger body is parsed in a thread: a millisecond of the event loop delays everybody
MAX_VALIDATED_VALUES = 200_000
GROUP_VALUES = 2  # a list or an object takes as long as so many numbers
MAX_REASON_LENGTH = 100


@router.post(
    "/v1/forecasts",
    response_model=ForecastAnswer,
    responses={200: {"content": ARROW_ANSWER}, **problems(403, 404, 406, 409, 415, 429, 500, 503, 504)},
    openapi_extra={**body_schema(ForecastRequest, **ARROW_BODY), "parameters": query_parameters()},
    summary="Forecast series",
)
async def post_forecast(http: Request) -> Response:
    """Forecast inline history or series of a stored data set with a registered version of a model.

    History in bulk may come as Arrow, with the rest of the request in the query; by ``Accept`` the answer is JSON or
    Arrow. With ``session`` a model of carried state keeps it, so that later requests send only what is new.
    """
    service = service_of(http)
    media_type, request, data = await decode(http, ANSWERS, "Forecasts")
    encode = answer_arrow if media_type == ARROW else answer_json
    content = await service.forecasting.answer(client_of(http), request, data, encode)
    return RawResponse(content, media_type)


def client_of(http: Request) -> Client:
    """Return the sender of a forecast request: it waits while it is connected, and its rates are charged."""
    sender, limiter = principal_of(http), service_of(http).limiter

    def charge(series: int, points: int) -> None:
        limiter.take(sender, {"series": series, "points": points})

    return Client(sender.tenant_id, partial(while_connected, http), charge)


async def decode(
    http: Request, offered: Sequence[str], things: str
) -> tuple[str, ForecastRequest | ForecastQuery, bytes | None]:
    """Return the media type of the answer, the request, and its Arrow stream; None where the request is JSON.

    Raises:
        HTTPException: the client accepts none of the ``offered`` media types of ``things``.
        UnsupportedMedia: the body is neither JSON nor Arrow.
        RequestValidationError: the body or the query does not fit its schema.
    """
    try:
        media_type = media_type_for(header_of(http, b"accept"), offered)
        if media_type is None:
            raise HTTPException(406, f"{things} are available as {' or '.join(offered)}; accept one of these.")
        if media_type == ARROW:
            await run_sync(load_arrow)  # the first time it takes a third of a second
        content_type = header_of(http, b"content-type")
        if is_arrow(content_type):
            return media_type, parse_query(http.query_params), await body_of(http)
        check_json(content_type, http.scope["query_string"])
        body = await body_of(http)
        if len(body) > MAX_INLINE_BYTES:
            return media_type, await run_sync(decode_json, body, limiter=http.app.state.service.forecasting.slots), None
        return media_type, decode_json(body), None
    except Exception:
        http.app.state.service.telemetry.forecast_made("error")
        raise


def decode_json(body: bytes) -> ForecastRequest:
    """Return the request in the JSON ``body``.

    Raises:
        RequestValidationError: the body does not fit the schema.
    """
    request = decode_series_request(body)
    if request is not None:
        return request
    if len(body) > MAX_VALIDATED_VALUES:
        check_values(body)
    return parsed(ForecastRequest, body)


def check_values(body: bytes) -> None:
    """Refuse JSON with too many values for its schema, which holds the interpreter for a microsecond for each.

    Raises:
        RequestValidationError: only regular series are decoded fast enough for more; it states why these are none.
    """
    values = body.count(b",") + GROUP_VALUES * (body.count(b"[") + body.count(b"{"))
    if values > MAX_VALIDATED_VALUES:
        reason = refusal_of(body)[:MAX_REASON_LENGTH]
        message = (
            f"over {MAX_VALIDATED_VALUES} values of JSON are read only as regular 'series', and not here: {reason}"
        )
        hint = "send 'series' (a start and values), Arrow or a data set, or less history"
        raise RequestValidationError([{"type": "too_many_values", "loc": ("body",), "msg": message, "hint": hint}])
