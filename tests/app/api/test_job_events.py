"""Who waits for a job is told within a moment, and costs the database no more than one question for all."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from app.api.job_events import _event_stream
from app.store import job_watch, jobs, keys
from app.store.db import DatabaseUnreachable
from app.store.job_watch import JobWatch, JobWatcher
from app.store.jobs import JobUpdate
from app.store.tables import Job, JobEvent
from app.tenant_slots import TenantSlots
from tests.app.api.conftest import Caller, House, on_both, open_house
from tests.app.api.tables import series
from tests.app.work.small_jobs import eventually


@pytest.fixture
def trainer(house: House) -> Caller:
    """Who has a data set that is long enough to learn from."""
    house.acme.keep("sales", series("shop", [float(i % 7) for i in range(120)]))
    return house.acme


def queue(trainer: Caller, **changes: Any) -> str:
    job: str = trainer.post("/v1/jobs", json={"model": "demand", "dataset": "sales", **changes})["id"]
    return job


def claim(house: House) -> Job:
    with house.database.write() as session:
        job = jobs.claim(session, "w1", 60.0)
    assert job is not None
    return job


def finish(house: House, job: Job) -> None:
    with house.database.write() as session:
        jobs.finish(session, job.id, job.token, None)


def events_of(text: str) -> list[tuple[int | None, str, Any]]:
    """Id, kind and data of each event of a stream, as a browser reads it."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "event" in fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append((number, fields["event"], json.loads(fields["data"])))
    return found


def later(act: Callable[[], object], wait_s: float = 1.0) -> threading.Thread:
    """Something that happens while somebody waits."""
    thread = threading.Timer(wait_s, act)
    thread.start()
    return thread


@on_both
def test_a_job_is_followed_to_its_end(house: House, trainer: Caller) -> None:
    job_id = queue(trainer)
    job = claim(house)
    with house.database.write() as session:
        jobs.report(session, job.id, job.token, {"phase": "fit", "epoch": 1, "loss": 0.5})
        jobs.log(session, job.id, job.token, "first\nsecond")
    ending = later(lambda: finish(house, job))
    answer = trainer.ask("GET", f"/v1/jobs/{job_id}/events")
    ending.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("retry: 2000\n\n")
    found = events_of(answer.text)
    assert [(kind, data) for _, kind, data in found] == [
        ("state", {"state": "queued", "attempt": 0}),
        ("state", {"state": "running", "attempt": 1}),
        ("progress", {"phase": "fit", "epoch": 1, "loss": 0.5}),
        ("log", {"line": "first\nsecond"}),
        ("state", {"state": "succeeded", "attempt": 1}),
        ("end", {"state": "succeeded", "attempt": 1}),
    ]
    ids = [number for number, *_ in found[:-1]]
    assert ids == sorted(ids, key=int)
    # Whoever lost the connection after the second goes on with the third.
    resumed = trainer.ask("GET", f"/v1/jobs/{job_id}/events", headers={"last-event-id": str(ids[1])})
    assert events_of(resumed.text) == found[2:]
    nothing_new = trainer.ask("GET", f"/v1/jobs/{job_id}/events", headers={"last-event-id": str(ids[-1])})
    assert [kind for _, kind, _ in events_of(nothing_new.text)] == ["end"]


def test_a_job_without_events_is_followed_too(house: House, trainer: Caller) -> None:
    job_id = queue(trainer)
    trainer.post(f"/v1/jobs/{job_id}/cancel")
    with house.database.write() as session:
        for event in jobs.updates_since(session, {job_id: 0})[
            job_id
        ].events:  # as of a job that an earlier release made
            session.delete(event)
    answer = trainer.ask("GET", f"/v1/jobs/{job_id}/events")
    assert events_of(answer.text) == [(None, "end", {"state": "cancelled", "attempt": 0})]


@on_both
def test_waiting_ends_when_the_state_changes(house: House, trainer: Caller) -> None:
    job_id = queue(trainer)
    starting = later(lambda: claim(house))
    began_s = time.monotonic()
    assert trainer.get(f"/v1/jobs/{job_id}?wait=50")["state"] == "running"
    assert time.monotonic() - began_s < 40
    starting.join()


