"""The service on a real socket, under the server of the product, with the tenants and the model of the API's tests."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from app.edge.bounded_protocol import ConnectionLimits
from app.edge.draining_server import DrainingServer
from tests.app.api.conftest import House, open_house
from tests.fakes import says

Address = tuple[str, int]
LIMITS = ConnectionLimits(max_connections=200)


@contextmanager
def listening(house: House, limits: ConnectionLimits = LIMITS) -> Iterator[Address]:
    """Serve ``house`` on a port of its own for as long as the block lasts."""
    config = uvicorn.Config(
        house.app, port=0, http="httptools", ws="none", log_config=None, lifespan="off", proxy_headers=False
    )
    server = DrainingServer(config, house.app.state.drain, lambda: None, 1.0, limits)
    ended = asyncio.run_coroutine_threadsafe(server.serve(), house.client.loop)
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[:2]
    finally:
        server.should_exit = True
        ended.result(30)


@pytest.fixture(scope="module")
def shared_house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The service with the model ``demand``, shared by the tests of a module that leave it as it was."""
    with open_house(sqlite_template, tmp_path_factory.mktemp("house")) as house:
        house.register(says(1, 2, -1))
        yield house


@pytest.fixture(scope="module")
def address(shared_house: House) -> Iterator[Address]:
    """The address of ``shared_house``."""
    with listening(shared_house) as opened:
        yield opened
