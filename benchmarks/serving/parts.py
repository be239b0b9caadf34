"""Time of each part of a request, in one thread; the rest of a request over HTTP is spent in the web server."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from app.api.forecasts import decode_json
from app.forecasting.json_answer import answer_json, provenance_of
from app.forecasting.request_panel import panel_of
from app.serving.alias_state import ResolvedVersion
from benchmarks.results import Row
from benchmarks.serving.contestants import our_body, windows_of
from benchmarks.serving.served import SPEC, forecaster
from models.engines.onnx import OnnxEngine
from models.forecasting.forecaster import forecast_together, make_runnable
from models.forecasting.split import ForecastInput
from models.network.inputs import Reader, facts_in, window_inputs
from models.training.report import VersionReport

REPEATS, SECONDS = 20, 0.03
TOGETHER, MANY = 32, 1_000
REPORT = VersionReport(
    horizon=SPEC.horizon,
    season=SPEC.season,
    origins=10,
    windows=100,
    series_left_out=0,
    scores={"model": {"mase": 0.8}, "seasonal_naive": {"mase": 1.0}},
    skill=0.2,
    coverage={"80": 0.8},
    warm_started_from=None,
)


class Part(NamedTuple):
    """Some work for a number of ``series``."""

    name: str
    work: Callable[[], Any]
    series: int = 1


def rows() -> list[Row]:
    """Return microseconds per series of each part: the minimum of several tries, which a busy machine changes least."""
    return [
        Row(name=f"part: {part.name}", value=1e6 * least_s(part.work) / part.series, unit="us a series", better="lower")
        for part in parts()
    ]


def parts() -> list[Part]:
    """Return the parts of a request, from its bytes to those of its answer."""
    made, few, many = forecaster(SPEC), our_body(windows_of(1, SPEC.context)), our_body(windows_of(MANY, SPEC.context))
    networks, calibration = make_runnable(made.members, OnnxEngine), made.calibration
    one, all_of_them = decode_json(few), decode_json(many)
    panel, large = panel_of(one, None, SPEC.freq), panel_of(all_of_them, None, SPEC.freq)
    ask, wide, whole = (
        ForecastInput(panel, SPEC.horizon, ()),
        ForecastInput(panel, SPEC.horizon, (80, 95)),
        ForecastInput(large, SPEC.horizon, ()),
    )
    provenance = provenance_of(version(), "gru", 1, ())
    (said,), (large_said,) = (forecast_together(networks, calibration, [each]) for each in (ask, whole))
    (((spec, weights, *_), engine),) = networks
    reader, series = Reader(spec, facts_in(weights), large), large.observed_lengths.argsort(kind="stable")
    batch = reader.read(series, large.observed_lengths, spec.outputs)
    inputs = window_inputs(spec, batch.values, batch)
    first = {name: value[:1] for name, value in inputs.items()}
    return [
        Part("read the body", lambda: decode_json(few)),
        Part("make the panel", lambda: panel_of(one, None, SPEC.freq)),
        Part("forecast, alone", lambda: forecast_together(networks, calibration, [ask])),
        Part(
            f"forecast, {TOGETHER} together",
            lambda: forecast_together(networks, calibration, [ask] * TOGETHER),
            TOGETHER,
        ),
        Part(
            "the same with 80 and 95 %", lambda: forecast_together(networks, calibration, [wide] * TOGETHER), TOGETHER
        ),
        Part("of that the network, alone", lambda: engine.run(first)),
        Part("write the answer", lambda: answer_json(provenance, said)),
        Part(f"{MANY:,} in one request: read the body", lambda: decode_json(many), MANY),
        Part(f"{MANY:,} in one request: make the panel", lambda: panel_of(all_of_them, None, SPEC.freq), MANY),
        Part(f"{MANY:,} in one request: forecast", lambda: forecast_together(networks, calibration, [whole]), MANY),
        Part(f"{MANY:,} in one request: of that the network", lambda: engine.run(inputs), MANY),
        Part(f"{MANY:,} in one request: write the answer", lambda: answer_json(provenance, large_said), MANY),
    ]


def version() -> ResolvedVersion:
    """Return a version that answers."""
    return ResolvedVersion(
        tenant_id=1, model="gru", alias=None, version_id=1, number=1, sha256="0" * 64, spec=SPEC, report=REPORT
    )


def least_s(work: Callable[[], Any]) -> float:
    """Return the seconds of ``work``: the lowest mean of ``REPEATS`` tries of about ``SECONDS`` each."""
    work()
    began_s = time.perf_counter()
    work()
    count = max(1, int(SECONDS / max(time.perf_counter() - began_s, 1e-6)))
    means_s = []
    for _ in range(REPEATS):
        began_s = time.perf_counter()
        for _ in range(count):
            work()
        means_s.append((time.perf_counter() - began_s) / count)
    return min(means_s)
