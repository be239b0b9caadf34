"""Served forecasts, their realised errors, and the state of adaptive intervals."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Json, Owned
from models.json_types import JsonObject


class ServedForecast(Owned, Base):
    """Forecast of one series of a stored data set, kept until its actual values have arrived or it is too old.

    ``start_us``: first forecast time, in microseconds since 1970 in the data set's own time. ``said``: mean, spread
    and quantiles, packed. ``scale``: MASE's unit of the history at that time. ``stretch``: factors of the widths of
    the intervals, by level and part of the horizon; rows of earlier releases have one number for all parts.
    ``shadow``: the forecast was not sent to any caller. ``beside``: version that forecast the same, for comparison.
    ``seen``: revision of the data set up to which actual values were compared; ``points``: their number.
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
    stretch: Mapped[JsonObject]
    shadow: Mapped[bool]
    beside: Mapped[int | None]
    seen: Mapped[int]
    points: Mapped[int]
    done: Mapped[bool]
    served_at: Mapped[datetime]


class Realised(Owned, Base):
    """Sums of the errors that became known on one ``day``, of a version's forecasts that began in one ``block``.

    A block is as long as the horizon, so that forecasts of a block and of the next but one do not overlap; a ``band``
    is the steps from 2^band to below the next power of two. ``scaled`` and ``signed``: sums of errors in MASE's unit,
    absolute and forecast - actual; ``expected``: the sum of the backtest's errors at the same steps. ``judged_80`` and
    ``covered_80``: points with an interval of 80 %, and those within it.
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
    """Adaptive intervals of a version: ``state`` for the next update, factors ``stretch`` (P, 99) for serving.

    Rows that earlier releases updated last have a ``stretch`` (99,) for all parts of the horizon.
    """

    __tablename__ = "adapted_intervals"

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), unique=True)
    moments: Mapped[int]
    state: Mapped[JsonObject]
    stretch: Mapped[list[Any]] = mapped_column(Json)
    changed_at: Mapped[datetime]
