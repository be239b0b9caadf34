"""A database with stored data and versions, and the planning of jobs on them; no HTTP, no network is trained."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.planning.jobs import plan_job
from app.planning.kinds import JobRequest
from app.settings import Settings
from app.store import datasets, keys, panels, registry
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.registry import Move, NewVersion
from app.store.tables import Version
from models.data.panel import Panel
from models.errors import Fault, InputError
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster
from tests.fakes import report

REQUESTS: TypeAdapter[Any] = TypeAdapter(JobRequest)


@dataclass(frozen=True)
class PlanningRoom:
    """Planning of the jobs of one tenant."""

    database: Database
    settings: Settings
    principal: keys.KeyPrincipal

    def store(self, name: str, panel: Panel) -> None:
        """Store ``panel`` as the first revision of the data set ``name``."""
        with self.database.write() as session:
            first = panels.new_revision(panel)
            datasets.create(session, self.principal.tenant_id, name, str(panel.freq), first, "cli")

    def append(self, name: str, panel: Panel) -> None:
        """Store a revision that continues the data set ``name``."""
        with self.database.write() as session:
            newest = datasets.revision(session, self.principal.tenant_id, name)
            added = panels.new_revision(panel, panels.load(session, self.principal.tenant_id, newest))
            datasets.append(session, self.principal.tenant_id, name, newest.number, added, "cli")

    def register(self, forecaster: Forecaster, model: str = "demand", alias: str | None = "champion") -> Version:
        """Register an imported version of ``model``; ``alias`` points at it."""
        new = NewVersion(
            model=model,
            bundle=bundle.to_bytes(forecaster),
            spec=forecaster.spec,
            report=report(0.25, forecaster.spec.horizon),
            skill=0.25,
            revision_id=None,
            data_sha256=None,
            job_id=None,
            created_by="cli",
            origin="import",
        )
        with self.database.write() as session:
            version = registry.add_version(session, self.principal.tenant_id, new)
            if alias is not None:
                move = Move(model=model, alias=alias, number=version.number, reason="by hand", moved_by="cli")
                registry.move_alias(session, self.principal.tenant_id, move)
        return version

    def plan(self, **request: Any) -> NewJob:
        """Return the job that the body of POST /v1/jobs describes."""
        return plan_job(self.database, self.settings, self.principal, REQUESTS.validate_python(request))

    def refusal(self, **request: Any) -> Fault:
        """Return the fault for which the body of POST /v1/jobs is refused."""
        with pytest.raises(InputError) as caught:
            self.plan(**request)
        return caught.value.faults[0]


@pytest.fixture(name="room")
def room_fixture(sqlite_template: Path, tmp_path: Path) -> Iterator[PlanningRoom]:
    """An empty database."""
    shutil.copy(sqlite_template, tmp_path / "forecastle.db")
    settings = Settings(data_dir=tmp_path, max_horizon=50)
    database = Database(settings.url)
    with database.write() as session:
        principal = keys.KeyPrincipal(keys.tenant_id(session, "acme"), "a1b2c3d4", "write")
    yield PlanningRoom(database, settings, principal)
    database.dispose()
