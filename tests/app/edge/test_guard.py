"""The guard: deny by default, and nothing read before the key is known to be good."""

import asyncio
import logging
import re
import threading
from typing import Any

import pytest

from app.edge.access import ACCESS, SCOPE_OF, Access
from app.edge.key_cache import MAX_CACHED_KEYS, KeyCache
from app.principal import SCOPES, Scope
from app.problems import TooManyRequests, Unavailable
from app.rates import policies_of
from app.telemetry import LineFormatter

from .conftest import ATTEMPT_SECRET, LIMIT_BYTES, READ_KEY, WRITE_KEY, Caller, Clock, KeyRing, Wire, guarded, toy_app
from .test_access import concrete

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
# As a server hands them on: percent-decoded.
TRICKS = ["{}", "/{}", "{}/", "/.{}", "/x/..{}", "{}%00", "{}\x00", "{};a=b", "{}\ufffd"]
BAD_CREDENTIALS: list[dict[str, str]] = [
    {},
    {"authorization": "Bearer wrong"},
    {"authorization": "Bearer "},
    {"authorization": READ_KEY},
    {"authorization": f"Basic {READ_KEY}"},
    {"authorization": f"Bearer {WRITE_KEY}é"},
    {"authorization": "Bearer " + "x" * 100_000},
    {"x-api-key": "wrong"},
    {"authorization": "Bearer wrong", "x-api-key": WRITE_KEY},
    {"cookie": f"key={READ_KEY}", "x-http-method-override": "GET"},
]


