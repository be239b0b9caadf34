"""The door to a forecast without HTTP: versions, fallback, admission, the log, encoding, and callers that leave."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from anyio import CapacityLimiter

from app.forecasting.client import Client
from app.forecasting.forecast import Forecasting, StreamFormat
from app.forecasting.json_answer import Provenance, answer_json
from app.forecasting.request_panel import Input, Request, RequestPanel
from app.formats import LineStream
from app.problems import CallerGone, CorruptBundle, NotFound
from app.records import ForecastRecord
from app.schemas.forecasts import ForecastRequest
from app.schemas.streams import ForecastQuery
from app.serving.batcher import Batcher
from app.serving.forecast_log import ForecastLog
from app.serving.interval_scales import IntervalScales
from app.serving.model_cache import ModelCache, device_for
from app.serving.version_resolver import Resolver
from app.settings import Settings
from app.telemetry import Telemetry
from models.errors import BundleError, InputError, ModelBroken
from models.evaluation.realised import from_bytes
from models.forecasting import bundle
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import Forecaster
from tests.app.serving.shelves import Registry
from tests.fakes import random_forecaster, says
from tests.models.samples import panel_of

PANEL = panel_of([4.0, 6.0, 8.0, 10.0])
DEMAND = ForecastQuery(model="demand")
# The last value is 10, the mean distance from it 3; says(1, 2, -1) forecasts 10 + 3, 10 + 6, 10 - 3.
ONE_UP = [13.0, 16.0, 7.0]
DAMAGED = b"no bundle"


def nan_forecaster() -> Forecaster:
    """A forecaster whose network overflows: its bundle can be loaded, its forecasts are not finite."""
    made = random_forecaster(units=64)
    made.members[0].weights["head/kernel"][:] = 3e38  # type: ignore[index]
    return made


class Reader:
    """Returns panels as they come; ``stored`` is the panel of revision 2 of data set 5, which requests may name."""

    def __init__(self) -> None:
        self.freqs = list[str]()

    def read(self, tenant_id: int, request: Request, data: Input, freq: str) -> RequestPanel:
        self.freqs.append(freq)
        if isinstance(request, ForecastRequest) and request.dataset is not None:
            return RequestPanel(PANEL, 5, 2) if request.dataset.revision is None else RequestPanel(PANEL)
        return RequestPanel(data)  # type: ignore[arg-type]


@dataclass
class Room:
    """A door over versions of tenant 7's ``demand``, by number; ``fetched`` are the versions whose bundle was read."""

    versions: dict[int, bytes]
    registry: Registry
    door: Forecasting = field(init=False)
    fetched: list[int] = field(default_factory=list)
    logged: list[ForecastRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        models = ModelCache(self.fetch, device_for("onnx", "cpu", 1), 10**8)
        telemetry = Telemetry("0")
        self.door = Forecasting(
            settings=Settings(max_horizon=50, max_forecast_points=400),
            resolver=Resolver(self.registry, models),
            models=models,
            scales=IntervalScales(lambda _: {}),
            reader=Reader(),  # type: ignore[arg-type]
            sessions=None,  # type: ignore[arg-type]
            batcher=Batcher(10, telemetry),
            log=ForecastLog(1.0, self.keep, write_every_s=0.0),
            telemetry=telemetry,
            slots=CapacityLimiter(2),
        )

    def fetch(self, tenant_id: int, version_id: int) -> bytes:
        self.fetched.append(version_id - 100)
        if version_id - 100 not in self.versions:
            raise CorruptBundle("its checksum is another one")
        return self.versions[version_id - 100]

    def keep(self, records: Sequence[ForecastRecord]) -> int:
        self.logged.extend(records)
        return len(records)

    def ask(self, request: Request = DEMAND, data: Input = PANEL, encode: Any = answer_json, **options: Any) -> Any:
        return json.loads(asyncio.run(self.door.answer(Client(7, **options), request, data, encode)))

    def counted(self, outcome: str) -> float:
        value = self.door.telemetry.registry.get_sample_value("forecastle_forecasts_total", {"outcome": outcome})
        return value or 0.0


@contextmanager
def room_of(*forecasters: Forecaster | bytes | None) -> Iterator[Room]:
    """A room with the versions 1, 2, …; ``champion`` points at the last, after all before. None: a corrupt one."""
    bundles = {i: bundle.to_bytes(f) if isinstance(f, Forecaster) else f for i, f in enumerate(forecasters, 1)}
    last = len(forecasters)
    room = Room(
        {i: data for i, data in bundles.items() if data is not None},
        Registry({"champion": last}, before=list(range(last - 1, 0, -1))),
    )
    try:
        yield room
    finally:
        room.door.close()


def test_a_panel_is_answered_with_the_forecast_of_the_champion() -> None:
    with room_of(says(9, 9, 9), says(1, 2, -1)) as room:
        answer = room.ask()
    assert answer["model"]["version"] == 2
    assert answer["forecasts"][0]["mean"] == pytest.approx(ONE_UP)
    assert (room.fetched, room.counted("ok"), room.counted("error")) == ([2], 1, 0)


def test_the_caller_chooses_the_encoding() -> None:
    def encode(provenance: Provenance, forecast: Forecast) -> bytes:
        return json.dumps([provenance.skill, forecast.median.shape]).encode()

    with room_of(says(1, 2, -1)) as room:
        assert room.ask(ForecastQuery(model="demand", horizon=2), encode=encode) == [pytest.approx(0.1), [1, 2]]


def test_another_tenant_finds_no_model() -> None:
    with room_of(says(1, 2, -1)) as room:
        with pytest.raises(NotFound):
            asyncio.run(room.door.answer(Client(8), DEMAND, PANEL, answer_json))
        assert (room.counted("ok"), room.counted("error"), room.fetched) == (0, 1, [])


@pytest.mark.parametrize("broken", [None, DAMAGED, nan_forecaster()], ids=["checksum", "bundle", "numbers"])
def test_a_broken_version_falls_back_to_the_one_before_it(broken: Forecaster | bytes | None) -> None:
    with room_of(says(1, 2, -1), broken) as room:
        first, second = room.ask(), room.ask()
    assert [answer["model"]["version"] for answer in (first, second)] == [1, 1]
    assert [warning["code"] for warning in second["warnings"]] == ["fell_back"]
    assert first["forecasts"][0]["mean"] == pytest.approx(ONE_UP)
    assert (room.fetched, room.counted("error")) == ([2, 1], 0)


def test_a_request_falls_back_only_once() -> None:
    """Version 3 and version 2 load, and give no numbers: the request fails, and the next one is answered by 1."""
    with room_of(says(1, 2, -1), nan_forecaster(), nan_forecaster()) as room:
        with pytest.raises(ModelBroken):
            room.ask()
        assert room.fetched == [3, 2]
        assert room.ask()["model"]["version"] == 1


def test_without_an_earlier_version_the_error_is_raised() -> None:
    with room_of(DAMAGED) as room, pytest.raises(BundleError):
        room.ask()


def test_a_version_that_was_asked_for_by_its_number_never_falls_back() -> None:
    with room_of(says(1, 2, -1), None) as room, pytest.raises(CorruptBundle):
        room.ask(ForecastQuery(model="demand", version=2))


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"horizon": 51}, "horizon_too_long"), ({"horizon": 50, "levels": [50, 80, 90, 95]}, "answer_too_large")],
)
def test_a_request_that_costs_too_much_is_never_batched(changes: dict[str, Any], code: str) -> None:
    # 50 steps of 1 + 2 * 3 numbers are 350, of which an answer may have 300
    with room_of(says(1, 2, -1)) as room:
        with pytest.raises(InputError) as caught:
            room.ask(ForecastQuery(model="demand", **changes))
        assert caught.value.faults[0].code == code
        sample = room.door.telemetry.registry.get_sample_value("forecastle_batch_requests_count", {"lane": "quick"})
    assert (sample, room.counted("error")) == (None, 1)


