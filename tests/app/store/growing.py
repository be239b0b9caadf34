"""A data set that grows day by day, and forecasts of it that were served."""

from typing import Any

import numpy as np

from app.records import ForecastRecord
from app.store import datasets, forecast_log, keys, panels, registry
from app.store.db import Database
from app.store.tables import Revision, Version
from models.data.panel import Panel
from models.evaluation.intervals import Prediction
from models.evaluation.realised import to_bytes
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster
from tests.app.store.conftest import point, register
from tests.fakes import report, says
from tests.models.samples import panel_of

DAY_US = 86_400_000_000
START_US = int(np.datetime64("2024-01-01", "us").astype(np.int64))


def days(*series: list[float], since: int = 0) -> Panel:
    """Series of days, the first of them ``since`` days after the first of January."""
    start = str(np.datetime64("2024-01-01") + np.timedelta64(since, "D"))
    return panel_of(*(np.array(values, dtype=np.float64) for values in series), start=start)


class Growing:
    """The data set ``sales`` of acme, the model ``demand`` that learned it, and what was served."""

    def __init__(self, database: Database, *series: list[float]) -> None:
        self.database, self.whole = database, days(*series)
        with database.write() as session:
            self.tenant_id = keys.tenant_id(session, "acme")
            self.revision = datasets.create(
                session, self.tenant_id, "sales", "D", panels.new_revision(self.whole), "cli"
            )

    def version(self, made: Forecaster | None = None, alias: str | None = "champion", **changes: Any) -> Version:
        """A version of ``demand`` whose backtest had a MASE of 0.5 at each step."""
        forecaster = made or says(1, 2, -1)
        found = register(
            self.database,
            self.revision,
            bundle=bundle.to_bytes(forecaster),
            spec=forecaster.spec,
            report=report(0.5, forecaster.spec.horizon, **changes),
        )
        if alias is not None:
            with self.database.write() as session:
                registry.move_alias(session, self.tenant_id, point(found.number, alias))
        return found

    def append(self, *series: list[float]) -> Revision:
        """The next days of every series."""
        rows = days(*series, since=int(self.whole.lengths[0]))
        with self.database.write() as session:
            new = panels.new_revision(rows, self.whole)
            self.revision = datasets.append(session, self.tenant_id, "sales", self.revision.number, new, "cli")
            self.whole = panels.load(session, self.tenant_id, self.revision)
        return self.revision

    def serve(self, version: Version, mean: list[float], at: int | None = None, **changes: Any) -> int:
        """Log that ``version`` said ``mean`` of the series s0 from after its last day on; how many are new."""
        return self.log(self.record(version, mean, at, **changes))

    def log(self, *records: ForecastRecord) -> int:
        with self.database.write() as session:
            return forecast_log.add(session, records)

    def record(self, version: Version, mean: list[float], at: int | None = None, **changes: Any) -> ForecastRecord:
        said = Prediction.of_points(np.array([mean], dtype=np.float64), np.ones((1, 1)))
        fields: dict[str, Any] = {
            "tenant_id": self.tenant_id,
            "version_id": version.id,
            "dataset_id": self.revision.dataset_id,
            "revision": self.revision.number,
            "series": "s0",
            "start_us": START_US + (int(self.whole.lengths[0]) if at is None else at) * DAY_US,
            "horizon": len(mean),
            "said": to_bytes(said, 0),
            "scale": 2.0,
            "stretch": {},
        }
        return ForecastRecord(**(fields | changes))
