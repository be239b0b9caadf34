"""A real service over a real database, with the tenants acme and rival, and versions that were made by hand."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from app.store import datasets, keys, registry
from app.store.db import now
from app.store.registry import Move, NewVersion
from app.store.tables import Decision, Version
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster
from tests.app.api.tables import days, series, table
from tests.fakes import report, says
from tests.postgres import postgres_server

LIMITS = {"max_rows": 500, "max_horizon": 50, "max_forecast_points": 400, "max_body_bytes": 4 * 1024**2}

on_both = pytest.mark.parametrize("house", ["sqlite", "postgresql"], indirect=True)


@dataclass
class Client:
    """HTTP to an app within this process, from any number of threads at once."""

    app: FastAPI
    loop: asyncio.AbstractEventLoop
    http: httpx.AsyncClient

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(self.http.request(method, path, **request), self.loop).result(60)


@contextmanager
def client_of(app: FastAPI) -> Iterator[Client]:
    """The app, started; stopped at the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    lifespan = app.router.lifespan_context(app)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://forecastle")
    try:
        wait(lifespan.__aenter__())
        yield Client(app, loop, http)
    finally:
        wait(http.aclose())
        wait(lifespan.__aexit__(None, None, None))
        wait(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Caller:
    """Somebody with a key; every answer is checked for what no answer may be."""

    client: Client
    key: str

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"} | request.pop("headers", {})
        if "json" in request:  # NaN and lone surrogates too: httpx would refuse to send them
            request["content"] = json.dumps(request.pop("json")).encode()
            headers["content-type"] = "application/json"
        answer = self.client.request(method, path, headers=headers, **request)
        if answer.headers.get("content-type") == "application/problem+json":
            assert_good_problem(answer)
        return answer

    def get(self, path: str, **request: Any) -> Any:
        """What a request that must work answers."""
        return self._works(self.ask("GET", path, **request))

    def post(self, path: str, **request: Any) -> Any:
        return self._works(self.ask("POST", path, **request))

    def put(self, path: str, **request: Any) -> Any:
        return self._works(self.ask("PUT", path, **request))

    def patch(self, path: str, **request: Any) -> Any:
        return self._works(self.ask("PATCH", path, **request))

    def forecast(self, **changes: Any) -> Any:
        """What ``demand`` says after the history 4, 6, 8, 10, or after what ``changes`` say."""
        return self.post("/v1/forecasts", json=forecast_request(**changes))

    def keep(self, name: str, rows: Any, kind: str = "json") -> Any:
        """Create a data set."""
        return self.post(f"/v1/datasets?name={name}", **table(rows, kind))

    def refused(self, method: str, path: str, **request: Any) -> tuple[int, str, str | None]:
        """Status, code, and code of the first error."""
        problem = self.ask(method, path, **request).json()
        errors = problem["errors"]
        return problem["status"], problem["code"], errors[0]["code"] if errors else None

    @staticmethod
    def _works(answer: httpx.Response) -> Any:
        assert answer.status_code < 300, answer.text
        return answer.json()


def forecast_request(**changes: Any) -> dict[str, Any]:
    request = {"model": "demand", "history": {"unique_id": "shop", "ds": days(4), "y": [4, 6, 8, 10]}, "freq": "D"}
    if "dataset" in changes:
        del request["history"], request["freq"]
    return {name: value for name, value in {**request, **changes}.items() if value is not None}


def assert_good_problem(answer: httpx.Response) -> None:
    """What every refusal has: few words, at most 20 errors that each say what to do, and the request's id."""
    problem = answer.json()
    assert len(answer.content) <= 64 * 1024
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["type"].endswith(problem["code"])
    assert problem["title"]
    assert problem["detail"]
    assert len(problem["errors"]) <= 20
    assert problem["errors_total"] >= len(problem["errors"])
    assert all(error["code"] and error["message"] and error["hint"] for error in problem["errors"])
    assert all(len(str(text)) <= 300 for error in problem["errors"] for text in error.values())


@dataclass
class House:
    """The service, and doors into it that the API does not have."""

    settings: Settings
    client: Client
    acme: Caller
    rival: Caller
    reader: Caller
    operator: Caller
    tenants: dict[str, int] = field(default_factory=dict)

    @property
    def app(self) -> FastAPI:
        return self.client.app

    @property
    def database(self) -> Any:
        return self.app.state.service.database

    def register(
        self,
        made: Forecaster | bytes,
        model: str = "demand",
        skill: float | None = 0.25,
        alias: str | None = "champion",
        tenant: str = "acme",
    ) -> Version:
        """A version of ``model``, registered as an import of known data and skill; ``alias`` points at it."""
        data = made if isinstance(made, bytes) else bundle.to_bytes(made)
        spec = (says(1, 2, 3) if isinstance(made, bytes) else made).spec
        tenant_id, owner = self.tenants[tenant], {"acme": self.acme, "rival": self.rival}[tenant]
        if not owner.get("/v1/datasets")["items"]:
            owner.keep("sales", SALES)
        with self.database.write() as session:
            first = datasets.list_page(session, tenant_id, 0, 1)[0]
            revision = datasets.revision(session, tenant_id, first.name)
            new = NewVersion(
                model=model,
                bundle=data,
                spec=spec,
                report=report(skill, spec.horizon),
                skill=skill,
                revision_id=revision.id,
                data_sha256=revision.sha256,
                job_id=None,
                created_by="cli",
                origin="import",
            )
            version = registry.add_version(session, tenant_id, new)
            if alias is not None:
                move = Move(model=model, alias=alias, number=version.number, reason="better", moved_by="cli")
                registry.move_alias(session, tenant_id, move)
        self.app.state.service.aliases.forget((tenant_id, model, alias or ""))
        return version

    def decide(self, version: Version, verdict: str, **numbers: Any) -> None:
        """What the gate writes when it has judged ``version``."""
        with self.database.write() as session:
            session.add(
                Decision(
                    tenant_id=version.tenant_id,
                    model_id=version.model_id,
                    version_id=version.id,
                    schedule_id=None,
                    verdict=verdict,
                    reason="MASE 0.75 is below the 1 of version 1",
                    policy={"approval": "manual"},
                    numbers=numbers,
                    decided_by="gate",
                    decided_at=now(session),
                )
            )


SALES = series("shop", [4, 6, 8, 10]) + series("kiosk", [1, 2, 3, 5])


@contextmanager
def open_house(template: Path, folder: Path, url: str | None = None, **changes: Any) -> Iterator[House]:
    """The service over a database of its own in ``folder``, or over the one at ``url``."""
    shutil.copy(template, folder / "forecastle.db")
    settings = Settings(data_dir=folder, database_url=url, **{**LIMITS, **changes})
    app = create_app(settings)
    with app.state.service.database.write() as session:
        raw = [keys.create_key(session, tenant, "test", "admin") for tenant in ("acme", "rival")]
        raw.append(keys.create_key(session, "acme", "reader", "read"))
        raw.append(keys.create_key(session, "office", "operator", "operator"))
        tenants = {tenant: keys.tenant_id(session, tenant) for tenant in ("acme", "rival")}
    with client_of(app) as client:
        yield House(settings, client, *(Caller(client, key) for key in raw), tenants)


@pytest.fixture
def house(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    """The service and its callers; ``on_both`` runs a test over PostgreSQL too."""
    url = postgres_server().new_database() if getattr(request, "param", "sqlite") == "postgresql" else None
    with open_house(sqlite_template, tmp_path, url) as opened:
        yield opened


@pytest.fixture
def acme(house: House) -> Caller:
    """Who may do all in the tenant, with the data set ``sales`` and the model ``demand`` that says 1, 2, -1."""
    house.register(says(1, 2, -1))
    return house.acme
