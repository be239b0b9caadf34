"""Metrics by the rules of Prometheus."""

import re

from prometheus_client.parser import text_string_to_metric_families

from app.telemetry import Figure, Telemetry
from app.telemetry import family as metric

from .conftest import READ_KEY, Wire


def used() -> Telemetry:
    telemetry = Telemetry("1.2.3")
    telemetry.request_answered("GET", "/v1/jobs", 200, 0.003)
    telemetry.forecast_made("ok", series=3)
    telemetry.forecast_made("refused")
    telemetry.problem_answered("not_found")
    telemetry.watch(
        Figure("forecastle_models_loaded", "Trained models in memory.", lambda: 2),
        Figure("forecastle_model_hits_total", "Found in memory.", lambda: 4096),
        Figure("forecastle_forecasts_waiting", "Waiting forecasts.", lambda: [(("small",), 5)], ("lane",)),
    )
    telemetry.batch_ended("quick", requests=3, waited_s=0.0005, seconds=0.004)
    telemetry.batch_ended("quick", requests=2, waited_s=0.25, seconds=0.002)
    return telemetry


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(f"forecastle_{name}", labels)


def test_what_is_told_is_what_is_rendered() -> None:
    telemetry = used()
    assert value(telemetry, "http_requests_total", method="GET", route="/v1/jobs", status="200") == 1
    assert value(telemetry, "http_request_seconds_bucket", route="/v1/jobs", le="0.002") == 0
    assert value(telemetry, "http_request_seconds_bucket", route="/v1/jobs", le="0.005") == 1
    assert value(telemetry, "forecasts_total", outcome="refused") == 1
    assert value(telemetry, "forecast_series_total") == 3
    assert value(telemetry, "models_loaded") == 2
    assert value(telemetry, "model_hits_total") == 4096
    assert value(telemetry, "forecasts_waiting", lane="small") == 5
    assert value(telemetry, "http_problems_total", code="not_found") == 1
    sums = [value(telemetry, f"{name}_sum", lane="quick") for name in ("batch_requests", "batch_wait_seconds")]
    assert (value(telemetry, "batch_requests_count", lane="quick"), sums) == (2, [5, 0.2505])
    assert [value(telemetry, "batch_requests_bucket", lane="quick", le=le) for le in ("1.0", "2.0", "4.0")] == [0, 1, 2]
    assert value(telemetry, "batch_seconds_bucket", lane="quick", le="0.002") == 1
    assert value(telemetry, "build_info", version="1.2.3") == 1
    assert b"process_resident_memory_bytes" in telemetry.render()


def test_two_services_in_one_process_count_apart() -> None:
    one, other = Telemetry("1"), Telemetry("1")
    one.forecast_made("ok", series=1)
    assert value(other, "forecast_series_total") == 0


def test_metric_names_follow_the_rules_that_promtool_checks() -> None:
    for family in text_string_to_metric_families(used().render().decode()):
        if not family.name.startswith("forecastle_"):
            continue
        assert re.fullmatch(r"forecastle_[a-z][a-z_]*[a-z]", family.name)
        assert family.documentation
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", family.name)
        names = {sample.name for sample in family.samples}
        assert family.type != "counter" or names <= {f"{family.name}_total", f"{family.name}_created"}
        assert family.type != "gauge" or not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert family.type != "histogram" or family.name.endswith(("_seconds", "_requests"))


def test_metrics_of_one_answer_stay_out_of_the_next() -> None:
    telemetry = Telemetry("1")
    jobs = metric("forecastle_jobs", "Jobs, by state.", [(("queued",), 4)], ("state",))
    assert b'forecastle_jobs{state="queued"} 4.0' in telemetry.render([jobs])
    assert b"forecastle_jobs" not in telemetry.render()


def test_no_caller_can_make_more_time_series(wire: Wire) -> None:
    for number in range(30):
        wire.ask(f"VERB{number}", f"/nowhere/{number}")
        wire.ask("GET", f"/v1/datasets/name-{number}", key=READ_KEY)
        wire.ask("GET", f"/v1/datasets/{number}", key=f"guess-{number}")
    rendered = wire.telemetry.render().decode()
    assert re.findall(r"forecastle_http_problems_total\{.*", rendered) == [
        'forecastle_http_problems_total{code="unauthorized"} 60.0'
    ]
    counted = re.findall(r"forecastle_http_requests_total(\{.*\}) (.*)", rendered)
    assert dict(counted) == {
        '{method="other",route="other",status="401"}': "30.0",
        '{method="GET",route="/v1/datasets/{name}",status="200"}': "30.0",
        '{method="GET",route="/v1/datasets/{name}",status="401"}': "30.0",
    }
