"""Answers about the use of the service."""

from pydantic import Field

from app.schemas.base import Answer


class UsageOfDay(Answer):
    """Use by the tenant on one day."""

    day: str = Field(description="In UTC, such as 2026-01-31.")
    requests: int = Field(description="Requests with a valid key that no rate refused.")
    series: int = Field(description="Series in forecasts.")
    points: int = Field(description="Values in forecasts: series x steps x (2 + 2 x levels + quantiles).")
    job_s: float = Field(description="Seconds of all attempts at jobs that ended on this day.")
    stored_bytes: int = Field(description="Bytes of data sets, versions and files, when last counted on this day.")


class UsageAnswer(Answer):
    """Use by the tenant; days without any are left out."""

    items: list[UsageOfDay]