def test_waiting_ends_when_its_time_is_over_and_at_once_for_a_job_that_is(house: House, trainer: Caller) -> None:
    job_id = queue(trainer)
    assert trainer.get(f"/v1/jobs/{job_id}?wait=0.2")["state"] == "queued"
    trainer.post(f"/v1/jobs/{job_id}/cancel")
    began_s = time.monotonic()
    assert trainer.get(f"/v1/jobs/{job_id}?wait=60")["state"] == "cancelled"
    assert time.monotonic() - began_s < 30


def test_many_who_wait_are_one_question(house: House, trainer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    look = JobWatch._read

    def counted(watch: JobWatch, known: dict[str, int], key_ids: set[str]) -> tuple[dict[str, JobUpdate], set[str]]:
        asked.append(len(known))
        assert len(key_ids) == 1
        return look(watch, known, key_ids)

    monkeypatch.setattr(JobWatch, "_read", counted)
    made = [queue(trainer) for _ in range(2)]
    waiting = [threading.Thread(target=trainer.get, args=(f"/v1/jobs/{made[i % 2]}?wait=3",)) for i in range(20)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert max(asked) == 2
    assert len(asked) <= 3 / job_watch.EVERY_S + 5
    assert eventually(lambda: house.app.state.service.watch._task is None)
    before = len(asked)
    time.sleep(3 * job_watch.EVERY_S)
    assert len(asked) == before  # nobody waits: nothing is asked


def test_no_more_wait_than_may(sqlite_template: Any, tmp_path: Any) -> None:
    with open_house(sqlite_template, tmp_path, max_watchers=1) as house:
        house.acme.keep("sales", series("shop", [float(i % 7) for i in range(120)]))
        job_id = queue(house.acme)
        thread = threading.Thread(target=house.acme.get, args=(f"/v1/jobs/{job_id}?wait=4",))
        thread.start()
        eventually(lambda: house.app.state.service.watch.slots.used)
        for path in (f"/v1/jobs/{job_id}?wait=1", f"/v1/jobs/{job_id}/events"):
            assert house.acme.refused("GET", path) == (429, "too_many_requests", None)
        thread.join()
        assert house.acme.get(f"/v1/jobs/{job_id}?wait=0.1")["state"] == "queued"


def test_the_watchers_of_one_tenant_leave_room_for_those_of_others(sqlite_template: Any, tmp_path: Any) -> None:
    with open_house(sqlite_template, tmp_path, max_watchers=2, max_watchers_per_tenant=1) as house:
        jobs_of = {}
        for caller in (house.acme, house.rival):
            caller.keep("sales", series("shop", [float(i % 7) for i in range(120)]))
            jobs_of[caller.key] = queue(caller)
        thread = threading.Thread(target=house.acme.get, args=(f"/v1/jobs/{jobs_of[house.acme.key]}?wait=4",))
        thread.start()
        eventually(lambda: house.app.state.service.watch.slots.used)
        path = f"/v1/jobs/{jobs_of[house.acme.key]}?wait=1"
        assert house.acme.refused("GET", path) == (429, "too_many_requests", None)
        assert house.rival.get(f"/v1/jobs/{jobs_of[house.rival.key]}?wait=0.1")["state"] == "queued"
        thread.join()


def test_events_end_when_the_key_is_revoked(house: House, trainer: Caller) -> None:
    job_id, key_id = queue(trainer), house.reader.key.split("_")[1]
    texts: list[str] = []
    follow = threading.Thread(target=lambda: texts.append(house.reader.ask("GET", f"/v1/jobs/{job_id}/events").text))
    follow.start()
    eventually(lambda: house.app.state.service.watch.slots.used)
    with house.database.write() as session:
        keys.revoke(session, house.tenants["acme"], key_id, "cli")
    follow.join(20)
    assert events_of(texts[0])[-1][1:] == (
        "error",
        {"code": "unauthorized", "message": "the key is no longer valid"},
    )


def event(number: int) -> JobEvent:
    return JobEvent(id=number, job_id="j", kind="log", data={"line": str(number)})


def test_who_does_not_read_gathers_nothing() -> None:
    async def offered() -> list[int]:
        slow = JobWatcher("j", 0, None, "k1")
        slow.offer(JobUpdate("running", 1, (event(1), event(2))))
        assert slow.update is not None  # and so is not asked for again, see JobWatch
        taken = await slow.next(1.0)
        assert taken is not None
        slow.offer(JobUpdate("running", 1, (event(2), event(3))))  # what it has is not told twice
        more = await slow.next(1.0)
        assert more is not None
        slow.offer(JobUpdate("running", 1, ()))
        assert await slow.next(0.01) is None
        return [found.id for found in (*taken.events, *more.events)]

    assert asyncio.run(offered()) == [1, 2, 3]


def test_who_follows_is_let_go_when_the_service_stops(house: House, trainer: Caller) -> None:
    job_id = queue(trainer)

    async def follow() -> list[bytes]:
        watch = JobWatch(house.database, TenantSlots(9, 9, "watchers"))
        told: AsyncGenerator[bytes, None] = _event_stream(watch, job_id, 0, house.acme.key.split("_")[1])
        pieces = [await anext(told), await anext(told)]
        watch.stop()
        pieces += [piece async for piece in told]
        await asyncio.sleep(2 * job_watch.EVERY_S)
        return pieces

    assert [piece.split(b"\n")[0][:6] for piece in asyncio.run(follow())] == [b"retry:", b"id: 1", b"event:"]


def test_a_database_that_is_away_is_asked_again(house: House, trainer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = queue(trainer)
    away, news = iter([DatabaseUnreachable("gone")]), jobs.updates_since

    def flaky(*of: Any) -> dict[str, JobUpdate]:
        for error in away:
            raise error
        return news(*of)

    monkeypatch.setattr(jobs, "updates_since", flaky)
    starting = later(lambda: claim(house))
    assert trainer.get(f"/v1/jobs/{job_id}?wait=50")["state"] == "running"
    starting.join()


def test_attempts_are_listed_oldest_first(house: House, trainer: Caller) -> None:
    job_id = queue(trainer)
    for _ in range(3):
        job = claim(house)
        with house.database.write() as session:
            jobs.release(session, job.id, job.token)
    job = claim(house)
    with house.database.write() as session:
        jobs.fail(session, job.id, job.token, "diverged", "the loss became NaN", retry=False)
    page = trainer.get(f"/v1/jobs/{job_id}/attempts?page_size=3")
    items = [*page["items"]]
    items += trainer.get(f"/v1/jobs/{job_id}/attempts?page_token={page['next_page_token']}")["items"]
    assert [(item["number"], item["outcome"], item["message"]) for item in items] == [
        (1, "released", None),
        (1, "released", None),
        (1, "released", None),
        (1, "job", "the loss became NaN"),
    ]
    assert all(item["waited_s"] >= 0 and item["worker"] == "w1" for item in items)


def test_jobs_are_found_by_what_they_are(house: House, trainer: Caller) -> None:
    first = queue(trainer, priority=3, resource="gpu", deadline_s=60)
    second = queue(trainer, model="other")
    shown = trainer.get(f"/v1/jobs/{first}")
    assert (shown["priority"], shown["resource"], shown["children"], shown["parent"]) == (3, "gpu", 0, None)
    assert shown["deadline_at"] > shown["created_at"]

    def found(query: str) -> list[str]:
        return [job["id"] for job in trainer.get(f"/v1/jobs?{query}")["items"]]

    assert found("model=other") == [second]
    assert found("model=other&state=running") == []
    assert found("kind=train") == [second, first]
    assert found("kind=tune") == found("schedule=nightly") == found(f"parent={first}") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", 11),
        ("priority", -11),
        ("resource", "tpu"),
        ("deadline_s", 0),
        ("deadline_s", -1),
        ("priority", 0.5),
    ],
)
def test_a_place_that_there_is_not_is_refused(house: House, trainer: Caller, name: str, value: Any) -> None:
    problem = trainer.ask("POST", "/v1/jobs", json={"model": "m", "dataset": "sales", name: value}).json()
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, f"/{name}")
