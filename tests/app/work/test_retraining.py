"""A schedule on a data set that grows: it retrains three times, the better version is promoted, the worse is not.

Everything is as in service: the request is settled by the API's own rules, the scheduler ticks (by a clock of the
test's), a worker claims, the gate compares on rolling origins, webhooks are told. Only what the networks learn is given
by hand, so that it is known which of them is better.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.addresses import parse_networks
from app.planning.schedules import SchedulePlanner
from app.planning.training_payload import TrainPayload
from app.store import jobs
from app.store.outcomes import Candidate, Outcome
from app.store.quality import quality_of
from app.work.champion_comparison import Challenger, compare, rule
from app.work.deliveries import Sender
from app.work.job_context import JobContext
from app.work.new_rows import audit_new_rows
from app.work.runner import ExitStatus
from app.work.scheduler import SchedulerDependencies, tick
from models.engines.onnx import OnnxEngine
from models.evaluation.backtest import evaluate
from models.evaluation.origins import origins_of, plan_for
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, make_runnable, predict
from models.training.report import VersionReport
from models.types import Floats
from tests.app.api.conftest import House, open_house
from tests.app.api.tables import series, table
from tests.app.receivers import receiver
from tests.app.work.small_jobs import SPEC, eventually, untrained, work_on
from tests.fakes import seasonal_naive
from tests.postgres import postgres_server

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
DAILY = f"0 {(START + timedelta(hours=1)).hour} * * *"  # an hour after the start, and each day from then on
JOB = {"model": "demand", "dataset": "days", "spec": {"season": 7, "horizon": SPEC.horizon}, "refit": False}


def noisy_weeks(count: int) -> list[float]:
    rng = np.random.default_rng(0)
    values = 10 + 5 * np.sin(np.arange(count) * 2 * np.pi / 7) + 0.5 * rng.normal(size=count)
    return [float(value) for value in values]


WEEKS = noisy_weeks(400)


@dataclass
class RetrainingService:
    """A service with its scheduler and its worker, run one step at a time."""

    house: House
    known: int = 120  # days of the data set

    def grow(self, days: int, change: Callable[[Floats], Floats] = np.asarray) -> None:
        """Append rows to the data set, whose values are what ``change`` makes of the true ones."""
        values = np.array(WEEKS)
        values[self.known : self.known + days] = change(values[self.known : self.known + days])
        more = series("shop", values.tolist())[self.known : self.known + days]
        self.house.acme.post("/v1/datasets/days/rows", **table(more, "json"))
        self.known += days

    def tick(self, days: float) -> dict[str, int]:
        """Tick the scheduler, so many days after the start."""
        parts = SchedulerDependencies(SchedulePlanner(self.house.database, self.house.settings).plan_job, quality_of)
        return dict(tick(self.house.database, parts, START + timedelta(days=days)))

    def train(self, learned: Forecaster) -> dict[str, Any]:
        """Run the one queued job, whose training results in this forecaster; return the decision."""
        with self.house.database.write() as session:
            job = jobs.claim(session, "w1", 600.0)
        assert job is not None
        assert work_on(self.house.database, job, partial(learns, learned)) is ExitStatus.DONE
        shown = self.house.acme.get(f"/v1/jobs/{job.id}")
        assert shown["state"] == "succeeded", shown
        decision: dict[str, Any] = self.house.acme.get("/v1/models/demand/decisions")["items"][0]
        assert decision["version"] == shown["version"]
        return decision

    def champion(self) -> int:
        [alias] = self.house.acme.get("/v1/models/demand/aliases")
        number: int = alias["version"]
        return number


def learns(learned: Forecaster, context: JobContext) -> Outcome:
    """Do everything that a training job does, except the training."""
    order, panel = TrainPayload.from_json(context.job.request), context.load_panel(context.job.revision_id)
    plan = plan_for(panel, order.spec.horizon, order.spec.season)
    origins = origins_of(panel, plan, order.spec.season)
    scored = evaluate(partial(predict, make_runnable(learned.members, OnnxEngine)), origins)
    nothing = np.zeros(len(panel), dtype=np.int64)
    rival = Challenger(
        members=learned.members, skill=scored.skill, origins=origins, known=nothing, held_out=plan.held_out
    )
    made = Candidate(
        bundle=bundle.to_bytes(learned),
        spec=learned.spec,
        report=VersionReport(**asdict(scored.report), refit=False, warm_started_from=None),
        skill=scored.skill,
        data_sha256=panel.fingerprint(),
        ruling=rule(replace(compare(context, rival), audit=audit_new_rows(context, panel, order)), order),
    )
    return Outcome(version=made)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[RetrainingService]:
    url = postgres_server().new_database() if request.param == "postgresql" else None
    with open_house(sqlite_template, tmp_path, url, webhook_private_networks="127.0.0.0/8") as house:
        made = RetrainingService(house)
        house.acme.keep("days", series("shop", WEEKS[: made.known]))
        yield made


def weekly() -> Forecaster:
    """Return a forecaster that knows the weekly season, better than any untrained one."""
    return seasonal_naive(season=7, context=14, horizon=SPEC.horizon)


def test_a_schedule_on_a_growing_data_set_keeps_the_best_and_can_be_rolled_back(service: RetrainingService) -> None:
    acme = service.house.acme
    with receiver() as desk:
        hook = {"name": "desk", "url": desk.url, "events": ["alias.moved", "job.succeeded"]}
        acme.post("/v1/webhooks", json=hook)
        plan = {"name": "daily", "cron": DAILY, "triggers": {"new_rows": 20, "pause_s": 60}, "job": JOB}
        acme.post("/v1/schedules", json=plan)

        # The first time there are rows enough: the first version is promoted, for there is none to be beaten.
        assert service.tick(0.0) == {"fired": 1}
        first = service.train(untrained(seed=1))
        assert (first["verdict"], first["version"], service.champion()) == ("promoted", 1, 1)
        assert first["schedule"] == "daily"

        # At the due time, on more data: the forecaster that knows the weekly season is better, and becomes champion.
        service.grow(15)
        assert service.tick(1.05)["fired"] == 1
        second = service.train(weekly())
        assert (second["verdict"], service.champion()) == ("promoted", 2)
        assert second["numbers"]["ours"] < second["numbers"]["theirs"]
        assert second["numbers"]["champion"] == 1

        # Twenty rows later, before the next due time: an untrained forecaster is not promoted.
        service.grow(20)
        assert service.tick(1.2) == {"fired": 1}
        third = service.train(untrained(seed=2))
        assert (third["verdict"], service.champion()) == ("kept", 2)
        assert third["numbers"]["ours"] > third["numbers"]["theirs"]
        assert "is not below the" in third["reason"]

        # One call rolls back.
        acme.post("/v1/models/demand/aliases/champion/rollback", json={"reason": "the desk prefers it"})
        assert service.champion() == 1

        sender = Sender(service.house.database, parse_networks("127.0.0.0/8"))
        eventually(lambda: not sender.step() and all(each["state"] == "taken" for each in deliveries(service)))
        sender.close()

    fired = acme.get("/v1/schedules/daily/firings")["items"][::-1]
    assert [each["cause"] for each in fired if each["outcome"] == "fired"] == ["new_rows", "cron", "new_rows"]
    revisions = [acme.get(f"/v1/jobs/{each['job_id']}")["revision"] for each in fired if each["job_id"]]
    assert revisions == [1, 2, 3]
    told = [json.loads(each.body) for each in desk.received]
    moves = [each["data"] for each in told if each["type"] == "alias.moved"]
    assert [(move["from_version"], move["to_version"]) for move in moves] == [(None, 1), (1, 2), (2, 1)]
    assert sum(each["type"] == "job.succeeded" for each in told) == 3


def deliveries(service: RetrainingService) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.house.acme.get("/v1/webhooks/desk/deliveries")["items"]
    return found


def test_a_schedule_with_its_own_policy_waits_for_an_approval(service: RetrainingService) -> None:
    acme = service.house.acme
    plan = {"name": "daily", "cron": DAILY, "gate": {"approval": "manual"}, "job": JOB}
    acme.post("/v1/schedules", json=plan)
    assert service.tick(0.05)["fired"] == 1
    assert service.train(untrained(seed=1))["verdict"] == "pending"
    acme.post("/v1/models/demand/decisions/1/approve", json={"reason": "seen"})
    assert service.champion() == 1
    service.grow(15)
    assert service.tick(1.05)["fired"] == 1
    decision = service.train(weekly())
    assert (decision["verdict"], decision["policy"]["approval"], service.champion()) == ("pending", "manual", 1)
    acme.post("/v1/models/demand/decisions/2/approve", json={"reason": "seen"})
    assert service.champion() == 2


RANDOM = np.random.default_rng(7)
BROKEN: dict[str, Callable[[Floats], Floats]] = {
    "noise": lambda days: RANDOM.normal(np.mean(WEEKS), np.std(WEEKS), len(days)),
    "zeros": np.zeros_like,
    "a stuck value": lambda days: np.full_like(days, WEEKS[119]),
    "another unit": lambda days: 1_000 * days,
    "another data set": lambda days: 40 + 25 * np.sin(np.arange(len(days)) / 3),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_a_version_of_a_broken_sensor_is_promoted_at_no_due_time(service: RetrainingService, name: str) -> None:
    service.house.acme.post("/v1/schedules", json={"name": "daily", "cron": DAILY, "job": JOB})
    assert service.tick(0.05)["fired"] == 1
    assert service.train(weekly())["verdict"] == "promoted"
    for day in (1, 2, 3):
        service.grow(14, BROKEN[name])
        assert service.tick(day + 0.05)["fired"] == 1
        decision = service.train(weekly())
        assert decision["verdict"] in ("kept", "pending")
        assert decision["numbers"]["audit"]["findings"]
        assert service.champion() == 1


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_a_level_that_has_moved_is_accepted_after_28_days_of_it_and_the_better_version_promoted(
    service: RetrainingService,
) -> None:
    service.house.acme.post("/v1/schedules", json={"name": "daily", "cron": DAILY, "job": JOB})
    assert service.tick(0.05)["fired"] == 1
    assert service.train(untrained(seed=1))["verdict"] == "promoted"
    seen = []
    for day in (1, 2, 3):
        service.grow(14, lambda days: days + 30)
        assert service.tick(day + 0.05)["fired"] == 1
        decision = service.train(weekly())
        finding = decision["numbers"]["audit"]["findings"][-1]
        seen.append((service.champion(), finding["code"], finding["points"], finding["accepted"]))
    # On the day of the 28th the new level is accepted, but the windows that are compared hold the move itself.
    assert seen == [(1, "level", 14, False), (1, "level", 28, True), (4, "level", 42, True)]
