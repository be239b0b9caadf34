"""SIGTERM: every request that was sent before it gets an answer or a 503; no connection is reset."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.store import keys
from tests.app.cli.conftest import Home
from tests.app.cli.test_serve import Serving, serving
from tests.app.work.small_jobs import crown, keep, queue, weeks

STARTS = {"start": "2026-01-01T00:00:00", "y": [1.0, 2.0, 3.0, 4.0, 5.0] * 10}


@pytest.fixture(name="server")
def server_fixture(home: Home) -> Iterator[Serving]:
    """A server without a worker, with the model ``demand`` and a queued job."""
    database = home.database
    sales = keep(database, weeks())
    crown(database, sales)
    (home.folder / "job").write_text(str(queue(database, sales).id))
    database.dispose()
    with serving(home, "--no-worker", "--port", "0", drain_s=2) as opened:
        yield opened


def key_of(home: Home) -> str:
    database = home.database
    with database.write() as session:
        raw = keys.create_key(session, "default", "drain", "write")
    database.dispose()
    return raw


def request(key: str, path: str, body: object = None, keep_alive: bool = True) -> bytes:
    """Return the bytes of one request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {key}"]
    lines += [] if body is None else ["content-type: application/json", f"content-length: {len(content)}"]
    lines += [] if keep_alive else ["connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Connection:
    """One raw connection; a thread reads it to its end."""

    def __init__(self, address: tuple[str, int], sent: bytes = b"") -> None:
        self.socket = socket.create_connection(address, timeout=30)
        self.received, self.error = b"", ""
        self.socket.sendall(sent)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while piece := self.socket.recv(65_536):
                self.received += piece
        except OSError as error:
            self.error = type(error).__name__

    def end(self) -> bytes:
        """Return all that came until the server closed."""
        self._reader.join(30)
        assert not self._reader.is_alive()
        self.socket.close()
        return self.received

    def wait_for(self, text: bytes) -> None:
        deadline_s = time.monotonic() + 20
        while text not in self.received and time.monotonic() < deadline_s:
            time.sleep(0.005)
        assert text in self.received


def series(count: int) -> list[dict[str, object]]:
    return [{"unique_id": f"s{n}", **STARTS} for n in range(count)]


def test_sigterm_answers_every_request_that_was_sent_before_and_resets_none(home: Home, server: Serving) -> None:
    parts = urlsplit(server.url)
    key, address = key_of(home), (str(parts.hostname), int(parts.port or 0))
    small = request(key, "/v1/forecasts", {"model": "demand", "series": series(1)})
    large = request(key, "/v1/forecasts", {"model": "demand", "series": series(400)}, keep_alive=False)
    lines = request(key, "/v1/forecasts/stream", {"model": "demand", "series": series(300)})
    job = Path(home.folder / "job").read_text()
    kept = [Connection(address, small) for _ in range(4)]
    for connection in kept:
        connection.wait_for(b'"forecasts":')
    events = Connection(address, request(key, f"/v1/jobs/{job}/events"))
    events.wait_for(b"retry:")
    half_body = Connection(address, large[: len(large) // 2])
    half_head = Connection(address, small[:40])
    idle = Connection(address)
    server.process.suspend()  # so that the kernel alone accepts the rest
    for connection in kept:
        connection.received = b""
        connection.socket.sendall(small)
    burst = [Connection(address, sent) for sent in [lines, small, large, lines, *[small, large] * 12]]
    server.process.send_signal(signal.SIGTERM)
    server.process.resume()
    began_s = time.monotonic()

    for connection in [*kept, *burst]:
        answer = connection.end()
        assert (connection.error, answer[:12]) == ("", b"HTTP/1.1 200"), answer[:300]
    assert burst[0].received.count(b'"done"') == 1
    assert b"event: error" in events.end()
    for connection in (half_body, half_head):
        refusal = connection.end()
        assert refusal.startswith(b"HTTP/1.1 503"), refusal
        assert b"retry-after: 5" in refusal
    assert (idle.end(), idle.error) == (b"", "")
    assert {connection.error for connection in (events, half_body, half_head)} == {""}
    assert server.process.wait(30) == 0
    assert time.monotonic() - began_s < 10  # 2 s for requests, and a bounded rest


def test_a_second_sigterm_ends_the_process_at_once(home: Home, server: Serving) -> None:
    parts = urlsplit(server.url)
    sent = request(key_of(home), "/v1/forecasts", {"model": "demand", "series": series(9)})
    half = Connection((str(parts.hostname), int(parts.port or 0)), sent[:-5])
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(5) == 128 + signal.SIGTERM
    half.end()


def test_during_the_delay_new_connections_are_served_while_readyz_sends_load_balancers_away(home: Home) -> None:
    database = home.database
    crown(database, keep(database, weeks()))
    database.dispose()
    with serving(home, "--no-worker", "--port", "0", drain_delay_s=600) as server:
        parts = urlsplit(server.url)
        address, key = (str(parts.hostname), int(parts.port or 0)), key_of(home)
        server.process.send_signal(signal.SIGTERM)
        answers = [Connection(address, request(key, "/readyz")).end() for _ in range(2)]
        assert answers[-1].startswith(b"HTTP/1.1 503")
        assert b"it is being stopped" in answers[-1]
        forecast = Connection(address, request(key, "/v1/forecasts", {"model": "demand", "series": series(1)})).end()
        assert forecast.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in forecast
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 128 + signal.SIGTERM


def test_after_the_delay_the_server_ends(home: Home) -> None:
    with serving(home, "--no-worker", "--port", "0", drain_delay_s=0.5) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_ctrl_c_skips_the_delay(home: Home) -> None:
    with serving(home, "--no-worker", "--port", "0", drain_delay_s=600) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