def test_forecasts_of_the_newest_revision_are_logged_with_all_that_was_predicted() -> None:
    newest = ForecastRequest.model_validate({"model": "demand", "dataset": {"name": "sales"}})
    older = ForecastRequest.model_validate({"model": "demand", "dataset": {"name": "sales", "revision": 1}})
    with room_of(says(1, 2, -1)) as room:
        for request, data in ((newest, None), (older, None), (DEMAND, PANEL)):
            room.ask(request, data)
    (record,) = room.logged  # closing has written what waited
    assert (record.version_id, record.dataset_id, record.revision, record.horizon) == (101, 5, 2, 3)
    assert from_bytes([record.said]).median[0] == pytest.approx(ONE_UP)


def test_a_forecast_that_its_caller_gives_up_is_not_encoded() -> None:
    encoded = list[Forecast]()

    def encode(_: Provenance, forecast: Forecast) -> bytes:
        encoded.append(forecast)
        return b"{}"

    async def leave(waiting: "asyncio.Future[bytes]") -> bytes:
        waiting.cancel()
        raise CallerGone

    with room_of(says(1, 2, -1)) as room:
        with pytest.raises(CallerGone):
            room.ask(encode=encode, wait=leave)
        assert (encoded, room.counted("error")) == ([], 1)
        room.ask(encode=encode)
        assert len(encoded) == 1


