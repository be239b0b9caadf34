"""Requests with their expected answers: the forecast of each version, or the documented refusals."""

import gzip
import itertools
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
from backports import zstd

from app.formats import ARROW, LINES
from benchmarks.soak.answers import JSON, Refusal, Said
from benchmarks.soak.house import BROKEN, CARRIED, CARRY, DAMAGED, DATASET, NO_NUMBERS, PRICED, Models
from benchmarks.soak.panels import BEGIN, HOUR, panels, waves, with_price
from models.data.panel import Panel
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import forecast
from models.forecasting.session import begin, forecast_session
from models.types import Floats, JsonObject

ONE, STREAM = "/v1/forecasts", "/v1/forecasts/stream"
ONE_SERIES, MANY_SERIES, STREAMED = "one series", "several series", "a stream"
PACK: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.compress, "zstd": zstd.compress}
# What any request may be told that is in order: come again.
LATER: frozenset[Refusal] = frozenset({(429, "too_many_requests"), (503, "unavailable"), (504, "deadline_passed")})
# A session is gone where its server has another champion meanwhile, was told of others, or forgot it.
GONE: frozenset[Refusal] = frozenset({(422, "invalid_input/unknown_session")})


@dataclass(frozen=True, slots=True, eq=False)
class ForecastInput:
    """Request of one ``kind``; ``right`` maps version numbers to expected forecasts, ``refusals`` are other allowed
    answers. ``sizes`` (N, 1) are those of the series; ``by_alias`` says whether an alias selects the version.
    """

    kind: str
    model: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    right: Mapping[int, Forecast] = field(default_factory=dict)
    sizes: Floats = field(default_factory=lambda: np.ones((1, 1)))
    refusals: frozenset[Refusal] = LATER
    by_alias: bool = True


