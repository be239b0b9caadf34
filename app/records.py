"""Records that ``app.serving`` passes to ``app.store``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRecord:
    """Served forecast of one series; its fields are the columns of the table ``served_forecasts``.

    ``revision`` is the revision of the data set that was read, ``said`` the encoded prediction, ``scale`` the unit of
    its MASE, ``stretch`` the factors of its interval at each reported level, by part of the horizon. A ``shadow`` is
    the forecast of a challenger; ``beside`` is the version id of the second forecast of the same series and start.
    """

    tenant_id: int
    version_id: int
    dataset_id: int
    revision: int
    series: str
    start_us: int
    horizon: int
    said: bytes
    scale: float | None
    stretch: dict[str, list[float]]
    shadow: bool = False
    beside: int | None = None
