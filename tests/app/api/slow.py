"""A service that is slow on purpose: networks that block, and requests that wait for them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.engines.onnx import OnnxEngine
from tests.app.api.conftest import House, forecast_request, open_house
from tests.fakes import random_forecaster

SLOW = {"json": forecast_request(horizon=12)}  # of steps said one by one: more passes than are made in the event loop


class Gate:
    """Gate that blocks every pass of a network while it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.arrived = threading.Event(), threading.Event()
        self.rows = list[int]()  # of each pass that has begun
        self.open.set()
        run = OnnxEngine.run

        def gated(engine: OnnxEngine, inputs: Any) -> Any:
            self.rows.append(len(inputs["past"]))
            self.arrived.set()
            assert self.open.wait(30)
            return run(engine, inputs)

        monkeypatch.setattr(OnnxEngine, "run", gated)

    @contextmanager
    def closed(self) -> Iterator[None]:
        self.arrived.clear()
        self.open.clear()
        try:
            yield
        finally:
            self.open.set()


class Asking:
    """Requests on threads of their own."""

    def __init__(self, house: House) -> None:
        self.house, self.answers, self.threads = house, list[httpx.Response](), list[threading.Thread]()

    def ask(self, path: str = "/v1/forecasts", **request: Any) -> None:
        def run() -> None:
            self.answers.append(self.house.acme.ask("POST", path, **request))

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def statuses(self) -> list[int]:
        for thread in self.threads:
            thread.join(30)
        return sorted(answer.status_code for answer in self.answers)


@contextmanager
def slow_house(template: Path, folder: Path, **settings: Any) -> Iterator[House]:
    """Open a house whose model predicts its steps one by one and is in memory already."""
    with open_house(template, folder, **settings) as house:
        house.register(random_forecaster(strategy="iterative"))
        house.acme.forecast(horizon=12)
        yield house


def waiting(house: House) -> int:
    """Return the number of forecasts that wait in the small lane."""
    count: int = house.app.state.service.forecasting.batcher._small._waiting.qsize()
    return count


def wait_until(true: Any) -> None:
    for _ in range(1000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to pass")
