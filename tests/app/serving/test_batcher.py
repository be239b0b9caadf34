"""Many requests, few passes: what is put together, what is not, and that nobody is anybody's trouble."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.problems import DeadlinePassed, TooManyRequests, Unavailable
from app.serving import batcher as rooms
from app.serving.batcher import Batcher
from app.telemetry import Telemetry
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.errors import InputError, ModelBroken
from models.forecasting.forecaster import Forecaster, Member, RunnableMember
from models.forecasting.forecaster import forecast as alone
from models.forecasting.split import ForecastInput
from tests.fakes import random_forecaster, says, spec_of
from tests.models.samples import panel_of, with_covariates

QUICK, SMALL, LARGE = 1e-6, 0.02, 1.0


@dataclass
class Counting:
    """An engine that counts its passes and the rows of each, and waits at a gate where it has one."""

    engine: Any
    rows: list[int] = field(default_factory=list)
    gate: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)

    def run(self, inputs: Any) -> Any:
        self.arrived.set()
        if self.gate is not None:
            assert self.gate.wait(30)
        self.rows.append(len(inputs["past"]))
        return self.engine.run(inputs)


def loaded_of(forecaster: Forecaster, gate: threading.Event | None = None) -> Any:
    members = [RunnableMember(m, Counting(OnnxEngine(m.spec, m.weights), gate=gate)) for m in forecaster.members]
    return SimpleNamespace(forecaster=forecaster, networks=tuple(members), device="cpu")


def counted(loaded: Any) -> Counting:
    engine: Counting = loaded.networks[0].engine
    return engine


@contextmanager
def batching(capacity: int = 100, clock: Callable[[], float] | None = None) -> Iterator[Batcher]:
    made = Batcher(capacity, Telemetry("test"), **({} if clock is None else {"clock": clock}))
    try:
        yield made
    finally:
        made.stop()


def text(forecast: Any) -> bytes:
    """The mean of every series, and the interval of 80 % where there is one."""
    lo = forecast.intervals[80].lo.tolist() if 80 in forecast.intervals else None
    return json.dumps([forecast.ids, forecast.median.tolist(), lo, [note.code for note in forecast.notes]]).encode()


RNG = np.random.default_rng(0)
PANELS = [panel_of(*(RNG.normal(size=int(RNG.integers(4, 9))) for _ in range(n))) for n in (1, 2, 1, 3, 1, 1, 2, 1)]


def ask(panel: Panel, horizon: int = 3, levels: tuple[int, ...] = (80,)) -> ForecastInput:
    return ForecastInput(panel, horizon, levels)


async def held(batcher: Batcher, blocked: Any) -> "asyncio.Future[bytes]":
    """Occupy the small lane with a forecast that hangs, so that what is put next waits together."""
    first = batcher.put(blocked, ask(PANELS[0]), SMALL, text, 30)
    await asyncio.to_thread(counted(blocked).arrived.wait, 10)
    return first


def test_what_waits_is_forecast_in_one_pass_and_each_gets_what_it_would_get_alone() -> None:
    gate = threading.Event()
    loaded, blocked = loaded_of(random_forecaster(seed=3)), loaded_of(says(1, 2, 3), gate)
    asks = [
        ask(panel, horizon, levels)
        for panel, horizon, levels in zip(
            PANELS, (3, 1, 2, 3, 3, 2, 1, 3), ((80,), (), (80, 95), (80,), (), (80,), (50, 80), (80,)), strict=True
        )
    ]

    async def session() -> list[bytes]:
        with batching() as batcher:
            first = await held(batcher, blocked)
            waiting = [batcher.put(loaded, each, SMALL, text, 30) for each in asks]
            gate.set()
            return await asyncio.gather(first, *waiting)

    _, *answers = asyncio.run(session())
    assert counted(loaded).rows == [sum(len(panel) for panel in PANELS)]
    for each, answer in zip(asks, answers, strict=True):
        ids, mean, lo, notes = json.loads(answer)
        expected = alone(loaded.networks, loaded.forecaster.calibration, *each[:3])
        assert ids == list(expected.ids)
        assert notes == [note.code for note in expected.notes]
        np.testing.assert_allclose(mean, expected.median, rtol=1e-6, atol=1e-6)
        if 80 in each.levels:
            np.testing.assert_allclose(lo, expected.intervals[80].lo, rtol=1e-6, atol=1e-6)
        else:
            assert lo is None


def test_what_is_wrong_with_one_is_no_other_requests_trouble() -> None:
    gate = threading.Event()
    loaded, blocked = loaded_of(says(1, 2, 3)), loaded_of(says(1, 2, 3), gate)
    nothing = panel_of([np.nan, np.nan])

    def broken(forecast: Any) -> bytes:
        raise ZeroDivisionError("of this request's own")

    async def session() -> list[Any]:
        with batching() as batcher:
            first = await held(batcher, blocked)
            waiting = [
                batcher.put(loaded, ask(PANELS[0]), SMALL, text, 30),
                batcher.put(loaded, ask(nothing), SMALL, text, 30),
                batcher.put(loaded, ask(PANELS[1]), SMALL, broken, 30),
                batcher.put(loaded, ask(PANELS[1]), SMALL, text, 30),
            ]
            gate.set()
            return await asyncio.gather(first, *waiting, return_exceptions=True)

    _, good, no_history, own_fault, also_good = asyncio.run(session())
    assert isinstance(no_history, InputError)
    assert isinstance(own_fault, ZeroDivisionError)
    calibration = loaded.forecaster.calibration
    assert good == text(alone(loaded.networks, calibration, *ask(PANELS[0])[:3]))
    assert also_good == text(alone(loaded.networks, calibration, *ask(PANELS[1])[:3]))


def test_a_broken_forecaster_fails_its_own_requests_only() -> None:
    gate = threading.Event()
    good, blocked = loaded_of(says(1, 2, 3)), loaded_of(says(1, 2, 3), gate)
    spec = spec_of()
    broken = loaded_of(Forecaster((Member(spec, random_forecaster().members[0].weights),), says(1, 2, 3).calibration))
    counted(broken).engine = SimpleNamespace(
        run=lambda inputs: {"predicted": np.full((len(inputs["past"]), 3, 1), np.nan)}
    )

    async def session() -> list[Any]:
        with batching() as batcher:
            first = await held(batcher, blocked)
            waiting = [batcher.put(each, ask(PANELS[0]), SMALL, text, 30) for each in (broken, good, broken, good)]
            gate.set()
            return await asyncio.gather(first, *waiting, return_exceptions=True)

    _, *answers = asyncio.run(session())
    assert [type(each) for each in answers] == [ModelBroken, bytes, ModelBroken, bytes]
    assert counted(good).rows == [2]


def test_a_large_request_holds_up_no_small_one() -> None:
    gate = threading.Event()
    slow, quick = loaded_of(says(1, 2, 3), gate), loaded_of(says(1, 2, 3))

    async def session() -> None:
        with batching() as batcher:
            large = batcher.put(slow, ask(PANELS[0]), LARGE, text, 30)
            await asyncio.to_thread(counted(slow).arrived.wait, 10)
            assert await batcher.put(quick, ask(PANELS[0]), SMALL, text, 30)
            assert not large.done()
            gate.set()
            assert await large

    asyncio.run(session())


def test_panels_with_covariates_go_alone() -> None:
    panel = with_covariates(panel_of([1, 2, 3, 4]), price=[1, 2, 3, 4])
    loaded = loaded_of(says(1, 2, 3))

    async def session() -> None:
        with batching() as batcher:
            await asyncio.gather(*(batcher.put(loaded, ask(panel), SMALL, text, 30) for _ in range(3)))

    asyncio.run(session())
    assert counted(loaded).rows == [1, 1, 1]


def test_who_waits_beyond_the_deadline_or_has_gone_costs_nothing() -> None:
    gate, now = threading.Event(), [0.0]
    loaded, blocked = loaded_of(says(1, 2, 3)), loaded_of(says(1, 2, 3), gate)

    async def session() -> list[Any]:
        with batching(clock=lambda: now[0]) as batcher:
            first = await held(batcher, blocked)
            late, gone = (batcher.put(loaded, ask(PANELS[1]), SMALL, text, 5) for _ in range(2))
            patient = batcher.put(loaded, ask(PANELS[0]), SMALL, text, 60)
            gone.cancel()
            now[0] = 10.0
            gate.set()
            return await asyncio.gather(first, late, patient, gone, return_exceptions=True)

    _, late, patient, gone = asyncio.run(session())
    assert isinstance(late, DeadlinePassed)
    assert isinstance(patient, bytes)
    assert isinstance(gone, asyncio.CancelledError)
    assert counted(loaded).rows == [1]


def test_a_full_lane_turns_away_what_comes_next() -> None:
    gate = threading.Event()
    blocked = loaded_of(says(1, 2, 3), gate)

    async def session() -> None:
        with batching(capacity=2) as batcher:
            first = await held(batcher, blocked)
            waiting = [batcher.put(blocked, ask(PANELS[0]), SMALL, text, 30) for _ in range(2)]
            with pytest.raises(TooManyRequests, match="2 forecasts are waiting"):
                batcher.put(blocked, ask(PANELS[0]), SMALL, text, 30)
            gate.set()
            await asyncio.gather(first, *waiting)

    asyncio.run(session())


def test_stopping_answers_everyone() -> None:
    loaded = loaded_of(says(1, 2, 3))

    async def session() -> list[Any]:
        with batching() as batcher:
            waiting = [batcher.put(loaded, ask(PANELS[0]), SMALL, text, 30) for _ in range(20)]
            await asyncio.to_thread(batcher.stop)
            with pytest.raises(Unavailable):
                batcher.put(loaded, ask(PANELS[0]), SMALL, text, 30)
            return await asyncio.gather(*waiting)

    assert len(asyncio.run(session())) == 20


def test_a_forecast_that_hangs_does_not_keep_the_service_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "STOP_TIMEOUT_S", 0.05)
    gate = threading.Event()
    blocked = loaded_of(says(1, 2, 3), gate)

    async def session() -> Any:
        with batching() as batcher:
            first = await held(batcher, blocked)
            second = batcher.put(blocked, ask(PANELS[0]), SMALL, text, 30)
            await asyncio.to_thread(batcher.stop)
            with pytest.raises(Unavailable, match="stopped"):
                await second
            gate.set()
            return await first

    assert asyncio.run(session())


def test_one_pass_is_bounded_and_other_passes_are_not_mixed_with_it() -> None:
    """Five times 0.04 GFLOP are as much as goes together; a horizon that needs a second pass is of another kind."""
    gate = threading.Event()
    loaded, blocked = loaded_of(says(1, 2, 3)), loaded_of(says(1, 2, 3), gate)

    async def session() -> None:
        with batching() as batcher:
            first = await held(batcher, blocked)
            waiting = [batcher.put(loaded, ask(PANELS[0]), 0.04, text, 30) for _ in range(7)]
            waiting.append(batcher.put(loaded, ask(PANELS[0], horizon=4), SMALL, text, 30))
            gate.set()
            await asyncio.gather(first, *waiting)

    asyncio.run(session())
    assert counted(loaded).rows == [5, 2, 1, 1]


def test_what_is_quick_is_made_together_in_the_loop_itself() -> None:
    loaded = loaded_of(random_forecaster(seed=3))
    threads: list[str] = []

    def finish(forecast: Any) -> bytes:
        threads.append(threading.current_thread().name)
        return text(forecast)

    async def session() -> list[bytes]:
        with batching() as batcher:
            waiting = [batcher.put(loaded, ask(panel), QUICK, finish, 30) for panel in PANELS]
            gone = batcher.put(loaded, ask(PANELS[1]), QUICK, finish, 30)
            gone.cancel()
            assert counted(loaded).rows == []  # those that came in with it are read first
            return await asyncio.gather(*waiting)

    answers = asyncio.run(session())
    assert counted(loaded).rows == [sum(len(panel) for panel in PANELS)]
    assert set(threads) == {threading.current_thread().name}
    for panel, answer in zip(PANELS, answers, strict=True):
        _, mean, _, _ = json.loads(answer)
        expected = alone(loaded.networks, loaded.forecaster.calibration, *ask(panel)[:3])
        np.testing.assert_allclose(mean, expected.median, rtol=1e-6, atol=1e-6)


def test_the_loop_reads_on_between_turns_of_quick_work() -> None:
    """Each turn takes on what is a few milliseconds of work, and leaves the rest to the next one."""
    loaded = loaded_of(says(1, 2, 3))

    async def session() -> int:
        with batching() as batcher:
            waiting = [batcher.put(loaded, ask(PANELS[0]), 0.01, text, 30) for _ in range(30)]
            turns = 0
            while not all(one.done() for one in waiting):
                await asyncio.sleep(0)
                turns += 1
            return turns

    assert asyncio.run(session()) >= 5
    assert counted(loaded).rows == [6] * 5


def test_quick_work_is_bounded_too() -> None:
    loaded = loaded_of(says(1, 2, 3))

    async def session() -> None:
        with batching(capacity=2) as batcher:
            waiting = [batcher.put(loaded, ask(PANELS[0]), QUICK, text, 30) for _ in range(2)]
            with pytest.raises(TooManyRequests):
                batcher.put(loaded, ask(PANELS[0]), QUICK, text, 30)
            await asyncio.gather(*waiting)
            batcher.stop()
            with pytest.raises(Unavailable):
                batcher.put(loaded, ask(PANELS[0]), QUICK, text, 30)

    asyncio.run(session())