@pytest.mark.parametrize("credentials", BAD_CREDENTIALS, ids=range(len(BAD_CREDENTIALS)))
def test_without_a_good_key_no_method_on_any_path_is_answered_and_no_byte_is_read(credentials: dict[str, str]) -> None:
    wire = guarded(toy_app())
    tricks = TRICKS if credentials in BAD_CREDENTIALS[:2] else TRICKS[:1]
    paths = [trick.format(concrete(tpl)) for _, tpl in ACCESS for trick in tricks] + ["/nowhere", "/", "*"]
    for path in dict.fromkeys(paths):
        for method in METHODS:
            if method in {"GET", "HEAD"} and path in {"/livez", "/readyz"}:
                continue
            answer = wire.ask(method, path, headers=credentials, body=[b"{not json"])
            assert (answer.status, answer.receives) == (401, 0), (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["connection"] == "close"
            assert answer.json["code"] == "unauthorized"


def test_tricks_with_a_good_key_reach_nothing_but_the_router_and_its_404_or_405(wire: Wire) -> None:
    for path in ("//livez", "/./livez", "/livez\x00", "/v1//datasets", "/nowhere"):
        assert wire.ask("GET", path, key=READ_KEY).status == 404
    answer = wire.ask("DELETE", "/livez", key=WRITE_KEY, headers={"x-http-method-override": "GET"})
    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


def test_the_probes_need_no_key(wire: Wire) -> None:
    assert wire.ask("GET", "/livez").status == 200
    assert wire.keys.asked == 0


@pytest.mark.parametrize("route", [route for route, access in ACCESS.items() if access is Access.WRITE])
def test_a_key_for_reading_does_not_write(wire: Wire, route: tuple[str, str]) -> None:
    answer = wire.ask(route[0], concrete(route[1]), key=READ_KEY, body=[b"{}"])
    assert (answer.status, answer.json["code"], answer.receives) == (403, "forbidden", 0)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_of_each_scope_reaches_the_routes_of_that_scope_and_of_those_before_it(wire: Wire, scope: Scope) -> None:
    wire.keys.keys["key"] = Caller(7, "k9", scope)
    for (method, path), access in ACCESS.items():
        if access in SCOPE_OF:
            refused = wire.ask(method, concrete(path), key="key", body=[b"{}"]).status == 403
            assert refused is (SCOPES.index(scope) < SCOPES.index(SCOPE_OF[access])), (method, path)


def test_a_key_for_writing_does_not_reach_the_keys_through_a_name_that_only_the_router_knows(wire: Wire) -> None:
    for method, path in (("GET", "/v1/keys/-a"), ("GET", "/v1/keys\n"), ("POST", "/v1/keys/-a/rotate")):
        assert wire.ask(method, path, key=WRITE_KEY).status == 403


def test_a_key_for_reading_does_not_write_through_a_name_that_only_the_router_knows(wire: Wire) -> None:
    # The router's `{name}` matches "-a", the table's does not.
    assert wire.ask("PUT", "/v1/models/-a/aliases/b", key=READ_KEY).status == 403
    assert wire.ask("PUT", "/v1/models/-a/aliases/b", key=WRITE_KEY).status == 200


def test_a_key_for_writing_reads_and_writes(wire: Wire) -> None:
    assert wire.ask("GET", "/v1/jobs", key=WRITE_KEY).json == 10
    assert wire.ask("PUT", "/v1/models/a/aliases/b", key=WRITE_KEY).status == 200


ATTEMPT = "/internal/v1/attempts/j1/3/report"


def test_the_secret_of_an_attempt_opens_that_attempt_and_nothing_else(wire: Wire) -> None:
    assert wire.ask("POST", ATTEMPT, key=ATTEMPT_SECRET).json == "j1"
    for path in ("/internal/v1/attempts/j1/4/report", "/internal/v1/attempts/j2/3/report", "/v1/jobs"):
        method = "GET" if path == "/v1/jobs" else "POST"
        answer = wire.ask(method, path, key=ATTEMPT_SECRET, body=[b"{}"])
        assert (answer.status, answer.receives) == (401, 0), path


@pytest.mark.parametrize("token", ["x", "-3", "+3", "3.0", "0x3", "٣", "3" * 10])
def test_what_is_no_token_is_nobodys(wire: Wire, token: str) -> None:
    assert wire.ask("POST", f"/internal/v1/attempts/j1/{token}/report", key=ATTEMPT_SECRET).status == 401


def test_a_key_opens_no_attempt(wire: Wire) -> None:
    for key in (READ_KEY, WRITE_KEY):
        answer = wire.ask("POST", ATTEMPT, key=key, body=[b"{}"])
        assert (answer.status, answer.receives) == (401, 0)
    assert wire.keys.asked == 0


def test_both_headers_carry_a_key_and_the_handler_learns_whose_it_is(wire: Wire) -> None:
    for headers in ({"authorization": f"bEaReR  {READ_KEY} "}, {"x-api-key": READ_KEY}):
        answer = wire.ask("GET", "/v1/datasets/sales", headers=headers)
        assert answer.json == {
            "tenant_id": 7,
            "shared": "by all requests",
            "request_id": answer.headers["x-request-id"],
        }


def test_the_servers_shared_state_is_not_written_to_and_the_clients_request_id_is_not_taken(wire: Wire) -> None:
    first, second = (
        wire.ask("GET", "/v1/datasets/a", key=READ_KEY, headers={"x-request-id": "mine"}) for _ in range(2)
    )
    assert wire.state == {"shared": "by all requests"}
    ids = {first.headers["x-request-id"], second.headers["x-request-id"]}
    assert len(ids) == 2
    assert all(len(one) == 32 for one in ids)


def test_malformed_json_without_a_key_is_401_and_with_one_is_400(wire: Wire) -> None:
    assert wire.post("/v1/forecasts", "{", key=None).status == 401
    assert wire.post("/v1/forecasts", "{").json["code"] == "invalid_json"


def test_a_declared_size_over_the_limit_is_refused_unread(wire: Wire) -> None:
    for size in (str(LIMIT_BYTES + 1), "9" * 5000):
        answer = wire.ask("POST", "/v1/forecasts", key=READ_KEY, headers={"content-length": size}, body=[b"x"])
        assert (answer.status, answer.json["code"], answer.receives) == (413, "body_too_large", 0)
        assert answer.headers["connection"] == "close"
    assert wire.ask("GET", "/livez", headers={"content-length": str(LIMIT_BYTES + 1)}).status == 413


@pytest.mark.parametrize("path", ["/v1/forecasts", "/v1/datasets"], ids=["a body model", "await request.body()"])
@pytest.mark.parametrize("declared", [{}, {"content-length": "5"}, {"content-length": "-1"}, {"content-length": "x"}])
def test_a_body_of_64_mb_is_not_read_past_the_limit_whatever_it_declares(
    wire: Wire, path: str, declared: dict[str, str]
) -> None:
    chunk = b" " * 65_536
    answer = wire.ask(
        "POST", path, key=WRITE_KEY, headers={"content-type": "application/json", **declared}, body=[chunk] * 1024
    )
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    assert LIMIT_BYTES < answer.read_bytes <= LIMIT_BYTES + len(chunk)
    assert answer.headers["connection"] == "close"


def test_a_body_of_exactly_the_limit_is_read_and_the_connection_is_kept(wire: Wire) -> None:
    answer = wire.ask("POST", "/v1/datasets", key=WRITE_KEY, body=[b"x" * (LIMIT_BYTES // 2)] * 2)
    assert answer.json == {"size_bytes": LIMIT_BYTES}
    assert "connection" not in answer.headers


def test_an_unexpected_error_says_nothing_but_the_requests_id_and_is_logged_once(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("broken", "diverged"):
        caplog.clear()
        answer = wire.ask("GET", f"/v1/jobs/{name}", key=READ_KEY)
        assert (answer.status, answer.json["code"]) == (500, "internal")
        assert answer.json["request_id"] == answer.headers["x-request-id"]
        assert not any(word in answer.body for word in (b"secret", b"Traceback", b"Error", b".py"))
        (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        line = LineFormatter().format(record)
        assert "\n" not in line
        assert f"request_id={answer.headers['x-request-id']}" in line
        assert "/srv/secret" in line


def test_a_key_store_that_does_not_answer_is_503(wire: Wire) -> None:
    answer = wire.ask("GET", "/v1/jobs", key="database-is-down")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")


def test_a_revoked_key_works_for_less_than_a_second_more(wire: Wire) -> None:
    def status() -> int:
        return wire.ask("GET", "/v1/jobs", key=READ_KEY).status

    assert [status(), status(), wire.keys.asked] == [200, 200, 1]
    del wire.keys.keys[READ_KEY]
    wire.clock.now_s += 0.999
    assert status() == 200
    wire.clock.now_s += 0.001
    assert status() == 401


def test_the_cache_holds_a_bounded_number_of_good_keys_and_no_key_itself() -> None:
    ring = KeyRing({f"key-{n}": Caller(1, str(n), "read") for n in range(MAX_CACHED_KEYS + 5)})
    clock = Clock()
    cache = KeyCache(ring, clock)

    async def ask_all() -> None:
        for key in [*ring.keys, "key-4", "key-5", "bad", "bad"]:
            cache.find(key) or await cache.look_up(key)

    asyncio.run(ask_all())
    assert len(cache._known) == MAX_CACHED_KEYS
    # Looked up again: key-4, which was pushed out, and the bad one; key-4 then pushed out key-5.
    assert ring.asked == MAX_CACHED_KEYS + 5 + 3
    assert "key-" not in repr(cache._known.keys())
    clock.now_s, ring.keys = 1.0, {}
    assert cache.find("key-4") is None  # too old
    assert asyncio.run(cache.look_up("key-4")) is None
    assert len(cache._known) == MAX_CACHED_KEYS - 1


def test_a_bad_key_is_looked_up_once_a_second_and_a_flood_of_them_takes_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.edge.key_cache.MAX_BAD_KEYS", 3)
    ring, clock = KeyRing({"good": Caller(1, "a", "read")}), Clock()
    cache = KeyCache(ring, clock)

    async def session() -> None:
        for key in ("good", "bad", "bad", "bad"):
            await cache.look_up(key)
        assert ring.asked == 2
        ring.keys["bad"] = Caller(1, "b", "read")  # created meanwhile
        clock.now_s = 0.99
        assert await cache.look_up("bad") is None
        clock.now_s = 1.0
        assert await cache.look_up("bad") == Caller(1, "b", "read")
        for number in range(9):
            assert await cache.look_up(f"bad-{number}") is None
        assert (len(cache._bad), len(cache._known)) == (3, 2)
        assert "bad-" not in repr(cache._bad.keys())

    asyncio.run(session())


def test_keys_that_were_valid_are_looked_up_while_a_flood_of_unknown_ones_waits() -> None:
    go_on, ring, clock = threading.Event(), KeyRing({"good": Caller(1, "a", "read")}), Clock()

    def authenticate(key: str) -> Caller | None:
        assert key == "good" or go_on.wait(10)
        return ring(key)

    cache = KeyCache(authenticate, clock)

    async def session() -> None:
        await cache.look_up("good")
        clock.now_s = 60.0  # too old to be used, and still known
        flood = [asyncio.create_task(cache.look_up(f"bad-{number}")) for number in range(50)]
        await asyncio.sleep(0.05)
        assert await asyncio.wait_for(cache.look_up("good"), 5) == Caller(1, "a", "read")
        go_on.set()
        assert await asyncio.gather(*flood) == [None] * 50

    asyncio.run(session())


def test_a_key_in_steady_use_is_looked_up_in_the_background_so_that_no_request_waits() -> None:
    ring, clock = KeyRing({"key": Caller(1, "a", "read")}), Clock()
    cache = KeyCache(ring, clock)

    async def session() -> None:
        await cache.look_up("key")
        for _ in range(20):  # ten seconds of requests
            clock.now_s += 0.5
            assert cache.find("key") is not None
            assert cache.find("key") is not None
            await asyncio.gather(*cache._look_ups.values())
        assert ring.asked == 21
        ring.keys.clear()
        clock.now_s += 0.5
        assert cache.find("key") is not None
        await asyncio.gather(*cache._look_ups.values())
        assert cache.find("key") is None

    asyncio.run(session())


def test_closing_waits_for_the_look_up_in_the_background() -> None:
    clock, open_look_ups, ended = Clock(), threading.Event(), list[str]()

    def authenticate(key: str) -> Caller | None:
        if clock() > 0:  # in the background
            open_look_ups.wait(10)
            ended.append(key)
        return Caller(1, "a", "read")

    cache = KeyCache(authenticate, clock)

    async def session() -> None:
        assert await cache.look_up("good") is not None
        clock.now_s += 0.5
        assert cache.find("good") is not None
        asyncio.get_running_loop().call_later(0.05, open_look_ups.set)
        await cache.close()
        assert ended == ["good"]

    asyncio.run(session())


def test_a_key_store_that_fails_in_the_background_fails_no_request_before_the_key_is_too_old() -> None:
    ring, clock = KeyRing({"key": Caller(1, "a", "read")}), Clock()

    def authenticate(key: str) -> Caller | None:
        return ring("database-is-down" if clock.now_s > 0 else key)

    cache = KeyCache(authenticate, clock)

    async def session() -> None:
        await cache.look_up("key")
        clock.now_s = 0.5
        assert cache.find("key") is not None
        await asyncio.gather(*cache._look_ups.values(), return_exceptions=True)
        clock.now_s = 0.9
        assert (cache.find("key") is not None, ring.asked) == (True, 2)  # not asked again and again
        clock.now_s = 1.0
        assert cache.find("key") is None
        with pytest.raises(Unavailable):
            await cache.look_up("key")

    asyncio.run(session())


def test_requests_that_come_together_share_one_look_up_and_one_that_hangs_up_ends_it_for_no_other() -> None:
    ring = KeyRing({"key": Caller(1, "a", "read")})
    cache = KeyCache(ring, Clock())

    async def session() -> list[Any]:
        tasks = [asyncio.create_task(cache.look_up("key")) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(session())
    assert isinstance(first, asyncio.CancelledError)
    assert others == [Caller(1, "a", "read")] * 4
    assert ring.asked == 1


def test_websockets_are_refused_and_the_lifespan_is_passed_on() -> None:
    wire, sent = guarded(toy_app()), list[dict[str, Any]]()
    steps = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, str]:
        return next(steps)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(wire.app({"type": "websocket", "path": "/livez"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    asyncio.run(wire.app({"type": "lifespan", "state": {}}, receive, send))
    assert [message["type"] for message in sent[1:]] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(RuntimeError, match="webtransport"):
        asyncio.run(wire.app({"type": "webtransport"}, receive, send))


def test_no_key_appears_in_any_log_line_answer_or_metric(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = b""
    for path in ("/v1/jobs", "/v1/jobs/broken", "/v1/jobs/faulty", "/nowhere", "/v1/jobs?limit=x"):
        for headers in ({"authorization": f"Bearer {WRITE_KEY}"}, {"x-api-key": "fk_unknown_canary"}):
            answer = wire.ask("GET", path, headers=headers)
            seen += answer.body + repr(answer.headers).encode()
    lines = "\n".join(map(LineFormatter().format, caplog.records))
    assert len(caplog.records) > 10
    assert "canary" not in lines + seen.decode() + wire.telemetry.render().decode()


def test_the_log_names_tenant_key_and_peer_of_every_request(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    wire.ask("GET", "/v1/jobs", headers={"authorization": f"Bearer {READ_KEY}"})
    wire.post("/v1/datasets", "{}", WRITE_KEY)
    wire.post("/v1/jobs", "{}", READ_KEY)
    wire.post("/v1/jobs", "{}", "fc_a1b2c3d4_" + "x" * 43)  # as a revoked key has
    wire.post("/v1/jobs", "{}", "anything")
    lines = [LineFormatter().format(record) for record in caplog.records if hasattr(record, "seconds")]
    said = [re.sub(r".*(GET|POST)", r"\1", re.sub(r" request_id=.* seconds=[\d.]+", "", line)) for line in lines]
    assert said == [
        "GET /v1/jobs 200 tenant=7 key=k1 peer=10.0.0.9",
        "POST /v1/datasets 200 tenant=7 key=k2 peer=10.0.0.9",
        "POST /v1/jobs 403 tenant=7 key=k1 peer=10.0.0.9",
        "POST /v1/jobs 401 key=a1b2c3d4 peer=10.0.0.9",
        "POST /v1/jobs 401 peer=10.0.0.9",
    ]


@pytest.mark.parametrize(("path", "key", "status"), [("/livez", None, 200), ("/v1/models", None, 401)])
def test_no_cache_keeps_an_answer_and_no_browser_guesses_its_type(
    wire: Wire, path: str, key: str | None, status: int
) -> None:
    answer = wire.ask("GET", path, key=key)
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_request_over_its_rate_is_refused_before_its_body_with_the_time_to_come_back() -> None:
    wire = guarded(toy_app(), policies=policies_of({"key_requests": "2/min"}))
    answers = [wire.ask("POST", "/v1/datasets", key=WRITE_KEY, body=[b"x"]) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"key-requests";r=1;t=30',
        '"key-requests";r=0;t=60',
        '"key-requests";r=0;t=60',
    ]
    refused = answers[-1]
    assert (refused.json["code"], refused.headers["retry-after"], refused.receives) == ("rate_exceeded", "30", 0)
    assert refused.headers["ratelimit-policy"] == '"key-requests";q=2;w=60'
    assert wire.ask("GET", "/v1/jobs", key=READ_KEY).status == 200  # another key of the tenant


def test_every_answer_to_a_limited_key_shows_its_rates_and_the_others_show_none() -> None:
    wire = guarded(toy_app(), policies=policies_of({"tenant_requests": "9/min"}))
    for path, status in (("/v1/jobs", 200), ("/v1/jobs/gone", 404), ("/v1/jobs?limit=x", 422), ("/nowhere", 404)):
        answer = wire.ask("GET", path, key=READ_KEY)
        assert (answer.status, "ratelimit" in answer.headers) == (status, True)
    assert "ratelimit" not in wire.ask("GET", "/livez").headers
    assert "ratelimit" not in wire.ask("GET", "/v1/jobs", key="wrong").headers


def test_the_reports_of_attempts_at_jobs_are_not_limited() -> None:
    wire = guarded(toy_app(), policies=policies_of({"tenant_requests": "1/d"}))
    assert [wire.ask("POST", ATTEMPT, key=ATTEMPT_SECRET).status for _ in range(3)] == [200] * 3


class CountedTurns:
    """A pace that counts its turns; those of a flood never come."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    async def wait(self, peer: str) -> None:
        self.peers.append(peer)
        if len(self.peers) > 3:
            raise TooManyRequests("too many requests without a valid key come from your address")


def test_a_flood_without_valid_keys_is_refused_and_valid_keys_of_the_same_address_are_not() -> None:
    wire = guarded(toy_app())
    wire.app.strangers = turns = CountedTurns()
    assert wire.ask("GET", "/v1/jobs", key=READ_KEY).status == 200  # seen for the first time, it takes a turn
    statuses = [wire.ask("GET", "/v1/jobs", **sent).status for sent in ({}, {"key": "bad"}, {"key": "bad"}, {})]
    assert statuses == [401, 401, 429, 429]
    wire.clock.now_s += 60
    assert wire.ask("GET", "/v1/jobs", key=READ_KEY).status == 200  # too old for the cache, and known all the same
    assert turns.peers == ["10.0.0.9"] * 5
    assert wire.keys.asked == 3  # none for those that were refused


def test_probes_have_a_pace_of_their_own() -> None:
    wire = guarded(toy_app())
    wire.app.strangers, wire.app.probes = CountedTurns(), CountedTurns()
    assert [wire.ask("GET", "/livez").status for _ in range(4)] == [200, 200, 200, 429]
    assert wire.ask("GET", "/v1/jobs", key=READ_KEY).status == 200
    assert len(wire.app.strangers.peers) == 1
