"""Probes, and what the service says while its database is away."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app.edge import key_cache
from app.main import create_app
from app.settings import Settings
from app.store import keys
from tests.app.api.conftest import SALES, Caller, House, client_of, forecast_request, on_both
from tests.app.api.slow import wait_until
from tests.app.api.tables import table
from tests.fakes import says
from tests.postgres import postgres_server, read_only

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/forecasts", {"json": forecast_request()}),
    ("GET", "/v1/datasets", {}),
    ("POST", "/v1/datasets?name=n", table(SALES, "csv")),
    ("POST", "/v1/datasets/sales/rows", table(SALES, "csv")),
    ("GET", "/v1/jobs", {}),
    ("PUT", "/v1/models/demand/aliases/a", {"json": {"version": 1}}),
    ("GET", "/metrics", {}),
]


@on_both
def test_a_working_service_is_alive_and_ready_without_a_key(house: House) -> None:
    nobody = Caller(house.client, "")
    assert nobody.get("/livez") == {"status": "ok", "checks": {}}
    assert nobody.get("/readyz") == {"status": "ok", "checks": {"database": "ok", "device": "cpu"}}


def test_a_service_that_is_being_stopped_is_alive_but_not_ready_and_keeps_no_connection(house: House) -> None:
    nobody = Caller(house.client, "")
    house.app.state.drain.is_stopping = True
    assert nobody.get("/livez")["status"] == "ok"
    answer = nobody.ask("GET", "/readyz")
    assert (answer.status_code, answer.json()["checks"]["process"]) == (503, "it is being stopped")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_without_tables_it_is_alive_but_not_ready(tmp_path: Path, kind: str) -> None:
    url = postgres_server().new_database(migrated=False) if kind == "postgresql" else None
    with client_of(create_app(Settings(data_dir=tmp_path, database_url=url))) as client:
        nobody = Caller(client, "")
        assert nobody.get("/livez")["status"] == "ok"
        answer = nobody.ask("GET", "/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert "forecastle migrate" in answer.json()["checks"]["database"]


def test_a_database_that_never_was_makes_503_of_every_call(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder/x.db", "postgresql+psycopg://nobody@127.0.0.1:1/none"):
        with client_of(create_app(Settings(data_dir=tmp_path, database_url=url))) as client:
            caller = Caller(client, "fc_aaaaaaaa_" + "x" * 43)
            assert caller.get("/livez")["status"] == "ok"
            answer = caller.ask("GET", "/readyz")
            assert (answer.status_code, answer.json()["checks"]) == (
                503,
                {"database": "it does not answer", "device": "cpu"},
            )
            for method, path, request in CALLS:
                assert caller.refused(method, path, **request) == (503, "unavailable", None)


def test_the_service_outlives_a_stop_of_postgresql(tmp_path: Path) -> None:
    server = postgres_server()
    with client_of(create_app(Settings(data_dir=tmp_path, database_url=server.new_database()))) as client:
        with client.app.state.service.database.write() as session:
            acme = Caller(client, keys.create_key(session, "acme", "test", "write"))
        acme.keep("sales", SALES)
        try:
            server.stop()
            for method, path, request in CALLS:
                assert acme.refused(method, path, **request) == (503, "unavailable", None), path
            assert Caller(client, "").ask("GET", "/readyz").status_code == 503
            assert Caller(client, "").get("/livez")["status"] == "ok"
        finally:
            server.start()
        assert [one["dataset"] for one in acme.get("/v1/datasets")["items"]] == ["sales"]
        wait_until(lambda: Caller(client, "").ask("GET", "/readyz").status_code == 200)  # it looks once a second


@pytest.mark.parametrize("house", ["postgresql"], indirect=True)
def test_a_read_only_standby_forecasts_and_refuses_writes_until_it_is_promoted(house: House, acme: Caller) -> None:
    house.register(says(7), model="unread")
    with read_only(house.database):
        # The connections in the pool were cut, too: each is replaced without a failed request.
        assert [one["dataset"] for one in acme.get("/v1/datasets")["items"]] == ["sales"]
        for model in ("demand", "unread"):
            assert acme.forecast(model=model, dataset={"name": "sales"})["model"]["version"] == 1
        refused = acme.ask("POST", "/v1/datasets?name=n", **table(SALES, "csv"))
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"] == "5"
        assert "read-only" not in refused.text  # the driver's words are for the log
        assert Caller(house.client, "").get("/readyz")["status"] == "ok"
    assert acme.keep("n", SALES)["revision"] == 1


def test_a_locked_file_stops_writing_but_not_reading(
    house: House, acme: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.store.db.LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(key_cache, "KEY_TTL_S", 0.0)
    with client_of(create_app(house.settings)) as client:
        hasty = Caller(client, acme.key)
        other = sqlite3.connect(tmp_path / "forecastle.db", isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            assert hasty.forecast()["horizon"] == 3
            assert hasty.refused("POST", "/v1/datasets?name=n", **table(SALES, "csv")) == (503, "unavailable", None)
            other.execute("ROLLBACK")
        finally:
            other.close()
        assert hasty.keep("n", SALES)["revision"] == 1


def test_a_file_that_was_removed_makes_503(house: House, acme: Caller, tmp_path: Path) -> None:
    house.database.dispose()
    for file in tmp_path.glob("forecastle.db*"):
        file.unlink()
    for method, path, request in CALLS:
        assert acme.refused(method, path, **request) == (503, "unavailable", None)
    assert Caller(house.client, "").ask("GET", "/readyz").status_code == 503


def test_all_connections_in_use_is_a_503(house: House) -> None:
    engine = house.database._reader
    pool = engine.pool
    pool._timeout = 0.05  # thirty seconds are too long for a test
    held = [engine.connect() for _ in range(pool.size() + pool._max_overflow)]
    try:
        assert house.acme.refused("GET", "/v1/datasets") == (503, "unavailable", None)
    finally:
        for connection in held:
            connection.close()
    house.register(says(1))
    assert house.acme.forecast()["horizon"] == 1


def test_a_process_of_the_earlier_release_stays_ready_when_the_database_is_migrated(house: House) -> None:
    with house.database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert house.acme.keep("sales", SALES)["revision"] == 1
    nobody = Caller(house.client, "")
    wait_until(lambda: "newer release" in nobody.get("/readyz")["checks"]["database"])


def test_a_damaged_file_is_503_and_not_ready(tmp_path: Path) -> None:
    (tmp_path / "forecastle.db").write_bytes(b"unique_id,ds,y\n" * 1000)
    with client_of(create_app(Settings(data_dir=tmp_path))) as client:
        caller = Caller(client, "fc_aaaaaaaa_" + "x" * 43)
        assert caller.refused("GET", "/v1/datasets") == (503, "unavailable", None)
        answer = caller.ask("GET", "/readyz")
        remedy = "it is damaged; restore a backup of it into an empty database"
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, remedy)
