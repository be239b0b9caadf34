"""Real HTTP servers on this machine that record requests, and answer with statuses that a test sets."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import NamedTuple

import pytest


class Told(NamedTuple):
    """A message as it came in; the names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """The requests that a server has received; ``answers`` are the statuses of the next answers, then 200.

    ``names``: by which names it was asked for over TLS (SNI).
    """

    url: str = ""
    received: list[Told] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    location: str = ""
    names: list[str | None] = field(default_factory=list)

    def answer(self) -> int:
        return self.answers.pop(0) if self.answers else 200


@contextmanager
def receiver(certificate: Path | None = None) -> Iterator[Receiver]:
    """A server that takes POST requests; it answers once ``hold`` is set, which it is unless a test clears it.

    ``certificate``: a file that ``certificate_for`` made; it speaks TLS then.
    """
    it = Receiver()
    it.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            it.received.append(Told(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _socket, name, _context: it.names.append(name)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with _serving(server) as port:
        it.url = f"http://127.0.0.1:{port}" if certificate is None else f"https://localhost:{port}"
        yield it
        it.hold.set()


def certificate_for(name: str, folder: Path) -> Path:
    """A file with a certificate for ``name``, which vouches for itself, and its key; good for a day."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no certificate can be made: openssl is not installed")
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    whose = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "1", "-out", str(made)]
    subprocess.run([openssl, "req", "-x509", *curve, *whose], check=True, capture_output=True)
    made.write_text(made.read_text() + key.read_text())
    return made


@contextmanager
def raw_receiver(drip: bytes, pause_s: float) -> Iterator[str]:
    """A server that says ``drip`` again and again, never ending its answer."""
    stop = threading.Event()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the sender has closed the connection
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
