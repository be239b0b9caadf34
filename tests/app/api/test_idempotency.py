"""A request that is sent again with its Idempotency-Key creates nothing a second time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.store import datasets, idempotency
from app.store.db import Database, now
from app.store.idempotency import KeyedRequest
from app.store.tables import IdempotencyKey
from models.json_types import JsonObject
from tests.app.api.conftest import Caller, House, on_both
from tests.app.api.tables import series, table
from tests.app.store.conftest import new_revision

LONG = series("shop", [float(i % 7) for i in range(120)])


def keyed(key: Any, **request: Any) -> dict[str, Any]:
    headers = {"idempotency-key": key} | request.pop("headers", {})
    return {"headers": headers, **request}


@pytest.fixture
def trainer(house: House) -> Caller:
    """Who has a data set that is long enough to learn from."""
    house.acme.keep("sales", LONG)
    return house.acme


def job(**changes: Any) -> dict[str, Any]:
    return {"json": {"model": "demand", "dataset": "sales", **changes}}


@on_both
def test_the_same_job_asked_for_twice_is_one(house: House, trainer: Caller) -> None:
    first = trainer.ask("POST", "/v1/jobs", **keyed("a-1", **job()))
    again = trainer.ask("POST", "/v1/jobs", **keyed("a-1", **job()))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert len(trainer.get("/v1/jobs")["items"]) == 1
    other = trainer.post("/v1/jobs", **keyed("a-2", **job()))
    assert other["id"] != first.json()["id"]
    assert trainer.post("/v1/jobs", **job())["id"] not in (other["id"], first.json()["id"])


@on_both
def test_a_key_is_for_one_request_only(house: House, trainer: Caller) -> None:
    trainer.post("/v1/jobs", **keyed("a-1", **job()))
    for path, request in (("/v1/jobs", job(priority=1)), ("/v1/datasets?name=more", table(LONG, "csv"))):
        problem = trainer.ask("POST", path, **keyed("a-1", **request)).json()
        assert (problem["status"], problem["errors"][0]["code"]) == (422, "key_reused")
        assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert len(trainer.get("/v1/jobs")["items"]) == 1


@on_both
def test_eight_at_once_with_one_key_make_one_job(house: House, trainer: Caller) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: trainer.post("/v1/jobs", **keyed("b", **job())), range(8)))
    assert len({answer["id"] for answer in answers}) == 1
    assert len(trainer.get("/v1/jobs")["items"]) == 1


def test_a_data_set_and_its_rows_are_kept_once(house: House) -> None:
    made = [house.acme.post("/v1/datasets?name=sales", **keyed("c", **table(LONG[:3], "csv"))) for _ in range(2)]
    assert made[0] == made[1]
    more = table([("shop", LONG[3][1], 9)], "csv")
    rows = [house.acme.post("/v1/datasets/sales/rows", **keyed("d", **more)) for _ in range(3)]
    assert [answer["revision"] for answer in rows] == [2, 2, 2]
    assert house.acme.get("/v1/datasets/sales")["rows_total"] == 4


def test_what_was_refused_is_tried_anew(house: House) -> None:
    asked = keyed("e", **job())
    assert house.acme.refused("POST", "/v1/jobs", **asked) == (404, "not_found", None)
    house.acme.keep("sales", LONG)
    assert house.acme.post("/v1/jobs", **keyed("e", **job()))["state"] == "queued"


def test_the_keys_of_others_are_no_concern(house: House, trainer: Caller) -> None:
    house.rival.keep("sales", LONG)
    mine, theirs = (who.post("/v1/jobs", **keyed("f", **job())) for who in (trainer, house.rival))
    assert mine["id"] != theirs["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ключ".encode()])
def test_a_key_that_cannot_be_one_is_refused(house: House, trainer: Caller, key: Any) -> None:
    asked = keyed(key, **job())
    assert trainer.ask("POST", "/v1/jobs", **asked).status_code == 422
    assert trainer.get("/v1/jobs")["items"] == []


def test_a_request_that_fails_after_it_has_begun_leaves_neither_job_nor_key(house: House, trainer: Caller) -> None:
    # F15: as where the process dies before the commit.
    asked = KeyedRequest(tenant_id=house.tenants["acme"], key="g", route="POST /v1/datasets", sha256="5a")

    def begin(database: Database) -> None:
        with database.write() as session:
            datasets.create(session, asked.tenant_id, "lost", "D", new_revision(), "cli")
            idempotency.save_answer(session, asked, {"dataset": "lost"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(house.database)
    with house.database.read() as session:
        assert idempotency.find_answer(session, asked) is None
    assert house.acme.refused("GET", "/v1/datasets/lost") == (404, "not_found", None)


@contextmanager
def no_room_for_keys(database: Database) -> Iterator[None]:
    """The database refuses to keep an answer, after the job of the same transaction was written."""
    before: list[str] = []
    does, undo = "BEGIN SELECT RAISE(ABORT, 'no room'); END", "DROP TRIGGER full_disk"
    if database.url.get_backend_name() == "postgresql":
        body = "$$BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END$$"
        before = [f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS {body}"]
        does, undo = "FOR EACH STATEMENT EXECUTE FUNCTION full_disk()", "DROP FUNCTION full_disk CASCADE"
    for statement in (*before, f"CREATE TRIGGER full_disk BEFORE INSERT ON idempotency_keys {does}"):
        with database.write() as session:
            session.connection().exec_driver_sql(statement)
    yield
    with database.write() as session:
        session.connection().exec_driver_sql(undo)


@on_both
def test_a_job_whose_transaction_is_rolled_back_is_none_and_may_be_asked_for_again(
    house: House, trainer: Caller
) -> None:
    with no_room_for_keys(house.database):
        assert trainer.ask("POST", "/v1/jobs", **keyed("i", **job())).status_code >= 500
        assert trainer.get("/v1/jobs")["items"] == []
    made = [trainer.post("/v1/jobs", **keyed("i", **job()))["id"] for _ in range(2)]
    assert [one["id"] for one in trainer.get("/v1/jobs")["items"]] == made[:1] == made[1:]


def test_keys_are_forgotten_after_a_day(house: House, trainer: Caller) -> None:
    first = trainer.post("/v1/jobs", **keyed("h", **job()))
    with house.database.write() as session:
        kept = session.get_one(IdempotencyKey, 1)
        kept.created_at -= idempotency.KEPT_FOR
    again = trainer.post("/v1/jobs", **keyed("h", **job()))
    assert again["id"] != first["id"]


def test_a_key_is_forgotten_after_a_day_however_many_there_are(house: House, trainer: Caller) -> None:
    old = [
        KeyedRequest(tenant_id=house.tenants["acme"], key=f"k{number}", route="", sha256="") for number in range(150)
    ]
    with house.database.write() as session:
        for asked in old:
            idempotency.save_answer(session, asked, {})
        session.execute(update(IdempotencyKey).values(created_at=now(session) - idempotency.KEPT_FOR))
    assert trainer.post("/v1/jobs", **keyed("k149", **job()))["state"] == "queued"


def test_uploads_of_one_key_at_once_have_one_answer_and_no_conflict(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first upload commits between the look-up of the second and its insertion."""
    find, looks = idempotency.find_answer, list[KeyedRequest]()
    upload = keyed("a-1", **table(LONG, "csv"))
    first = []

    def look(session: Session, request: KeyedRequest) -> JsonObject | None:
        looks.append(request)
        found = find(session, request)
        if len(looks) == 1:  # nothing is stored yet; the other request goes ahead now
            first.append(house.acme.ask("POST", "/v1/datasets?name=sales", **upload))
        return found

    monkeypatch.setattr(idempotency, "find_answer", look)
    second = house.acme.ask("POST", "/v1/datasets?name=sales", **upload)
    assert (first[0].status_code, second.status_code) == (201, 201)
    assert second.json() == first[0].json()
    assert second.headers["idempotency-replayed"] == "true"
    assert house.acme.refused("POST", "/v1/datasets?name=sales", **keyed("a-2", **table(LONG, "csv")))[0] == 409
