"""Forecast as the bytes of a JSON answer; ``app.schemas.forecasts.ForecastAnswer`` describes its fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import orjson

from app.formats import series_rows, warning_of
from app.schemas.forecasts import Skill, VersionRef
from app.serving.alias_state import ResolvedVersion
from models.data.bounds import UNBOUNDED, Bounds
from models.data.calendar import Freq
from models.engines.devices import EngineNote
from models.evaluation.report import BacktestReport
from models.forecasting.forecast import Forecast, Note
from models.training.doubts import doubts_of
from models.types import JsonObject


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """Version, backtest and warnings that an answer states; made once for each version, not for each answer."""

    model: orjson.Fragment
    backtest: orjson.Fragment
    skill: float | None
    warnings: tuple[JsonObject, ...]


@lru_cache(maxsize=1_000)
def provenance_of(version: ResolvedVersion, model: str, members: int, notes: tuple[EngineNote, ...]) -> Provenance:
    """Return the provenance of ``version``; ``model`` is its name in the request, ``notes`` are the loaded model's."""
    reference = VersionRef(
        name=model,
        version=version.number,
        sha256=version.sha256,
        cell=version.spec.cell,
        strategy=version.spec.strategy,
        members=members,
        trained_horizon=version.spec.horizon,
    )
    backtest = skill_of(version.report)
    warnings = [warning_of(doubt) for doubt in doubts_of(version.spec.strategy, version.report)]
    warnings += [{"code": code, "message": message, "unique_id": None} for code, message in (*version.notes, *notes)]
    return Provenance(
        orjson.Fragment(reference.model_dump_json()),
        orjson.Fragment(backtest.model_dump_json()),
        backtest.skill,
        tuple(warnings),
    )


def answer_json(provenance: Provenance, forecast: Forecast) -> bytes:
    """Return the whole answer as JSON. Without notes its head is encoded once for each version, horizon and bounds."""
    if forecast.notes:
        head = _encode_head(head_of(provenance, forecast))
    else:
        head = _plain_head(provenance, forecast.freq, forecast.median.shape[1], forecast.bounds)
    return b"".join((head, orjson.dumps(series_rows(forecast)), b"}"))


def head_of(provenance: Provenance, forecast: Forecast) -> JsonObject:
    """Return the answer without the forecasts themselves."""
    return _head(provenance, forecast.freq, forecast.median.shape[1], forecast.bounds, forecast.notes)


@lru_cache(maxsize=1_000)
def _plain_head(provenance: Provenance, freq: Freq, horizon: int, bounds: Bounds) -> bytes:
    return _encode_head(_head(provenance, freq, horizon, bounds, ()))


def _encode_head(head: JsonObject) -> bytes:
    """Return the answer up to the first series."""
    return orjson.dumps(head).removesuffix(b"}") + b',"forecasts":'


def _head(provenance: Provenance, freq: Freq, horizon: int, bounds: Bounds, notes: Sequence[Note]) -> JsonObject:
    return {
        "model": provenance.model,
        "freq": str(freq),
        "horizon": horizon,
        "skill": provenance.skill,
        "backtest": provenance.backtest,
        "bounds": None if bounds == UNBOUNDED else bounds.to_pair(),
        "warnings": [*provenance.warnings, *map(warning_of, notes)],
    }


def skill_of(report: BacktestReport) -> Skill:
    """Return the skill, MASE and coverage that an answer states, taken from a backtest report."""
    return Skill(
        skill=report.skill,
        mase=report.scores["model"]["mase"],
        seasonal_naive_mase=report.scores["seasonal_naive"]["mase"],
        horizon=report.horizon,
        windows=report.windows,
        coverage=dict(report.coverage),
    )
