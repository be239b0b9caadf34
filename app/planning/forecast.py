"""Job kind ``forecast``: forecast every series of a data set into a file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from app.planning.job_kind import JobDetails, PinnedVersion, PlanContext, RequestedKind
from app.planning.limits import check_points, check_work
from app.schemas.base import Texts
from app.schemas.forecasts import (
    BOUNDS,
    LEVELS,
    MAX_LEVELS,
    MAX_QUANTILES,
    NON_NEGATIVE,
    QUANTILES,
    BoundPair,
    Level,
    Quantile,
    check_pair,
)
from app.schemas.job_bodies import DatasetJobBody, Horizon, VersionName
from app.store.job_limits import JobLimits
from app.store.jobs import NewJob
from models.data.bounds import Bounds, check_bounds, merge_bounds, replace_bounds
from models.data.panel import Panel
from models.errors import InputError
from models.evaluation.quantiles import check_levels
from models.forecasting.forecaster import check_request
from models.network.spec import Spec
from models.types import JsonMapping, JsonObject

MAX_SHOWN_IDS = 5  # of a job that names its series


class BatchRequest(DatasetJobBody):
    """Forecast every series of a data set into a file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "forecast", "version": "electricity@champion", "dataset": "electricity-hourly", "horizon": 24}
            ]
        }
    )

    kind: Literal["forecast"]
    version: VersionName
    ids: Annotated[Texts, Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="Only these series, in this order."
    )
    horizon: Horizon | None = Field(None, description="The version's if left out.")
    levels: Annotated[list[Level], Field(max_length=MAX_LEVELS, fail_fast=True)] = Field([80], description=LEVELS)
    quantiles: Annotated[list[Quantile], Field(max_length=MAX_QUANTILES, fail_fast=True)] = Field(
        [], description=QUANTILES
    )
    non_negative: bool | None = Field(None, description=NON_NEGATIVE)
    bounds: BoundPair | None = Field(None, description=BOUNDS)
    format: Literal["parquet", "csv"] = "parquet"

    @model_validator(mode="after")
    def _consistent(self) -> "BatchRequest":
        check_pair(self.non_negative, self.bounds)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPayload:
    """Plan of a batch forecast: ``horizon`` steps of the selected series (None: all) into a file of ``format``.

    ``positions``: those of the selected series in the revision; ``ids``: the first few, of ``ids_total``, for people.
    Jobs of earlier releases have all ``ids`` and no positions. ``levels``: central intervals, in percent. ``bounds``:
    lowest and highest value; None: the bounds of the model.
    """

    version: PinnedVersion
    horizon: int
    levels: tuple[int, ...]
    format: str
    ids: tuple[str, ...] | None = None
    ids_total: int | None = None
    positions: tuple[int, ...] | None = None
    quantiles: tuple[float, ...] = ()
    bounds: Bounds | None = None

    def select(self, panel: Panel) -> Panel:
        """Return the selected series of ``panel``, the content of the revision, in the order of the request."""
        if self.positions is not None:
            return panel.select([panel.ids[position] for position in self.positions])
        return panel if self.ids is None else panel.select(self.ids)

    @property
    def numbers_each(self) -> int:
        """Return the numbers of one step: median, mean, intervals and quantiles."""
        return 2 + 2 * len(self.levels) + len(self.quantiles)

    def check(self, limits: JobLimits, specs: Sequence[Spec], series: int) -> None:
        """Refuse forecasts of so many ``series`` by members of ``specs`` that exceed ``limits``. Raise InputError."""
        check_points(limits, series, self.horizon, self.numbers_each)
        check_work(limits, specs, series, self.horizon)

    def to_json(self) -> JsonObject:
        """Return the payload as the column ``jobs.request`` stores it."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {**values, "bounds": None if self.bounds is None else self.bounds.to_pair()}

    @classmethod
    def from_json(cls, values: JsonMapping) -> "ForecastPayload":
        """Return the payload that ``to_json`` described; earlier releases wrote neither quantiles nor bounds."""
        bounds = values.get("bounds")
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        fixed = {
            "version": PinnedVersion(**values["version"]),
            "bounds": None if bounds is None else merge_bounds(False, bounds),
        }
        return cls(**{**values, **lists, **fixed})


def select_series(panel: Panel, ids: Sequence[str] | None) -> dict[str, Any]:
    """Return the fields of the payload that select the series ``ids`` of ``panel``, none if that is None.

    Positions and the first few ids are stored: 10,000 ids of 128 characters took 7 MB in each job.
    """
    if ids is None:
        return {}
    place = {name: position for position, name in enumerate(panel.ids)}
    return {"ids": tuple(ids[:MAX_SHOWN_IDS]), "ids_total": len(ids), "positions": tuple(place[name] for name in ids)}


def payload_details(values: JsonMapping) -> JobDetails:
    """Return the details of a batch forecast: its payload with the first few ids and no positions."""
    ids = values.get("ids")
    shown = {name: value for name, value in values.items() if name != "positions"}
    if ids is not None:
        shown |= {"ids": ids[:MAX_SHOWN_IDS], "ids_total": values.get("ids_total") or len(ids)}
    return JobDetails(order=shown)


def plan(context: PlanContext, request: BatchRequest) -> NewJob:
    """Return the job of ``request``.

    Raises:
        NotFound: no such data set, revision or version.
        InputError: a horizon or level that the version cannot forecast, data that it cannot read, or more output or
            work than one job may have.
        QuotaExceeded: the files of the tenant have reached their limit.
    """
    context.check_storage()
    pinned, forecaster, _ = context.version(request.version)
    data = context.data(request.dataset, request.revision)
    horizon, limit = request.horizon or forecaster.spec.horizon, context.settings.max_horizon
    if horizon > limit:
        hint = f"ask for at most {limit}, or raise FORECASTLE_MAX_HORIZON"
        raise InputError.of("bad_field", f"a horizon of {horizon} is over the limit", hint, field="horizon")
    ids = None if request.ids is None else list(dict.fromkeys(request.ids))
    panel = data.panel if ids is None else data.panel.select(ids)
    specs = [member.spec for member in forecaster.members]
    check_request(specs, panel, horizon)
    bounds = replace_bounds(forecaster.spec.bounds, request.non_negative, request.bounds)
    if bounds is not None:
        check_bounds(panel, bounds, "non_negative" if request.bounds is None else "bounds")
    check_levels(forecaster.calibration, request.levels, request.quantiles)
    payload = ForecastPayload(
        version=pinned,
        horizon=horizon,
        levels=tuple(sorted(set(request.levels))),
        format=request.format,
        quantiles=tuple(sorted(set(request.quantiles))),
        bounds=bounds,
        **select_series(data.panel, ids),
    )
    payload.check(context.limits, specs, len(panel))
    return context.new_job(request, pinned.model, data.revision, payload)


KIND = RequestedKind(
    name="forecast", request=BatchRequest, plan=plan, work="app.work.forecast:forecast_all", details=payload_details
)
