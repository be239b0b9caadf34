"""Job kind ``forecast``: forecast every series of a data set into a file."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.planning.job_kind import PinnedVersion, PlanContext, RequestedKind
from app.schemas.base import Texts
from app.schemas.job_bodies import DatasetJobBody, Horizon, VersionName
from app.store.jobs import NewJob
from models.errors import InputError
from models.forecasting.forecaster import check_request
from models.types import JsonMapping, JsonObject

Level = Annotated[int, Field(ge=1, le=99)]


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
    levels: Annotated[list[Level], Field(max_length=10, fail_fast=True)] = Field(
        [80], description="Central intervals, in percent."
    )
    format: Literal["parquet", "csv"] = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPayload:
    """Plan of a batch forecast: ``horizon`` steps of the series ``ids`` (None: all) into a file of ``format``.

    ``levels``: central intervals, in percent.
    """

    version: PinnedVersion
    horizon: int
    levels: tuple[int, ...]
    format: str
    ids: tuple[str, ...] | None = None

    def to_json(self) -> JsonObject:
        """Return the payload as the column ``jobs.request`` stores it."""
        ids = None if self.ids is None else list(self.ids)
        return {**asdict(self), "levels": list(self.levels), "ids": ids}

    @classmethod
    def from_json(cls, values: JsonMapping) -> "ForecastPayload":
        """Return the payload that ``to_json`` described."""
        ids = None if values["ids"] is None else tuple(values["ids"])
        version, levels = PinnedVersion(**values["version"]), tuple(values["levels"])
        return cls(**{**values, "version": version, "levels": levels, "ids": ids})


def plan(context: PlanContext, request: BatchRequest) -> NewJob:
    """Return the job of ``request``.

    Raises:
        NotFound: no such data set, revision or version.
        InputError: a horizon or level that the version cannot forecast, or data that it cannot read.
    """
    pinned, forecaster, _ = context.version(request.version)
    data = context.data(request.dataset, request.revision)
    horizon, limit = request.horizon or forecaster.spec.horizon, context.settings.max_horizon
    if horizon > limit:
        hint = f"ask for at most {limit}, or raise FORECASTLE_MAX_HORIZON"
        raise InputError.of("bad_field", f"a horizon of {horizon} is over the limit", hint, field="horizon")
    panel = data.panel if request.ids is None else data.panel.select(request.ids)
    check_request([member.spec for member in forecaster.members], panel, horizon)
    for level in request.levels:
        forecaster.calibration.radius(level, 1)
    payload = ForecastPayload(
        version=pinned,
        horizon=horizon,
        levels=tuple(sorted(set(request.levels))),
        format=request.format,
        ids=None if request.ids is None else tuple(dict.fromkeys(request.ids)),
    )
    return context.new_job(request, pinned.model, data.revision, payload)


KIND = RequestedKind(name="forecast", request=BatchRequest, plan=plan, work="app.work.forecast:forecast_all")
