"""Telemetry of the service: the metrics of Prometheus and the log."""

from app.telemetry.collectors import Figure, Labels, Values, family
from app.telemetry.log import LineHandler, RequestLog, configure_logging, lines_dropped
from app.telemetry.log_formats import Answered, JsonFormatter, LineFormatter, LogFormat, escaped
from app.telemetry.metrics import OTHER, Telemetry, render
from app.telemetry.redaction import redact

__all__ = [
    "OTHER",
    "Answered",
    "Figure",
    "JsonFormatter",
    "Labels",
    "LineFormatter",
    "LineHandler",
    "LogFormat",
    "RequestLog",
    "Telemetry",
    "Values",
    "configure_logging",
    "escaped",
    "family",
    "lines_dropped",
    "redact",
    "render",
]
