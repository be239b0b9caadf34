"""What was forecast for people, what came of it, and how wide intervals became by it."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Json, Owned


class ServedForecast(Owned, Base):
    """The forecast of one series of a stored data set, kept until what it was about has come, or is not waited for.

    ``start_us``: the first moment forecast, microseconds since 1970 in the data set's own time. ``said``: mean, spread
    and quantiles, packed. ``scale``: MASE's unit of the history known then. ``stretch``: by how much intervals were
    widened, by level. ``shadow``: nobody was told. ``beside``: the version that forecast the same, for comparison.
    ``seen``: the revision of the data set up to which values were joined; ``points``: how many that were.
    """

    __tablename__ = "served_forecasts"
    __table_args__ = (
        UniqueConstraint("version_id", "dataset_id", "series", "start_us", "horizon", "shadow"),
        Index(None, "dataset_id", "done", "seen"),
        Index(None, "served_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    series: Mapped[str]
    start_us: Mapped[int] = mapped_column(BigInteger)
    horizon: Mapped[int]
    said: Mapped[bytes] = mapped_column(LargeBinary)
    scale: Mapped[float | None] = mapped_column(Double)
    stretch: Mapped[dict[str, Any]]
    shadow: Mapped[bool]
    beside: Mapped[int | None]
    seen: Mapped[int]
    points: Mapped[int]
    done: Mapped[bool]
    served_at: Mapped[datetime]


class Realised(Owned, Base):
    """Sums of the errors that became known on one ``day``, of the forecasts of a version that began in one ``block``.

    A block is as long as the horizon, so that what begins in one and in the next but one has nothing in common; a
    ``band`` is the steps from 2^band to the next power of two. ``scaled``, ``signed``: sums of errors in MASE's unit,
    without sign and (forecast - actual) with; ``expected``: what the backtest's would have summed up to. ``judged_80``
    and ``covered_80``: points of which the interval of 80 % could be said, and those within it.
    """

    __tablename__ = "realised"
    __table_args__ = (
        UniqueConstraint("version_id", "day", "shadow", "beside", "horizon", "block", "band"),
        Index(None, "day"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    day: Mapped[date]
    shadow: Mapped[bool]
    beside: Mapped[int]
    horizon: Mapped[int]
    block: Mapped[int] = mapped_column(BigInteger)
    band: Mapped[int]
    forecasts: Mapped[int]
    points: Mapped[int]
    scaled: Mapped[float] = mapped_column(Double)
    signed: Mapped[float] = mapped_column(Double)
    expected: Mapped[float] = mapped_column(Double)
    judged_80: Mapped[int]
    covered_80: Mapped[int]
    judged_95: Mapped[int]
    covered_95: Mapped[int]


class AdaptedIntervals(Owned, Base):
    """How wide the intervals of a version are by what came: ``state`` to go on from, ``stretch`` (99,) to serve by."""

    __tablename__ = "adapted_intervals"

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), unique=True)
    moments: Mapped[int]
    state: Mapped[dict[str, Any]]
    stretch: Mapped[list[float]] = mapped_column(Json)
    changed_at: Mapped[datetime]
