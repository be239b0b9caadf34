"""Job kind ``forecast``: forecast every series of a data set into a file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from app.planning.job_kind import PinnedVersion, PlanContext, RequestedKind
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
from models.errors import InputError
from models.evaluation.quantiles import check_levels
from models.forecasting.forecaster import check_request
from models.network.spec import Spec
from models.types import JsonMapping, JsonObject


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
    """Plan of a batch forecast: ``horizon`` steps of the series ``ids`` (None: all) into a file of ``format``.

    ``levels``: central intervals, in percent. ``bounds``: lowest and highest value; None: the bounds of the model.
    """

    version: PinnedVersion
    horizon: int
    levels: tuple[int, ...]
    format: str
    ids: tuple[str, ...] | None = None
    quantiles: tuple[float, ...] = ()
    bounds: Bounds | None = None

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
    panel = data.panel if request.ids is None else data.panel.select(request.ids)
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
        ids=None if request.ids is None else tuple(dict.fromkeys(request.ids)),
        quantiles=tuple(sorted(set(request.quantiles))),
        bounds=bounds,
    )
    payload.check(context.limits, specs, len(panel))
    return context.new_job(request, pinned.model, data.revision, payload)


KIND = RequestedKind(name="forecast", request=BatchRequest, plan=plan, work="app.work.forecast:forecast_all")
