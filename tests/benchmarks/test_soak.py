"""What is served to many at once is what the library says; and ``make soak`` would notice if it were not."""

import gzip
import json
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.formats import ARROW, LINES
from app.main import create_app
from app.settings import Settings
from benchmarks.serving.contestants import House
from benchmarks.serving.many import metric
from benchmarks.soak.answers import JSON, PROBLEM, Said, Unsound, difference, read
from benchmarks.soak.asks import FORMS, ONE_SERIES, ForecastInput, good, hostile, of_one, session_asks
from benchmarks.soak.clients import Clients
from benchmarks.soak.house import CARRIED, FAMILIES, GOOD, Models, build
from benchmarks.soak.operator import PROMOTED, Operator
from benchmarks.soak.panels import MANY, panels, waves
from benchmarks.soak.record import HUNG_UP, Move, Record, Seen, growth_percent, slowest_s
from benchmarks.soak.report import metrics_of, notes, rows
from models.data.panel import Panel
from tests.app.edge.conftest import listening

SECONDS, MAX_SECONDS = 4.0, 60.0


@pytest.fixture(scope="module")
def sales() -> Panel:
    return waves(np.random.default_rng(2), 40, 30, 50)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, sales: Panel) -> tuple[House, Models]:
    return build(tmp_path_factory.mktemp("soak") / "house", sales)


@pytest.fixture(scope="module")
def mixed(built: tuple[House, Models], sales: Panel) -> list[ForecastInput]:
    return good(built[1], sales, turns=1)


def enough(record: Record) -> bool:
    """Whether every model was asked, many were answered, some gave up, and some versions were promoted."""
    answered, gave_up = record.counts[ONE_SERIES, "200"] > 100, record.counts[ONE_SERIES, HUNG_UP] > 0
    asked = {seen.model for seen in record.seen[:]} == set(FAMILIES)
    return answered and gave_up and asked and record.counts[PROMOTED, "200"] > 2


def test_what_64_are_told_at_once_is_what_the_library_says_of_each(
    built: tuple[House, Models], mixed: list[ForecastInput]
) -> None:
    """All in one: big and small, good and bad, over JSON and Arrow, while versions are promoted and make room."""
    house, models = built
    settings = Settings(
        data_dir=house.folder, cache_bytes=3 * 1024**2, session_bytes=1024**2, max_streams=16, max_streams_per_tenant=16
    )
    record = Record()
    with listening(create_app(settings), "httptools") as port:
        clients = Clients([port], house.key, record, pause_s=0.05)
        operator = Operator([port], house.key, record, pause_s=0.1)
        operator.start()
        clients.start(of_one(models), 34, gone=0.05)
        clients.start(mixed, 16, gone=0.1)
        clients.start(hostile(models), 8)
        clients.start_sessions(models, 6)
        began_s = time.monotonic()
        while not (time.monotonic() - began_s > SECONDS and enough(record)):
            assert time.monotonic() - began_s < MAX_SECONDS
            time.sleep(0.1)
        clients.end()
        operator.end()
        metrics = metrics_of(port, house.key)
    assert (record.failed, record.wrong) == ([], [])
    assert record.largest_difference <= 1e-6
    assert slowest_s(record.moves, record.seen) < 10  # on any machine; the soak has the second
    taken, together = metric(metrics, "batch_requests_count"), metric(metrics, "batch_requests_sum")
    assert together > 1.05 * taken  # many were made in one pass with others


def test_every_kind_of_request_is_asked_and_has_its_right_answers(mixed: list[ForecastInput]) -> None:
    assert {ask.model for ask in mixed} == set(FAMILIES)
    assert {ask.headers["accept"] for ask in mixed} == {JSON, LINES, ARROW}
    assert {ask.headers["accept-encoding"] for ask in mixed} == {"identity", "gzip", "zstd"}
    assert {len(made.ids) for ask in mixed for made in ask.right.values()} >= {1, MANY}
    assert {made.median.shape[1] for ask in mixed for made in ask.right.values()} == {1, 3, 4, 9, 12}
    assert all(set(ask.right) == set(GOOD) for ask in mixed if ask.by_alias)
    assert all(len(ask.right) == 1 for ask in mixed if not ask.by_alias)


def test_the_versions_say_other_things_by_more_than_what_counts_as_the_same(mixed: list[ForecastInput]) -> None:
    compared = [ask for ask in mixed if ask.by_alias and ask.model != "naive" and ask.sizes.max() < 1e6]
    assert len(compared) > 20
    for ask in compared:
        assert difference(said_of(ask, 1), ask.right[2], ask.sizes) > 1e-4


def test_the_panels_are_as_hostile_as_they_say() -> None:
    made = panels(np.random.default_rng(0))
    assert np.isnan(made["holes"].y).mean() > 0.4
    assert np.nanmax(np.abs(made["huge"].y)) == 1e100
    assert 0 < np.abs(made["tiny"].y)[made["tiny"].y != 0].min() < 1e-300
    assert (len(made["many"]), len(made["one"])) == (MANY, 1)


