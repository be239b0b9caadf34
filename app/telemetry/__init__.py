"""Telemetry of the service: metrics, log and traces."""

from app.telemetry.collectors import Figure, Labels, Values, family
from app.telemetry.log import LineHandler, RequestLog, configure_logging, lines_dropped
from app.telemetry.log_formats import Answered, JsonFormatter, LineFormatter, LogFormat, escaped
from app.telemetry.metrics import OTHER, Telemetry, render
from app.telemetry.redaction import redact
from app.telemetry.tracing import TRACEPARENT, Traces

__all__ = [
    "OTHER",
    "TRACEPARENT",
    "Answered",
    "Figure",
    "JsonFormatter",
    "Labels",
    "LineFormatter",
    "LineHandler",
    "LogFormat",
    "RequestLog",
    "Telemetry",
    "Traces",
    "Values",
    "configure_logging",
    "escaped",
    "family",
    "lines_dropped",
    "redact",
    "render",
]
