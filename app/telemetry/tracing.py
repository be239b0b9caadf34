"""Traces: spans of requests and jobs, sent by OpenTelemetry in a thread of its own, if an address is set."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any, Literal

logger = logging.getLogger(__name__)

MAX_WAITING = 2_048  # spans that are not sent yet
SEND_EVERY_S = 1.0
SEND_TIMEOUT_S = 5.0  # of one request to the collector
CLOSE_TIMEOUT_S = 2.0

Kind = Literal["server", "consumer"]
# The W3C traceparent of the span that the code runs in; None outside of any.
TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)


class Traces:
    """Spans of one process, sent to the collector at ``url`` by OTLP over HTTP; without a ``url`` there are none.

    No caller waits for the collector: a span that begins while too many wait to be sent is dropped and counted, and so
    are spans that the collector does not take. OpenTelemetry is imported only with a ``url``.
    """

    def __init__(self, url: str | None, process: Literal["api", "job"]) -> None:
        """Raise ModuleNotFoundError if there is a ``url`` and the extra ``otel`` is not installed."""
        self._url, self._process = url, process
        self._sending: CountedExporter | None = None
        self._dropped = 0
        if url is not None:
            self._open(url)

    @property
    def is_on(self) -> bool:
        """Return whether spans are sent."""
        return self._sending is not None

    @property
    def dropped(self) -> int:
        """Return the number of spans that were dropped."""
        return self._dropped + (0 if self._sending is None else self._sending.failed)

    @contextmanager
    def span(self, name: str, kind: Kind, parent: str | None) -> Iterator[dict[str, str | int]]:
        """Make the block a span, a child of the ``traceparent`` ``parent`` if there is one.

        The block may put attributes into the dictionary; an exception that leaves it marks the span as failed.
        """
        attributes: dict[str, str | int] = {}
        if self._sending is None or self._sending.waiting >= MAX_WAITING:
            self._dropped += self._sending is not None
            yield attributes
            return
        context = self._propagator.extract({} if parent is None else {"traceparent": parent})
        with self._tracer.start_as_current_span(name, context, kind=self._kinds[kind]) as span:
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            token = TRACEPARENT.set(carrier.get("traceparent"))
            try:
                yield attributes
            finally:
                TRACEPARENT.reset(token)
                span.set_attributes(attributes)
                if span.is_recording():
                    self._sending.expect(1)

    def close(self) -> None:
        """Send the spans that wait, for a moment at most."""
        if self.is_on:
            closing = threading.Thread(target=self._provider.shutdown, name="traces-close", daemon=True)
            closing.start()
            closing.join(CLOSE_TIMEOUT_S)

    def _open(self, url: str) -> None:
        # Imported here: a process without traces is spared 10 MB and 0.2 s.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # drops are counted, not logged one by one
        facts = {"service.name": "forecastle", "service.version": version("forecastle"), "process.role": self._process}
        self._provider: Any = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
        self._sending = CountedExporter(OTLPSpanExporter(url, timeout=SEND_TIMEOUT_S))
        self._provider.add_span_processor(
            BatchSpanProcessor(self._sending, MAX_WAITING, SEND_EVERY_S * 1_000)  # type: ignore[arg-type]
        )
        self._tracer: Any = self._provider.get_tracer("forecastle")
        self._propagator: Any = TraceContextTextMapPropagator()
        self._kinds = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER}


class CountedExporter:
    """Exporter of OpenTelemetry that counts the spans that wait for it, and those that it could not send."""

    def __init__(self, exporter: Any) -> None:
        self._exporter, self._lock = exporter, threading.Lock()
        self.waiting = self.failed = 0

    def expect(self, count: int) -> None:
        """Count spans that have ended, or with a negative number spans that were sent or dropped."""
        with self._lock:
            self.waiting += count

    def export(self, spans: Sequence[Any]) -> Any:
        """Send ``spans``, and return whether they were taken."""
        result = self._exporter.export(spans)
        self.expect(-len(spans))
        if result.name != "SUCCESS":
            if not self.failed:
                logger.warning("the collector takes no spans; they are dropped")
            self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: nothing waits here."""
        return True