def test_a_session_that_is_gone_is_sent_its_history_again(built: tuple[House, Models]) -> None:
    story = session_asks(built[1], "mine", np.random.default_rng(0))
    first = next(story)
    said = said_of(first, 1)
    second = story.send(said)
    again = story.send((422, "invalid_input/unknown_session"))
    points = [len(json.loads(ask.body)["series"][0]["y"]) for ask in (first, second, again)]
    assert points[0] >= 14
    assert 1 <= points[1] <= 3
    assert points[2] == points[0] + points[1]
    assert (first.refusals < second.refusals, again.refusals) == (True, first.refusals)
    assert first.model == CARRIED


def said_of(ask: ForecastInput, version: int) -> Said:
    """The right answer of a version."""
    right = ask.right[version]
    bounds = {f"{side}-{level}": getattr(i, side) for level, i in right.intervals.items() for side in ("lo", "hi")}
    return Said(version, right.ids, right.median, bounds, (right.stamps(0), right.stamps(-1)), fell_back=False)


@pytest.fixture(scope="module")
def ask(built: tuple[House, Models]) -> ForecastInput:
    """One series of values up to 200, four steps, 80 %."""
    asks = of_one(built[1])
    return next(one for one in asks if list(next(iter(one.right.values())).intervals) == [80] and one.model == "direct")


def test_an_answer_is_right_where_all_of_it_is(ask: ForecastInput) -> None:
    right, said = ask.right[2], said_of(ask, 2)
    assert difference(said, right, ask.sizes) == 0
    assert difference(said._replace(median=said.median + 1e-3 * ask.sizes), right, ask.sizes) == pytest.approx(1e-3)
    wider = {**said.bounds, "hi-80": said.bounds["hi-80"] + 0.5 * ask.sizes}
    assert difference(said._replace(bounds=wider), right, ask.sizes) == pytest.approx(0.5)
    others: list[dict[str, Any]] = [
        {"ids": ("another",)},
        {"median": said.median[:, :-1]},
        {"median": said.median * np.nan},
        {"bounds": {}},
        {"stamps": (said.stamps[0][1:], said.stamps[1])},
    ]
    assert [difference(said._replace(**changes), right, ask.sizes) for changes in others] == [math.inf] * len(others)


def test_what_is_not_right_is_counted_and_told(ask: ForecastInput) -> None:
    record = Record()
    said = said_of(ask, 2)
    record.answered(ask, said, 1.0, 1.5)
    record.answered(ask, said._replace(version=3), 1.0, 1.5)  # the numbers of another version
    record.answered(ask, said._replace(version=9), 1.0, 1.5)  # a version that there is not
    record.answered(ask, (503, "unavailable"), 1.0, 1.5)
    record.answered(ask, (500, "internal"), 1.0, 1.5)
    record.answered(replace(ask, right={}, refusals=frozenset({(404, "not_found")})), said, 1.0, 1.5)
    assert (record.wrongs, record.failures, len(record.wrong)) == (3, 1, 3)
    assert record.failed == [f"{ONE_SERIES}: direct by {FORMS[0].path}: 500 internal"]
    assert record.counts == {(ONE_SERIES, "200"): 4, (ONE_SERIES, "503 unavailable"): 1, (ONE_SERIES, "error"): 1}
    assert record.seen[0] == Seen("direct", 2, 1.0, 1.5)


def moves() -> list[Move]:
    """Version 1 from the start, 2 from second 10 to 20, then 1 again; each move takes a second."""
    return [Move("m", 1, 0.0, 0.0), Move("m", 2, 10.0, 11.0), Move("m", 1, 20.0, 21.0)]


@pytest.mark.parametrize(
    ("version", "began_s", "ended_s", "late_s"),
    [
        (1, 5, 6, 0),
        (1, 11, 12, 0),  # the move to 2 was answered at 11
        (1, 11.4, 12, 0.4),
        (2, 9, 10.5, 0),  # begun before, and answered when the move was under way
        (2, 8, 9, math.inf),  # nobody had asked for 2
        (2, 23, 24, 2),
        (1, 20, 20.5, 0),
        (1, 90, 91, 0),
        (3, 5, 6, math.inf),
    ],
)
def test_how_long_an_earlier_version_is_still_served(
    version: int, began_s: float, ended_s: float, late_s: float
) -> None:
    assert slowest_s(moves(), [Seen("m", version, began_s, ended_s)]) == pytest.approx(late_s)


def test_growth_is_that_of_the_second_half() -> None:
    warming = [*range(50), *[100] * 40, *[110] * 10]
    assert growth_percent(warming) == pytest.approx(10)
    assert growth_percent([*range(50), *[100] * 50]) == 0
    assert growth_percent([5.0]) == 0


HEAD = {"model": {"version": 3}, "warnings": [{"code": "fell_back"}], "horizon": 1}
ROW = {"unique_id": "a", "ds": ["2026-01-01T00:00:00"], "median": [1.5], "intervals": {"80": {"lo": [1], "hi": [2]}}}
SAID = Said(3, ("a",), np.array([[1.5]]), {}, (ROW["ds"], ROW["ds"]), fell_back=True)  # type: ignore[arg-type]


