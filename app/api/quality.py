"""/v1/models/{name}/quality: realised accuracy of served forecasts."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from app.api.http.services import Caller, CurrentService, PathName, problems
from app.schemas.quality import BandAnswer, QualityAnswer, RealisedAnswer, ShadowAnswer
from app.settings import Settings
from app.store import interval_scales, quality, registry
from app.store.quality import WINDOW_DAYS, Quality
from app.store.tables import Version
from models.evaluation.horizon_parts import BEYOND, PARTS
from models.evaluation.scoring import REPORTED_LEVELS
from models.types import Floats

router = APIRouter(tags=["models"])

Number = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="By default the champion.")]
Days = Annotated[int, Query(ge=1, le=3_650, description="Values that arrived in the last so many days.")]


@router.get("/v1/models/{name}/quality", responses=problems(404), summary="Show realised quality")
def get_quality(
    name: PathName, service: CurrentService, caller: Caller, version: Number = None, days: Days = WINDOW_DAYS
) -> QualityAnswer:
    """Return the realised error, bias and coverage of a version, beside its backtest and its challengers.

    They are computed from a logged sample of its forecasts of stored data sets, after the actual values have arrived.
    Challengers have forecast the same requests.
    """
    with service.database.read() as session:
        found = registry.resolve(session, caller.tenant_id, name, version, None)
        served = quality.of_version(session, found, days)
        scales = interval_scales.load(session, [found.id]).get(found.id)
        return QualityAnswer(
            model=name,
            version=found.number,
            days=days,
            served=_realised(served),
            reason=None if served.points else _reason(quality.waiting(session, found), service.settings),
            bands=[_band(band, one) for band, one in quality.by_band(session, found, days).items()],
            shadows=_shadows(session, found, days),
            adapted=None if scales is None else _by_level(scales[:BEYOND].mean(axis=0)),
            adapted_by_steps=None
            if scales is None
            else {part: _by_level(row) for part, row in zip(PARTS, scales, strict=True)},
        )


def _reason(waiting: int, settings: Settings) -> str:
    """Return why a version has no realised quality."""
    if settings.forecast_log_share == 0:
        return "FORECASTLE_FORECAST_LOG_SHARE is 0: no forecast is logged"
    if waiting:
        return f"{waiting} logged forecasts wait for actual values; append the rows of those times to the data set"
    return (
        "no forecast of a stored data set was logged in this time; forecasts of inline history, of a revision named by "
        "number and of sessions are not, because no actual values arrive for them"
    )


def _realised(found: Quality) -> RealisedAnswer:
    return RealisedAnswer(
        forecasts=found.forecasts,
        points=found.points,
        mase=found.mase,
        backtest_mase=found.backtest_mase,
        drift=found.drift,
        confidence=found.confidence,
        bias=found.bias,
        coverage=_texts(found.coverage),
    )


def _band(band: int, found: Quality) -> BandAnswer:
    return BandAnswer(
        from_step=2**band,
        to_step=2 ** (band + 1) - 1,
        points=found.points,
        mase=found.mase,
        backtest_mase=found.backtest_mase,
        bias=found.bias,
        coverage=_texts(found.coverage),
    )


def _shadows(session: Session, version: Version, days: int) -> list[ShadowAnswer]:
    return [
        ShadowAnswer(
            challenger=one.challenger,
            points=one.points,
            mase=one.mase,
            served_mase=one.champion_mase,
            gain=one.gain,
            confidence=one.confidence,
        )
        for one in quality.comparisons(session, version, days)
    ]


def _by_level(scales: Floats) -> dict[str, float]:
    """Return the factors (99,) of the reported levels."""
    return {str(level): float(scales[level - 1]) for level in REPORTED_LEVELS}


def _texts(coverage: Mapping[int, float | None]) -> dict[str, float | None]:
    return {str(level): share for level, share in coverage.items()}
