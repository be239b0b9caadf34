"""POST /v1/forecasts/stream: forecasts of any number of series, line by line or batch by batch."""

import json
import logging
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.forecasts import client_of, decode
from app.api.http.arrow_query import ARROW_ANSWER, ARROW_BODY, query_parameters
from app.api.http.raw_routes import RawRoute, body_schema
from app.api.http.services import problems, service_of
from app.api.http.streamed_response import StreamedResponse
from app.edge.problem_json import problem_response
from app.forecasting.forecast import StreamFormat
from app.formats import LINES, STREAMS
from app.formats.forecast_streams import Facts
from app.schemas.forecasts import ForecastRequest
from app.schemas.streams import StreamedSeries, StreamEnd, StreamFailure, StreamHead
from models.types import JsonObject

logger = logging.getLogger(__name__)

router = APIRouter(tags=["forecasts"], route_class=RawRoute)

_MODEL = (
    '{"name": "electricity", "version": 3, "sha256": "9f2c", "cell": "gru", "strategy": "direct", "members": 1, '
    '"trained_horizon": 24}'
)
_BACKTEST = (
    '{"skill": 0.21, "mase": 0.79, "seasonal_naive_mase": 1.0, "horizon": 24, "windows": 90, "coverage": {"80": 0.81}}'
)
_EXAMPLE = f"""\
{{"model": {_MODEL}, "freq": "h", "horizon": 1, "skill": 0.21, "backtest": {_BACKTEST}, "bounds": [0, null], \
"warnings": []}}
{{"unique_id": "PJME", "ds": ["2026-01-02T00:00:00"], "median": [31542.1], "mean": [31601.8], \
"intervals": {{"80": {{"lo": [30110.4], "hi": [32980.7]}}}}, "quantiles": {{}}, "warnings": []}}
{{"done": true, "series": 1}}
"""


_ANSWER: dict[int | str, JsonObject] = {
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
    service = service_of(http)
    media_type, request, data = await decode(http, tuple(STREAMS), "Streams")
    output = StreamFormat(STREAMS[media_type], partial(_problem, http))
    client = client_of(http)
    pieces = service.forecasting.stream(client, request, data, output)
    return StreamedResponse(pieces, service.stream_slots.hold(client.tenant_id), media_type)


def _problem(http: Request, error: Exception) -> Facts:
    """Return ``error`` as problem details; log it where a response with this status is logged."""
    request_id = http.state.request_id
    response = problem_response(error, request_id, http.url.path)
    if response.status_code >= 500:
        logger.error("a stream of forecasts failed before its end", exc_info=error, extra={"request_id": request_id})
    problem: Facts = json.loads(bytes(response.body))
    return problem
