"""Shadow forecasts: predictions of a model's challenger for requests that its champion has answered."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future

from app.problems import ServiceError
from app.serving.forecast_log import LogSource, ShadowForecast
from app.serving.model_cache import LoadedModel
from models.data.panel import Panel
from models.errors import ForecastError
from models.forecasting.forecaster import forecast
from models.network.sizes import forecast_flop

logger = logging.getLogger(__name__)

REFRESH_S = 5.0  # lifetime of the cached challenger of a model
LOAD_TIMEOUT_S = 10.0
MAX_GFLOP_S = 1.0  # of arithmetic for shadows in a second: a twentieth of a core
MAX_MODELS = 1_000

FindChallenger = Callable[[int, str], int | None]  # tenant id, model -> version id
LoadVersion = Callable[[int, int], "Future[LoadedModel]"]  # tenant id, version id


class ShadowForecaster:
    """Forecaster with challengers, limited to ``MAX_GFLOP_S``, in 10^9 operations per second; one thread calls it.

    ``clock`` returns monotonic seconds.
    """

    def __init__(self, find: FindChallenger, load: LoadVersion, clock: Callable[[], float] = time.monotonic) -> None:
        self._find, self._load, self._clock = find, load, clock
        self._known: dict[tuple[int, str], tuple[float, int | None]] = {}  # until when, and the version id
        self._free_s = 0.0  # when the arithmetic done so far is within the budget

    def forecast(self, source: LogSource, panel: Panel, horizon: int) -> ShadowForecast | None:
        """Return the challenger's prediction for ``panel``.

        Return None if the model has no challenger, if the challenger cannot forecast, or over the limit of operations.
        """
        now_s = self._clock()
        version_id = self._challenger(source.tenant_id, source.model, now_s)
        if version_id is None or version_id == source.version_id or now_s < self._free_s:
            return None
        try:
            loaded = self._load(source.tenant_id, version_id).result(LOAD_TIMEOUT_S)
            flop = sum(forecast_flop(network.member.spec, horizon) for network in loaded.networks)
            self._free_s = now_s + len(panel) * flop / 1e9 / MAX_GFLOP_S
            made = forecast(loaded.networks, loaded.forecaster.calibration, panel, horizon, [])
        except (ForecastError, ServiceError, TimeoutError) as error:
            logger.info("a challenger cannot forecast", extra={"version": version_id, "reason": str(error)})
            self._known[source.tenant_id, source.model] = now_s + REFRESH_S, None
            return None
        return None if made.prediction is None else ShadowForecast(version_id, made.prediction)

    def _challenger(self, tenant_id: int, model: str, now_s: float) -> int | None:
        until_s, version_id = self._known.get((tenant_id, model), (0.0, None))
        if now_s >= until_s:
            version_id = self._find(tenant_id, model)
            if len(self._known) >= MAX_MODELS:
                self._known.clear()
            self._known[tenant_id, model] = now_s + REFRESH_S, version_id
        return version_id
