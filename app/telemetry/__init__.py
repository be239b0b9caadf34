"""Telemetry of the service: the metrics of Prometheus and the format of the log."""

from app.telemetry.collectors import Figure, Labels, Values, family
from app.telemetry.log import (
    Answered,
    LineFormatter,
    LineHandler,
    RequestLog,
    configure_logging,
    escaped,
    lines_dropped,
)
from app.telemetry.metrics import OTHER, Telemetry, render

__all__ = [
    "OTHER",
    "Answered",
    "Figure",
    "Labels",
    "LineFormatter",
    "LineHandler",
    "RequestLog",
    "Telemetry",
    "Values",
    "configure_logging",
    "escaped",
    "family",
    "lines_dropped",
    "render",
]
