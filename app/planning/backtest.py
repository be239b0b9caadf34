"""Job kind ``backtest``: score a version, or the baselines alone, on the end of a data set."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import ConfigDict, Field

from app.planning.job_kind import PinnedVersion, PlanContext, RequestedKind
from app.planning.limits import check_points, check_work
from app.schemas.job_bodies import Baselines, DatasetJobBody, Horizon, VersionName
from app.store.job_limits import JobLimits
from app.store.jobs import NewJob
from models.data.calendar import parse_freq
from models.data.panel import Panel
from models.errors import InputError
from models.evaluation.origins import Origins, origins_of, plan_for
from models.forecasting.forecaster import Member, check_covariates
from models.network.spec import Spec
from models.training.recipes import suggest
from models.types import JsonMapping, JsonObject

BASELINE = "seasonal_naive"  # listed as the model of a backtest without a version
NUMBERS_EACH = 3  # of a step in the file of windows: y, median, mean


class BacktestRequest(DatasetJobBody):
    """Score a version, or the baselines alone, from rolling origins at the end of a data set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "backtest", "version": "electricity@champion", "dataset": "electricity-hourly"}]
        }
    )

    kind: Literal["backtest"]
    version: VersionName | None = Field(None, description="NAME@NUMBER or NAME@ALIAS; seasonal naive if left out.")
    horizon: Horizon | None = Field(None, description="The version's if left out.")
    baselines: Baselines = Field(["theta", "ets"], description="Also scored, if statsforecast is installed.")
    windows: Literal["parquet", "csv"] | None = Field(
        None,
        description="Also write a file with each forecast and the value: unique_id, cutoff, ds, y, median, mean.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestPayload:
    """Plan of a backtest of ``version`` (None: of seasonal naive) and of the statistical ``baselines``.

    ``season`` is that of the version, or of the data if there is none. ``windows``: the format of a file with the
    forecast of each window; None: no file.
    """

    version: PinnedVersion | None
    horizon: int
    season: int
    baselines: tuple[str, ...]
    windows: str | None

    def to_json(self) -> JsonObject:
        """Return the payload as the column ``jobs.request`` stores it."""
        return {**asdict(self), "baselines": list(self.baselines)}

    @classmethod
    def from_json(cls, values: JsonMapping) -> "BacktestPayload":
        """Return the payload that ``to_json`` described."""
        version = None if values["version"] is None else PinnedVersion(**values["version"])
        return cls(**{**values, "version": version, "baselines": tuple(values["baselines"])})


def check_version(members: Sequence[Member], panel: Panel, name: str) -> None:
    """Refuse a panel of another frequency or other covariates than the version ``name`` with ``members`` reads.

    Raises:
        InputError: the difference.
    """
    freq = members[0].spec.freq
    if parse_freq(freq) != panel.freq:
        message = f"{name} has frequency {freq}, the data {panel.freq}"
        hint = "name a version of that frequency, or other data"
        raise InputError.of("bad_field", message, hint, field="version")
    for member in members:
        check_covariates(member.spec, panel)


def plan_origins(panel: Panel, horizon: int, season: int) -> Origins:
    """Return the rolling origins at the end of ``panel``. Raise InputError if all series are too short."""
    return origins_of(panel, plan_for(panel, horizon, season), season)


def check_backtest(limits: JobLimits, specs: Sequence[Spec], origins: Origins, *, has_file: bool) -> None:
    """Refuse a backtest from ``origins`` by members of ``specs`` that exceeds ``limits``. Raise InputError."""
    if has_file:
        check_points(limits, len(origins), origins.horizon, NUMBERS_EACH)
    check_work(limits, specs, len(origins), origins.horizon)


def plan(context: PlanContext, request: BacktestRequest) -> NewJob:
    """Return the job of ``request``.

    Raises:
        NotFound: no such data set, revision or version.
        InputError: the data have another frequency or other covariates than the version, or are too short, or the
            backtest is more work, or has a larger file, than one job may have.
        QuotaExceeded: the files of the tenant have reached their limit.
    """
    if request.windows is not None:
        context.check_storage()
    data, pinned, model = context.data(request.dataset, request.revision), None, BASELINE
    if request.version is None:
        spec = suggest(data.panel, {} if request.horizon is None else {"horizon": request.horizon})
        specs = []
    else:
        pinned, forecaster, _ = context.version(request.version)
        spec, model, specs = forecaster.spec, pinned.model, [member.spec for member in forecaster.members]
        check_version(forecaster.members, data.panel, request.version)
    horizon = request.horizon or spec.horizon
    origins = plan_origins(data.panel, horizon, spec.season)
    check_backtest(context.limits, specs, origins, has_file=request.windows is not None)
    payload = BacktestPayload(
        version=pinned,
        horizon=horizon,
        season=spec.season,
        baselines=tuple(dict.fromkeys(request.baselines)),
        windows=request.windows,
    )
    return context.new_job(request, model, data.revision, payload)


KIND = RequestedKind(name="backtest", request=BacktestRequest, plan=plan, work="app.work.backtest:backtest")
