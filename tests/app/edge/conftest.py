"""A toy service on some paths of the access table, the guard around it, and a wire to talk to it byte by byte."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.edge.guard import Credentials, Guard
from app.edge.problem_json import install
from app.principal import Scope
from app.problems import Conflict, CorruptBundle, NotFound, Unavailable
from app.rates import RateLimiter, RatePolicies, policies_of
from app.telemetry import Telemetry
from models.errors import Diverged, Fault, InputError

READ_KEY = "fk_read_canary_5b1e"
WRITE_KEY = "fk_write_canary_77aa"
ATTEMPT_SECRET = "attempt_canary_90cd"
LIMIT_BYTES = 1024 * 1024
UNLIMITED = policies_of({})
GONE = b"<the client has gone away>"


@dataclass(frozen=True)
class Caller:
    """What a key stands for."""

    tenant_id: int
    key_id: str
    scope: Scope
    is_suspended: bool = False


@dataclass
class KeyRing:
    """The keys that exist; counts how often it was asked, like a database would."""

    keys: dict[str, Caller]
    asked: int = 0

    def __call__(self, key: str) -> Caller | None:
        self.asked += 1
        if key == "database-is-down":
            raise Unavailable("The key store does not answer.")
        return self.keys.get(key)


def holder(job_id: str, token: int, secret: str) -> Caller | None:
    """Attempt 3 of the job ``j1`` has it."""
    return Caller(7, job_id, "write") if (job_id, token, secret) == ("j1", 3, ATTEMPT_SECRET) else None


@dataclass
class Clock:
    """A clock that moves when told."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


class History(BaseModel):
    """A series, in the laxest form that FastAPI allows: what gets past it must not break the answers."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    y: list[float]
    name: str = "series"


class ForecastBody(BaseModel):
    """The toy's request for a forecast."""

    history: History
    covariate: int | str | None = None
    horizon: int = Field(1, ge=1, alias="h/n~x")


router = APIRouter(prefix="/v1")
inner = APIRouter(prefix="/internal/v1/attempts/{job_id}/{token}")
ERRORS: dict[str, Exception] = {
    "gone": NotFound("There is no job 'gone'."),
    "busy": Conflict("busy \ud800 " + "\U0001f600" * 10_000),
    "damaged": CorruptBundle("checksum differs"),
    "diverged": Diverged("internal path /srv/secret"),
    "broken": RuntimeError("internal path /srv/secret\nFAKE 2026 log line"),
    "faulty": InputError(
        [
            Fault(code="bad", message="\x00😀" * 999, hint="mend it", unique_id="\ud800" + "😀" * 999, row=n, field="y")
            for n in range(1, 21)
        ],
        total=1000,
    ),
}


@router.post("/forecasts")
def forecast(body: ForecastBody) -> dict[str, int]:
    return {"rows": len(body.history.y)}


@router.get("/jobs")
def jobs(limit: int = Query(10, le=100)) -> int:
    return limit


@router.get("/jobs/{job_id}")
def job(job_id: str) -> None:
    raise ERRORS[job_id]


@router.post("/datasets")
async def upload(request: Request) -> dict[str, int]:
    return {"size_bytes": len(await request.body())}


@inner.post("/report")
def report(request: Request) -> str:
    return str(request.state.principal.key_id)


@router.put("/models/{name}/aliases/{alias}")
def move(name: str, alias: str) -> str:
    return f"{name}/{alias}"


@router.get("/datasets/{name}")
def whoami(request: Request) -> dict[str, object]:
    principal = request.state.principal
    return {"tenant_id": principal.tenant_id, **{key: request.state[key] for key in ("shared", "request_id")}}


def toy_app() -> FastAPI:
    """The toy service, without its guard."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        yield {"shared": "by all requests"}

    app = FastAPI(docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(router)
    app.include_router(inner)
    app.add_api_route("/livez", lambda: "alive")
    install(app)
    return app


@dataclass
class Answer:
    """What came back, and how much of the request's body it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    read_bytes: int
    receives: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """Speaks ASGI to an app, so that every byte of the body that is read can be counted."""

    app: Any
    keys: KeyRing
    telemetry: Telemetry
    clock: Clock
    state: dict[str, object] = field(default_factory=lambda: {"shared": "by all requests"})

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] = (),
    ) -> Answer:
        """Send one request; with no Content-Length among ``headers`` the body counts as chunked."""
        return asyncio.run(self._ask(method, path, self._headers(key, headers or {}, body), iter(body)))

    def post(self, path: str, content: str, key: str | None = READ_KEY) -> Answer:
        """Send a JSON text, as it is."""
        return self.ask("POST", path, key=key, headers={"content-type": "application/json"}, body=[content.encode()])

    @staticmethod
    def _headers(key: str | None, headers: dict[str, str], body: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        named = {"authorization": f"Bearer {key}"} if key is not None else {}
        if body and "content-length" not in headers:
            named["transfer-encoding"] = "chunked"
        return [(name.encode(), value.encode("latin-1")) for name, value in (named | headers).items()]

    async def _ask(self, method: str, path: str, headers: list[tuple[bytes, bytes]], chunks: Iterator[bytes]) -> Answer:
        answer = Answer(0, {}, b"", 0, 0)
        target, _, query = path.partition("?")
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": target}
        scope |= {
            "query_string": query.encode(),
            "headers": headers,
            "state": self.state,
            "root_path": "",
            "client": ("10.0.0.9", 4711),
        }

        async def receive() -> dict[str, object]:
            answer.receives += 1
            chunk = next(chunks, None)
            if chunk is GONE:
                return {"type": "http.disconnect"}
            answer.read_bytes += len(chunk or b"")
            return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            answer.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer


def guarded(app: FastAPI, *, inside: bool = False, policies: RatePolicies = UNLIMITED) -> Wire:
    """The guard around ``app``, or as FastAPI's own outermost middleware; and a wire to it."""
    ring = KeyRing({READ_KEY: Caller(7, "k1", "read"), WRITE_KEY: Caller(7, "k2", "write")})
    telemetry, clock, known = Telemetry("1.2.3"), Clock(), Credentials(ring, holder)
    limiter = RateLimiter(lambda _: policies, clock)
    if inside:
        app.add_middleware(
            Guard, credentials=known, limiter=limiter, max_body_bytes=LIMIT_BYTES, telemetry=telemetry, clock=clock
        )
        return Wire(app, ring, telemetry, clock)
    return Wire(Guard(app, known, limiter, LIMIT_BYTES, telemetry, clock), ring, telemetry, clock)


@pytest.fixture(params=["guard around the app", "guard as middleware"])
def wire(request: pytest.FixtureRequest) -> Wire:
    """A wire to the guarded toy service, put together in either way."""
    return guarded(toy_app(), inside=request.param == "guard as middleware")


@contextmanager
def listening(app: Any, http: str) -> Iterator[int]:
    """A real server on loopback, for as long as the block lasts; gives its port."""
    config = uvicorn.Config(app, port=0, http=http, ws="none", log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline_s = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline_s:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