class Form(NamedTuple):
    """Format of a request: ``series``, ``rows`` or ``arrow``, or the ``stored`` data set; compression of both
    bodies.
    """

    path: str
    sent: str
    accept: str
    packed: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of this format."""
        coding = {"content-encoding": self.packed} if self.packed else {}
        kind = ARROW if self.sent == "arrow" else JSON
        return {"content-type": kind, "accept": self.accept, "accept-encoding": self.packed or "identity", **coding}


FORMS = (
    Form(ONE, "series", JSON),
    Form(ONE, "rows", JSON),
    Form(ONE, "arrow", JSON),
    Form(ONE, "rows", ARROW, "gzip"),
    Form(ONE, "arrow", ARROW, "zstd"),
    Form(ONE, "series", JSON, "zstd"),
    Form(ONE, "stored", JSON),
    Form(STREAM, "series", LINES),
    Form(STREAM, "rows", LINES, "gzip"),
    Form(STREAM, "arrow", ARROW),
    Form(STREAM, "stored", ARROW, "zstd"),
)
WANTS = ((1, ()), (4, (80,)), (3, (50, 80, 95)), (9, (80, 95)), (12, ()))  # steps and levels; 4 are what was taught


def good(models: Models, sales: Panel, turns: int) -> list[ForecastInput]:
    """Return requests for every model in every format, ``turns`` times over other panels; a fifth names the version."""
    rng = np.random.default_rng(0)
    plain = panels(rng)
    known, numbers = {name: with_price(panel, rng) for name, panel in plain.items()}, itertools.cycle((0, 0, 1, 0, 0))
    chosen, made = itertools.cycle(plain), list[ForecastInput]()
    for turn, form, model in itertools.product(range(turns), FORMS, models):
        if model == PRICED and form.sent in ("series", "stored"):
            continue  # these know no prices
        panel = sales if form.sent == "stored" else (known if model == PRICED else plain)[next(chosen)]
        horizon, levels = WANTS[(turn + len(made)) % len(WANTS)]
        number = next(numbers) and 1 + len(made) % len(models[model])
        made.append(_ask(models, model, form, panel, (horizon, levels, number)))
    return made


def of_one(models: Models) -> list[ForecastInput]:
    """Return the most frequent request: one series in JSON."""
    rng = np.random.default_rng(1)
    names, lengths = [name for name in models if name != PRICED], rng.integers(12, 40, 40).tolist()
    return [
        _ask(models, names[i % len(names)], FORMS[0], waves(rng, length), (*WANTS[i % len(WANTS)], 0))
        for i, length in enumerate(lengths)
    ]


def hostile(models: Models) -> list[ForecastInput]:
    """Return invalid requests, each with its one expected refusal."""
    return [
        ForecastInput(kind, BROKEN, path, headers, body, refusals=LATER | {told})
        for kind, path, headers, body, told in _bad()
    ]


def session_asks(
    models: Models, name: str, rng: np.random.Generator
) -> Generator[ForecastInput, Said | Refusal | None, None]:
    """Yield the requests of one session, each with the forecast of the full history: the history, then single points.

    The caller sends each answer into the generator. If the session was evicted, the next request has the whole history
    again; after any other refusal, it has the unread points.
    """
    panel, at = waves(rng, int(rng.integers(60, 120))), int(rng.integers(14, 40))
    read = 0  # points, by the session
    while at <= len(panel.y):
        known, new = _points(panel, 0, at), _points(panel, read, at)
        right = {
            number: forecast_session(one.networks, one.calibration, begin(one.networks, known, CARRY), 4, (80,))
            for number, one in models[CARRIED].items()
        }
        asked = {**_json(new, "series"), "model": CARRIED, "horizon": 4, "levels": [80], "session": name}
        headers, refusals = FORMS[0].headers, LATER | (GONE if read else frozenset())
        answer = yield ForecastInput("session", CARRIED, ONE, headers, _text(asked), right, _sizes(known), refusals)
        if isinstance(answer, Said):
            read, at = at, at + int(rng.integers(1, 4))
        elif answer in GONE:
            read = 0


def _ask(models: Models, model: str, form: Form, panel: Panel, wanted: tuple[int, Sequence[int], int]) -> ForecastInput:
    horizon, levels, number = wanted
    right = {
        known: forecast(served.networks, served.calibration, panel, horizon, levels)
        for known, served in models[model].items()
        if number in (0, known)
    }
    asked: JsonObject = {"model": model, "horizon": horizon, "levels": list(levels)}
    asked |= {"version": number} if number else {}
    path, body = form.path, b""
    if form.sent == "arrow":
        path, body = f"{path}?{urlencode({**asked, 'levels': ','.join(map(str, levels)), 'freq': 'h'})}", arrow(panel)
    else:
        body = _text({**asked, **_json(panel, form.sent)})
    kind = STREAMED if path.startswith(STREAM) else ONE_SERIES if len(panel) == 1 else MANY_SERIES
    body = PACK[form.packed](body)
    return ForecastInput(kind, model, path, form.headers, body, right, _sizes(panel), by_alias=not number)


def _bad() -> Iterator[tuple[str, str, dict[str, str], bytes, Refusal]]:
    """Invalid requests: kind, path, headers, body and expected refusal."""
    headers = FORMS[0].headers
    series = [{"unique_id": "s0", "start": str(BEGIN), "y": [1.0, 2.0, 4.0, 3.0] * 4}]
    whole: JsonObject = {"model": BROKEN, "series": series}

    def changed(kind: str, told: Refusal, **changes: Any) -> tuple[str, str, dict[str, str], bytes, Refusal]:
        return kind, ONE, headers, _text(whole | changes), told

    yield "no JSON", ONE, headers, _text(whole)[:-9], (400, "invalid_json")
    yield "no gzip", ONE, {**headers, "content-encoding": "gzip"}, _text(whole), (400, "bad_request")
    yield "no Arrow", f"{ONE}?model={BROKEN}", FORMS[2].headers, b"ARROW1", (422, "invalid_input/bad_arrow")
    bomb = gzip.compress(b" " * 40 * 1024**2)
    yield "a bomb", ONE, {**headers, "content-encoding": "gzip"}, bomb, (413, "body_too_large")
    yield "oversize", ONE, {**headers, "content-length": str(10**9)}, _text(whole), (413, "body_too_large")
    yield changed("no model", (404, "not_found"), model="nobody")
    yield changed("no version", (404, "not_found"), version=99)
    yield changed("no alias", (404, "not_found"), alias="nobody")
    yield changed("no numbers", (500, "model_broken"), version=NO_NUMBERS)
    yield changed("damaged", (500, "corrupt_bundle"), version=DAMAGED)
    yield changed("too far", (422, "invalid_input/horizon_too_long"), horizon=10**9)
    yield changed("too much", (422, "invalid_input/answer_too_large"), horizon=5_000, series=_many(300))
    nothing, large = [{**series[0], "y": [None] * 9}], [{**series[0], "y": [1.0, 1e101]}]
    yield changed("no history", (422, "invalid_input/no_history"), series=nothing)
    yield changed("too large", (422, "invalid_input/value_too_large"), series=large)
    yield changed("no state", (422, "invalid_input/no_state"), session="mine")
    yield (
        "a stream of no numbers",
        STREAM,
        headers | {"accept": LINES},
        _text(whole | {"version": NO_NUMBERS}),
        (
            500,
            "model_broken",
        ),
    )


def _many(count: int) -> list[JsonObject]:
    return [{"unique_id": f"s{i}", "start": str(BEGIN), "y": [float(i), 1.0]} for i in range(count)]


def _points(panel: Panel, begin: int, end: int) -> Panel:
    """Return some points of a single series."""
    starts = HOUR.after(panel.starts, np.array([begin]))
    return Panel(panel.ids, starts, panel.y[begin:end], np.array([0, end - begin]), HOUR)


def _sizes(panel: Panel) -> Floats:
    """Return the size of the values of each series, (N, 1), at least 1."""
    return np.array([[max(1.0, float(np.nanmax(np.abs(values))))] for _, values in panel])


def _json(panel: Panel, sent: str) -> JsonObject:
    if sent == "stored":
        return {"dataset": {"name": DATASET}}
    if sent == "series":
        posted = zip(panel.ids, panel.starts, panel, strict=True)
        return {"series": [{"unique_id": one, "start": str(at), "y": _cells(y)} for one, at, (_, y) in posted]}
    rows = _rows(panel)
    history = {"unique_id": rows["unique_id"], "ds": [str(at) for at in rows["ds"]], "y": _cells(panel.y)}
    return {"history": {**history, "covariates": {n: v.tolist() for n, v in panel.covariates.items()}}, "freq": "h"}


def arrow(panel: Panel) -> bytes:
    """Return the rows as an Arrow stream."""
    rows = _rows(panel)
    table = pa.table({**rows, "y": pa.array(panel.y, from_pandas=True), **panel.covariates})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _rows(panel: Panel) -> JsonObject:
    ids = [name for name, values in panel for _ in values]
    return {"unique_id": ids, "ds": np.concatenate([panel.times(i) for i in range(len(panel))])}


def _cells(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def _text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