def lines(*values: Any) -> bytes:
    return b"\n".join(json.dumps(value).encode() for value in values)


def table(last: Any = None) -> bytes:
    """An answer in Arrow; ``last``: what a stream says at its end."""
    moments = pa.array([np.datetime64("2026-01-01", "us")])
    made = pa.table({"unique_id": ["a"], "ds": moments, "median": [1.5], "mean": [2.5], "lo-80": [1.0], "hi-80": [2.0]})
    made, sink = made.replace_schema_metadata({"forecastle": json.dumps(HEAD)}), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)
        if last is not None:
            nothing = pa.RecordBatch.from_pylist([], schema=made.schema)
            writer.write_batch(nothing, custom_metadata={"forecastle": json.dumps(last)})
    return bytes(sink.getvalue())


DONE = {"done": True, "series": 1}
REFUSED = {"status": 503, "code": "unavailable", "errors": []}
FAULTY = {"status": 422, "code": "invalid_input", "errors": [{"code": "no_history"}, {"code": "x"}]}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, lines({**HEAD, "forecasts": [ROW]})),
        (LINES, lines(HEAD, ROW, DONE)),
        (ARROW, table()),
        (ARROW, table(DONE)),
    ],
    ids=["json", "lines", "table", "stream"],
)
def test_an_answer_says_the_same_in_every_form(kind: str, body: bytes) -> None:
    packed = {"content-type": kind + "; charset=x", "content-encoding": "gzip"}
    said = read(200, packed, gzip.compress(body))
    assert isinstance(said, Said)
    assert said._replace(median=SAID.median, bounds={}) == SAID
    assert (said.median.tolist(), said.bounds["lo-80"].tolist(), said.bounds["hi-80"].tolist()) == (
        [[1.5]],
        [[1]],
        [[2]],
    )


@pytest.mark.parametrize(
    ("status", "kind", "body", "told"),
    [
        (503, PROBLEM, lines(REFUSED), (503, "unavailable")),
        (422, PROBLEM, lines(FAULTY), (422, "invalid_input/no_history")),
        (200, LINES, lines(HEAD, ROW, {"error": REFUSED}), (503, "unavailable")),
        (200, ARROW, table({"error": FAULTY}), (422, "invalid_input/no_history")),
    ],
)
def test_a_refusal_is_one_wherever_it_comes(status: int, kind: str, body: bytes, told: tuple[int, str]) -> None:
    assert read(status, {"content-type": kind}, body) == told


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (500, "text/html", b"oops"),
        (200, JSON, b"{"),
        (200, JSON, b'{"model": {}}'),
        (200, LINES, lines(HEAD, ROW)),
        (200, LINES, lines(HEAD, ROW, {"done": True, "series": 2})),
        (200, ARROW, table()[:-30]),
        (200, ARROW, table({"done": True, "series": 2})),
    ],
)
def test_what_is_cut_off_or_no_answer_at_all_is_unsound(status: int, kind: str, body: bytes) -> None:
    with pytest.raises(Unsound):
        read(status, {"content-type": kind}, body)


def test_the_report_has_its_bars_and_what_each_kind_was_answered(ask: ForecastInput) -> None:
    record = Record(moves=moves())
    record.answered(ask, said_of(ask, 2), 1.0, 1.004)
    record.count(ONE_SERIES, HUNG_UP)
    record.count(ONE_SERIES, "503 unavailable")
    record.seen[:] = [Seen("m", 1, 12.5, 13)]
    found = {row.name: row for row in rows(record, [[100.0] * 9 + [104]], ["forecastle_model_loads_total 3\n"])}
    assert {name: row.verdict for name, row in found.items() if row.verdict} == {
        "errors": "met",
        "wrong answers": "met",
        "largest difference to the right answer": "met",
        "memory growth over the second half, of the server that grew most": "met",
        "slowest promotion or rollback seen": "MISSED",
    }
    values = {name: row.value for name, row in found.items()}
    assert values["slowest promotion or rollback seen"] == pytest.approx(1.5)
    assert values["requests"] == 3
    assert values["turned away: 429, 503, 504"] == values["requests given up by their clients"] == 1
    assert values["models loaded"] == 3
    assert values["p99 of one series"] == pytest.approx(4)
    assert notes(record, 5, {})["answers"] == {ONE_SERIES: {"200": 1, "503 unavailable": 1, HUNG_UP: 1}}


def test_the_models_are_as_many_kinds_as_are_served_in_their_own_way(
    built: tuple[House, Models],
) -> None:
    models = built[1]
    assert {name: sorted(versions) for name, versions in models.items()} == {name: list(GOOD) for name in FAMILIES}
    strategies = {one.networks[0].member.spec.strategy for versions in models.values() for one in versions.values()}
    assert strategies == {"direct", "iterative", "seq2seq", "decoder", "parallel", "seasonal_naive"}
