"""What serving gives to the store to keep."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One series' forecast that was served, as its table describes it; ``revision``: of the data it was made from."""

    tenant_id: int
    version_id: int
    dataset_id: int
    revision: int
    series: str
    start_us: int
    horizon: int
    said: bytes
    scale: float | None
    stretch: dict[str, float]
    shadow: bool = False
    beside: int | None = None
