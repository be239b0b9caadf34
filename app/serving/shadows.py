"""Challengers in the shadow: what one would have said in place of the version that answered, long after it did."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future

from app.problems import ServiceError
from app.serving.forecast_log import Other, Source
from app.serving.model_cache import LoadedModel
from models.data.panel import Panel
from models.errors import ForecastError
from models.forecasting.forecaster import forecast
from models.network.sizes import forecast_flop

logger = logging.getLogger(__name__)

FRESH_S = 5.0  # for which it is remembered who the challenger of a model is
LOAD_TIMEOUT_S = 10.0
MAX_GFLOP_S = 1.0  # of arithmetic for shadows in a second: a twentieth of a core
MAX_MODELS = 1_000

Find = Callable[[int, str], int | None]  # tenant id, model -> version id of its challenger
Load = Callable[[int, int], "Future[LoadedModel]"]  # tenant id, version id


class Shadows:
    """Asks challengers, in the one thread that calls it; ``clock`` is monotonic."""

    def __init__(self, find: Find, load: Load, clock: Callable[[], float] = time.monotonic) -> None:
        self._find, self._load, self._clock = find, load, clock
        self._known: dict[tuple[int, str], tuple[float, int | None]] = {}
        self._free_s = 0.0  # when the arithmetic that was done is paid for

    def beside(self, source: Source, panel: Panel, horizon: int) -> Other | None:
        """What the challenger of the source's model says of the series of ``panel``; None where there is none, it
        cannot say, or there was too much to be said lately.
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
            logger.info("a challenger says nothing", extra={"version": version_id, "reason": str(error)})
            self._known[source.tenant_id, source.model] = now_s + FRESH_S, None
            return None
        return None if made.prediction is None else Other(version_id, made.prediction)

    def _challenger(self, tenant_id: int, model: str, now_s: float) -> int | None:
        until_s, version_id = self._known.get((tenant_id, model), (0.0, None))
        if now_s >= until_s:
            version_id = self._find(tenant_id, model)
            if len(self._known) >= MAX_MODELS:
                self._known.clear()
            self._known[tenant_id, model] = now_s + FRESH_S, version_id
        return version_id
