"""Real HTTP servers on this machine that are told things, and answer as a test says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import NamedTuple


class Told(NamedTuple):
    """A message as it came in; the names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What a server was told; ``answers`` are the statuses of the next answers, then 200."""

    url: str = ""
    told: list[Told] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    location: str = ""

    def answer(self) -> int:
        return self.answers.pop(0) if self.answers else 200


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server that takes POST requests; it answers once ``hold`` is set, which it is unless a test clears it."""
    it = Receiver()
    it.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            it.told.append(Told(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            it.hold.wait(20)
            self.send_response(it.answer())
            self.send_header("Location", it.location)
            self.end_headers()
            self.wfile.write(b"thank you " * 100_000)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # the answer is not read to its end, which is right
                super().handle()

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        it.url = f"http://127.0.0.1:{port}"
        yield it
        it.hold.set()


@contextmanager
def raw_receiver(drip: bytes, pause_s: float) -> Iterator[str]:
    """A server that says ``drip`` again and again, never ending its answer."""
    stop = threading.Event()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # who was told has hung up
                while not stop.wait(pause_s):
                    self.request.sendall(drip)

    with _serving(ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"
        stop.set()


@contextmanager
def _serving(server: ThreadingTCPServer) -> Iterator[int]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
