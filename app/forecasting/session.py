"""Forecasts of models with carried state: a session reads only the points that are new since its last request."""

from functools import partial

from app.forecasting.client import Client
from app.forecasting.cost import bounds_of, cost_gflop, horizon_of, numbers_of
from app.forecasting.request_panel import Input, PanelReader, Request, future_panel
from app.schemas.forecasts import ForecastRequest
from app.serving.alias_state import ResolvedVersion
from app.serving.model_cache import LoadedModel
from app.serving.session_cache import DatasetRows, InlineRows, SavedSession, SeriesSource, SessionCache, SessionKey
from app.settings import Settings
from app.store import datasets, panels
from app.store.db import Database
from models.forecasting.forecast import Forecast
from models.forecasting.session import answer_session
from models.forecasting.split import ForecastInput


class SessionForecasts:
    """Continues the session that a request names, and forecasts from its state."""

    def __init__(self, settings: Settings, database: Database, cache: SessionCache, reader: PanelReader) -> None:
        self._settings, self._database, self._cache, self._reader = settings, database, cache, reader

    def forecast(
        self, client: Client, resolved: ResolvedVersion, loaded: LoadedModel, request: Request, data: Input
    ) -> Forecast:
        """Let the session of the request read the new points, and return the forecast that follows them.

        This blocks while it reads a data set. An alias has one session of each name, for the version that answered
        last. Sessions of several versions would miss points: after a rollback the session of the older version would
        lack the points that arrived in between.

        Raises:
            InputError: the session is unknown, or the rows do not follow it.
            Conflict: other requests changed the same session meanwhile.
            RateExceeded: the client has used up a rate; the session is as it was.
        """
        assert request.session is not None
        horizon, numbers_each = horizon_of(request, resolved), numbers_of(request)
        networks = loaded.networks
        # Bundles of earlier releases do not say over how many windows a state was carried; reports do.
        windows = max(resolved.report.carry or 1, *(network.member.carry for network in networks))
        key = SessionKey(resolved.tenant_id, f"{resolved.model}@{resolved.alias or resolved.number}", request.session)

        def change(rows: InlineRows | DatasetRows, saved: SavedSession | None) -> tuple[SavedSession, Forecast]:
            if saved is not None and saved.version_id != resolved.version_id:
                saved = None
            after = rows.advance(networks, saved, windows)._replace(version_id=resolved.version_id)
            tail = after.session.tail
            cost_gflop(self._settings, loaded, len(after.session), horizon, numbers_each)
            client.charge(len(after.session), len(after.session) * horizon * numbers_each)
            bounds = bounds_of(request, resolved.spec, tail)
            ask = ForecastInput(tail, horizon, request.levels, request.quantiles, bounds)
            return after, answer_session(networks, loaded.forecaster.calibration, after.session, ask)

        if data is not None or not isinstance(request, ForecastRequest) or request.dataset is None:
            rows = self._reader.read(resolved.tenant_id, request, data, resolved.spec.freq).panel
            return self._cache.update(key, partial(change, InlineRows(rows)))
        with self._database.read() as session:
            revision = datasets.revision(session, resolved.tenant_id, request.dataset.name, request.dataset.revision)
            ids = None if request.dataset.ids is None else tuple(request.dataset.ids)
            read = partial(panels.load_after, session, resolved.tenant_id, revision)
            ahead = None if request.future is None else future_panel(request.future, str(revision.dataset.freq))
            stored = DatasetRows(SeriesSource(revision.dataset_id, ids), revision.number, read, ahead)
            return self._cache.update(key, partial(change, stored))
