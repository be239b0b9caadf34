"""Use of the service by each tenant and day."""

from sqlalchemy import BigInteger, Double, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base


class UsageDay(Base):
    """Use by one tenant on one ``day``, such as 2026-01-31 in UTC; ``stored_bytes`` as they were when last counted."""

    __tablename__ = "usage_days"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, server_default="0")
    series: Mapped[int] = mapped_column(BigInteger, server_default="0")
    points: Mapped[int] = mapped_column(BigInteger, server_default="0")
    job_s: Mapped[float] = mapped_column(Double, server_default="0")
    stored_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
