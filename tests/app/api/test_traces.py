"""Traces reach a real collector, from the request of a caller to the process of its job, and delay nobody."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.store.tables import Job
from app.telemetry import tracing
from app.work.dispatcher import Dispatcher
from app.work.executors.local import LocalExecutor
from tests.app.api.conftest import House, open_house
from tests.app.api.tables import series
from tests.app.receivers import Receiver, receiver
from tests.app.work.small_jobs import eventually
from tests.fakes import says

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CHILD = """
import sys
from app.store.outcomes import Outcome
from app.work.local_child import main
sys.exit(main(sys.argv[1:], lambda: {"train": lambda context: Outcome()}))
"""


@pytest.fixture
def collector() -> Iterator[Receiver]:
    """A collector that takes everything."""
    with receiver() as made:
        yield made


@pytest.fixture
def traced(sqlite_template: Path, tmp_path: Path, collector: Receiver) -> Iterator[House]:
    """A service that sends its spans to the collector; its model ``demand`` can forecast."""
    with open_house(sqlite_template, tmp_path, traces_url=f"{collector.url}/v1/traces") as house:
        house.register(says(1, 2, -1))
        yield house


def spans_of(collector: Receiver) -> list[Span]:
    batches = [ExportTraceServiceRequest.FromString(told.body) for told in collector.received]
    return [
        span for batch in batches for part in batch.resource_spans for one in part.scope_spans for span in one.spans
    ]


def find(collector: Receiver, name: str) -> Span:
    return eventually(lambda: next((span for span in spans_of(collector) if span.name == name), None))


def facts_of(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_one_trace_goes_from_the_caller_over_the_request_to_the_process_of_the_job(
    traced: House, collector: Receiver
) -> None:
    traced.acme.keep("long", series("shop", [float(day % 7) for day in range(120)]))
    answer = traced.acme.ask(
        "POST",
        "/v1/jobs",
        json={"model": "week", "dataset": "long"},
        headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
    )
    job_id = answer.json()["id"]
    dispatcher = Dispatcher(
        traced.database, traced.settings, LocalExecutor(traced.settings, (sys.executable, "-c", CHILD))
    )

    def is_done() -> bool:
        dispatcher.step()
        with traced.database.read() as session:
            return session.get_one(Job, job_id).state == "succeeded"

    eventually(is_done)
    request, job = find(collector, "POST /v1/jobs"), find(collector, "job train")
    dispatcher.close()
    assert {request.trace_id.hex(), job.trace_id.hex()} == {TRACE}
    assert request.parent_span_id.hex() == CALLER
    assert job.parent_span_id == request.span_id
    assert facts_of(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/jobs",
        "http.response.status_code": 202,
        "forecastle.request_id": answer.headers["x-request-id"],
    }
    assert facts_of(job) == {"forecastle.job": job_id, "forecastle.token": 1, "forecastle.exit": "DONE"}


def test_a_span_has_no_key_no_name_and_no_text_of_the_caller(traced: House, collector: Receiver) -> None:
    for path in ("/v1/datasets/canary", "/canary?x=canary"):
        traced.acme.ask("GET", path, headers={"traceparent": "canary", "cookie": "canary"})
    traced.acme.ask("CANARY" * 9, "/v1/jobs")
    traced.acme.forecast()
    names = {find(collector, name).name for name in ("GET /v1/datasets/{name}", "GET other", "POST /v1/forecasts")}
    assert names | {"other other"} >= {span.name for span in spans_of(collector) if "v1" not in span.name}
    sent = b"".join(told.body for told in collector.received)
    assert b"canary" not in sent.lower()
    assert traced.acme.key.encode()[12:] not in sent


def test_a_collector_that_has_stopped_delays_no_request_and_what_it_does_not_take_is_counted(
    traced: House, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "MAX_WAITING", 3)
    collector.hold.clear()
    for _ in range(5):
        assert traced.acme.forecast()["horizon"] == 3
    assert traced.app.state.service.traces.dropped >= 2  # three wait


def test_spans_that_a_collector_refuses_are_counted(traced: House, collector: Receiver) -> None:
    collector.answers = [400] * 9
    traced.acme.forecast()
    assert eventually(lambda: traced.app.state.service.traces.dropped)
