"""The one way to a forecast: resolve, load, build the panel, admit by cost, batch, log a sample, encode."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from app.forecasting.client import Client
from app.forecasting.cost import bounds_of, cost_gflop, horizon_of, numbers_of, trimmed
from app.forecasting.json_answer import Provenance, head_of, provenance_of
from app.forecasting.request_panel import Input, PanelReader, Request, RequestPanel, is_large
from app.forecasting.session import SessionForecasts
from app.forecasting.streaming import Encode, StreamReport, part_series, stream_parts
from app.formats import Stream
from app.formats.forecast_streams import Facts
from app.problems import CallerGone, CorruptBundle, TooManyRequests, Unavailable
from app.serving.alias_state import ResolvedVersion
from app.serving.batcher import Batcher
from app.serving.forecast_log import ForecastLog, LogEntry, LogSource
from app.serving.interval_scales import IntervalScales
from app.serving.model_cache import LoadedModel, ModelCache
from app.serving.version_resolver import Resolver
from app.settings import Settings
from app.telemetry import Telemetry
from models.data.bounds import Bounds
from models.data.chunks import split_series
from models.data.panel import Panel
from models.errors import BundleError, InputError, ModelBroken
from models.evaluation.quantiles import check_levels
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import check_request
from models.forecasting.split import ForecastInput

T = TypeVar("T")

BROKEN = (CorruptBundle, BundleError, ModelBroken)  # errors of a version that cannot be served
# A part that finds the queue full waits and tries again: a stream of a million series may take its time.
RETRY_WAITS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

AnswerEncoder = Callable[[Provenance, Forecast], bytes]


class StreamFormat(NamedTuple):
    """Format of a stream: ``open`` makes its writer and may block; ``failure`` encodes an error as JSON."""

    open: Callable[[], Stream]
    failure: Callable[[Exception], Facts]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Forecasting:
    """Use case of a forecast, without HTTP: a caller decodes a request, calls this, and sends the returned bytes.

    ``slots`` bounds the number of large panels that are built at the same time.
    """

    settings: Settings
    resolver: Resolver
    models: ModelCache
    scales: IntervalScales
    reader: PanelReader
    sessions: SessionForecasts
    batcher: Batcher
    log: ForecastLog
    telemetry: Telemetry
    slots: CapacityLimiter

    async def answer(self, client: Client, request: Request, data: Input, encode: AnswerEncoder) -> bytes:
        """Return the encoded forecast of a request.

        ``data`` is the input outside of ``request``, such as an Arrow table. If the version is broken, an earlier
        version of its alias answers.

        Raises:
            NotFound: the tenant has no such model, version, alias or data set.
            InputError: the request cannot be forecast, or costs more than one request may.
            ModelBroken, BundleError, CorruptBundle: the version is broken, and no earlier one can replace it.
            Unavailable, TooManyRequests, DeadlinePassed: the service is too busy, or the client has used up a rate.
            Conflict: other requests changed the same session meanwhile.
        """
        try:
            make = partial(self._answer, client, request, data, encode)
            content, series = await self._with_version(client.tenant_id, request, make)
        except Exception:
            self.telemetry.forecast_made("error")
            raise
        self.telemetry.forecast_made("ok", series)
        return content

    async def stream(
        self, client: Client, request: Request, data: Input, output: StreamFormat
    ) -> AsyncGenerator[bytes, None]:
        """Yield the encoded forecasts of a request in pieces; each piece is computed when the caller iterates to it.

        ``client.wait`` awaits the forecasts of the first piece only. An error before the end of the first piece is
        raised; a later one is encoded as the last piece.

        Raises:
            InputError: the request names a session, cannot be forecast, or costs more than one request may.
            Exception: any other error that ``answer`` raises.
        """
        try:
            if request.session is not None:
                hint = "leave 'session' out, or use POST /v1/forecasts"
                raise InputError.of("no_session", "a stream of forecasts keeps no session", hint, field="session")
            begin = partial(self._begin_stream, client, request, data, output)
            first, pieces = await self._with_version(client.tenant_id, request, begin)
        except CallerGone:
            raise  # counted already as a request whose client has gone
        except Exception:
            self.telemetry.forecast_made("error")
            raise
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    def refuse(self) -> None:
        """Refuse further forecasts, because the service is being stopped; streams end with that error."""
        self.batcher.refuse()

    def close(self) -> None:
        """Answer all waiting requests, and end the threads."""
        self.batcher.stop()
        self.log.close()
        self.scales.close()
        self.resolver.close()
        self.models.close()

    async def _with_version(
        self, tenant_id: int, request: Request, use: Callable[[ResolvedVersion, LoadedModel], Awaitable[T]]
    ) -> T:
        """Return the result of ``use`` for the version of the request or, if it is broken, for its replacement."""
        name = (tenant_id, request.model, request.version, request.alias)
        resolved = self.resolver.find(*name) or await self.resolver.wait(*name)
        try:
            return await use(resolved, await self._load(resolved))
        except BROKEN as error:
            fallback = await asyncio.wrap_future(self.resolver.aliases.report_broken(resolved, error))
            return await use(fallback, await self._load(fallback))

    async def _load(self, resolved: ResolvedVersion) -> LoadedModel:
        loaded = self.models.find(resolved.tenant_id, resolved.version_id)
        if loaded is None:
            loading = asyncio.wrap_future(self.models.load(resolved.tenant_id, resolved.version_id))
            try:
                loaded = await asyncio.wait_for(loading, self.settings.load_timeout_s)
            except TimeoutError:
                message = f"version {resolved.number} of {resolved.model} is being loaded; try again in a few seconds"
                raise Unavailable(message) from None
        return self.scales.apply(resolved.version_id, loaded)

    async def _answer(
        self,
        client: Client,
        request: Request,
        data: Input,
        encode: AnswerEncoder,
        resolved: ResolvedVersion,
        loaded: LoadedModel,
    ) -> tuple[bytes, int]:
        """Return the encoded forecast and the number of its series."""
        horizon = horizon_of(request, resolved)
        finish: Encode = partial(encode, provenance_of(resolved, request.model, len(loaded.networks), loaded.notes))
        large = is_large(request, data)
        if request.session is not None:
            go_on = partial(self.sessions.forecast, client, resolved, loaded, request, data)
            forecast = await run_sync(go_on, limiter=self.slots) if large else go_on()
            return finish(forecast), len(forecast.ids)
        read = partial(self.reader.read, resolved.tenant_id, request, data, resolved.spec.freq)
        source = await run_sync(read, limiter=self.slots) if large else read()
        panel = source.panel
        gflop = cost_gflop(self.settings, loaded, len(panel), horizon, numbers_of(request))
        client.charge(len(panel), len(panel) * horizon * numbers_of(request))
        bounds = bounds_of(request, resolved.spec, panel)
        ask = ForecastInput(trimmed(panel, loaded), horizon, request.levels, request.quantiles, bounds)
        finish = self._logged(resolved, source, finish)
        waiting = self.batcher.put(loaded, ask, gflop, finish, self.settings.forecast_timeout_s)
        return await client.wait(waiting), len(panel)

    def _logged(self, resolved: ResolvedVersion, source: RequestPanel, encode: Encode) -> Encode:
        """Return ``encode``; if the request is in the logged sample, return an encoder that also logs the forecast."""
        if source.dataset_id is None or not self.log.draw(resolved.version_id):
            return encode
        origin = LogSource(
            tenant_id=resolved.tenant_id,
            model=resolved.model,
            version_id=resolved.version_id,
            season=resolved.spec.season,
            scales=self.scales.scales_of(resolved.version_id),
            dataset_id=source.dataset_id,
            revision=source.revision,
        )

        def encode_and_log(forecast: Forecast) -> bytes:
            content = encode(forecast)
            self.log.put(LogEntry(origin, source.panel, forecast))
            return content

        return encode_and_log

    async def _begin_stream(
        self,
        client: Client,
        request: Request,
        data: Input,
        output: StreamFormat,
        resolved: ResolvedVersion,
        loaded: LoadedModel,
    ) -> tuple[bytes, AsyncGenerator[bytes, None]]:
        """Return the first piece of a stream, and an iterator over the pieces after it."""
        horizon, numbers_each = horizon_of(request, resolved), numbers_of(request)
        settings, timeout_s = self.settings, self.settings.forecast_timeout_s

        def read() -> tuple[RequestPanel, Iterator[Panel], Bounds | None, float]:
            """Return the panel, its parts, bounds and the cost of one series; raise if any part would be refused."""
            source = self.reader.read(resolved.tenant_id, request, data, resolved.spec.freq)
            gflop = cost_gflop(settings, loaded, 1, horizon, numbers_each)
            bounds = bounds_of(request, resolved.spec, source.panel)
            numbers = horizon * numbers_each
            size = part_series((numbers, settings.max_forecast_points), (gflop, settings.max_forecast_gflop))
            specs = [network.member.spec for network in loaded.networks]
            for part in split_series(source.panel, size):
                check_request(specs, part, horizon)
            check_levels(loaded.forecaster.calibration, request.levels, request.quantiles)
            return source, split_series(source.panel, size), bounds, gflop

        source, parts, bounds, gflop = await run_sync(read, limiter=self.slots)
        client.charge(len(source.panel), len(source.panel) * horizon * numbers_each)

        async def make(part: Panel, encode: Encode) -> bytes:
            ask = ForecastInput(trimmed(part, loaded), horizon, request.levels, request.quantiles, bounds)
            finish = self._logged(resolved, source._replace(panel=part), encode)
            put = partial(self.batcher.put, loaded, ask, gflop * len(part), finish, timeout_s)
            for wait_s in RETRY_WAITS_S:
                with suppress(TooManyRequests):
                    return await put()
                await asyncio.sleep(wait_s)
            return await put()

        def failure(error: Exception) -> Facts:
            if isinstance(error, ModelBroken):
                self.resolver.aliases.report_broken(resolved, error)  # too late for this stream, not for the next
            return output.failure(error)

        provenance = provenance_of(resolved, request.model, len(loaded.networks), loaded.notes)
        report = StreamReport(partial(head_of, provenance), failure, self.telemetry.forecast_made)
        pieces = stream_parts(parts, make, await run_sync(output.open), report)
        return await client.wait(asyncio.ensure_future(anext(pieces))), pieces