LINES = StreamFormat(LineStream, lambda error: {"detail": str(error)})


async def lines_of(pieces: AsyncGenerator[bytes, None]) -> list[Any]:
    return [json.loads(line) for line in b"".join([piece async for piece in pieces]).splitlines()]


def many(count: int) -> Any:
    return replace(
        PANEL,
        ids=tuple(f"s{i}" for i in range(count)),
        starts=np.repeat(PANEL.starts, count),
        y=np.tile(PANEL.y, count),
        indptr=np.arange(count + 1) * 4,
    )


def test_a_stream_is_made_in_parts_of_one_answers_size() -> None:
    # 50 steps of 3 numbers are 150: two series are one answer of 300
    request = ForecastQuery(model="demand", horizon=50)
    with room_of(says(1, 2, -1)) as room:
        head, *series, end = asyncio.run(lines_of(room.door.stream(Client(7), request, many(5), LINES)))
        assert (head["model"]["version"], [line["unique_id"] for line in series]) == (1, ["s0", "s1", "s2", "s3", "s4"])
        assert (end, room.counted("ok")) == ({"done": True, "series": 5}, 1)


def test_a_stream_whose_version_is_broken_begins_with_the_fallback() -> None:
    with room_of(says(1, 2, -1), nan_forecaster()) as room:
        head, series, _ = asyncio.run(lines_of(room.door.stream(Client(7), DEMAND, PANEL, LINES)))
        assert (head["model"]["version"], series["mean"]) == (1, pytest.approx(ONE_UP))
        assert (room.counted("ok"), room.counted("error")) == (1, 0)


def test_a_stream_that_cannot_begin_raises_its_error() -> None:
    with room_of(says(1, 2, -1)) as room:
        for request, code in (
            (ForecastQuery(model="demand", horizon=51), "horizon_too_long"),
            (ForecastQuery(model="demand", session="till"), "no_session"),
        ):
            with pytest.raises(InputError) as caught:
                asyncio.run(lines_of(room.door.stream(Client(7), request, PANEL, LINES)))
            assert caught.value.faults[0].code == code
        assert room.counted("error") == 2


def test_a_stream_whose_caller_leaves_at_first_counts_as_gone_and_not_as_an_error() -> None:
    async def leave(first: "asyncio.Future[bytes]") -> bytes:
        await asyncio.sleep(0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        raise CallerGone

    with room_of(says(1, 2, -1)) as room:
        with pytest.raises(CallerGone):
            asyncio.run(lines_of(room.door.stream(Client(7, leave), DEMAND, PANEL, LINES)))
        assert (room.counted("gone"), room.counted("error")) == (1, 0)
