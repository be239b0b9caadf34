"""POST /v1/forecasts: history in, forecasts with intervals out."""

from typing import Any

import numpy as np
from fastapi import APIRouter

from app.api.service import Caller, Service, The, problems
from app.schemas import ForecastAnswer, ForecastRequest, Interval, SeriesForecast, Skill, VersionRef, WarningAnswer
from app.store import datasets, panels, registry
from app.store.tables import Version
from models.errors import Fault, InputError
from models.forecaster import Forecast, forecast
from models.panel import Panel, panel_from_columns

router = APIRouter(tags=["forecasts"])


@router.post("/v1/forecasts", responses=problems(404, 500, 503), summary="Forecast series")
def post_forecast(request: ForecastRequest, the: The, caller: Caller) -> ForecastAnswer:
    """Forecast inline history or series of a stored data set with a registered version of a model."""
    try:
        answer = make_forecast(the, caller.tenant_id, request)
    except Exception:
        the.telemetry.forecast_made("error")
        raise
    the.telemetry.forecast_made("ok", len(answer.forecasts))
    return answer


def make_forecast(the: Service, tenant_id: int, request: ForecastRequest) -> ForecastAnswer:
    """The answer to ``request``.

    Raises:
        NotFound: no such model, version, alias, data set or revision for this tenant.
        InputError: the history cannot be used, or too much is asked for.
        CorruptBundle, BundleError, ModelBroken: the version cannot be served.
    """
    with the.database.read() as session:
        version = registry.resolve(session, tenant_id, request.model, request.version, request.alias)
        panel = None
        if request.dataset is not None:
            revision = datasets.revision(session, tenant_id, request.dataset.name, request.dataset.revision)
            panel = panels.load(session, tenant_id, revision)
    horizon = request.horizon or int(version.spec["horizon"])
    panel = _history(request) if panel is None else _chosen(panel, request)
    _check_size(the, len(panel), horizon)
    loaded = the.loaded.get(tenant_id, version.id)
    made = forecast(loaded.forecaster, loaded.engine, panel, horizon, request.levels)
    return _answer(request.model, version, made)


def _history(request: ForecastRequest) -> Panel:
    history = request.history
    assert history is not None  # the schema: one of the two
    if len(history.ds) == 1 and request.freq is None:
        message, hint = "one timestamp has no frequency", "name it in 'freq'"
        raise InputError([Fault(code="unknown_frequency", field="freq", message=message, hint=hint)])
    return panel_from_columns(history.unique_id, history.ds, history.y, request.freq)


def _chosen(panel: Panel, request: ForecastRequest) -> Panel:
    ids = request.dataset.ids if request.dataset is not None else None
    return panel if ids is None else panel.select(ids)


def _check_size(the: Service, series: int, horizon: int) -> None:
    settings = the.settings
    if horizon > settings.max_horizon:
        message = f"{horizon if horizon < 10**15 else 'so many'} steps are asked for"
        hint = f"ask for at most {settings.max_horizon}"
        raise InputError([Fault(code="horizon_too_long", field="horizon", message=message, hint=hint)])
    if series * horizon > settings.max_forecast_points:
        message = f"{series} series of {horizon} steps are {series * horizon} values"
        hint = f"ask for at most {settings.max_forecast_points} at a time"
        raise InputError([Fault(code="answer_too_large", field="horizon", message=message, hint=hint)])


def _answer(model: str, version: Version, made: Forecast) -> ForecastAnswer:
    backtest = skill_of(version.scores)
    warnings = [WarningAnswer(code=n.code, message=n.message, unique_id=n.unique_id) for n in made.notes]
    if backtest.skill is None or backtest.skill <= 0:
        message = "in its backtest this version was not better than seasonal naive"
        warnings.insert(0, WarningAnswer(code="no_skill", message=message))
    return ForecastAnswer(
        model=VersionRef(
            name=model,
            version=version.number,
            sha256=version.sha256,
            cell=version.spec["cell"],
            strategy=version.spec["strategy"],
            trained_horizon=version.spec["horizon"],
        ),
        freq=str(made.freq),
        horizon=made.mean.shape[1],
        skill=backtest.skill,
        backtest=backtest,
        warnings=warnings,
        forecasts=[_series(made, i) for i in range(len(made.ids))],
    )


def _series(made: Forecast, i: int) -> SeriesForecast:
    intervals = {
        str(level): Interval(lo=(made.mean[i] - radius[i]).tolist(), hi=(made.mean[i] + radius[i]).tolist())
        for level, radius in made.radii.items()
    }
    stamps = np.datetime_as_string(made.times(i), unit="auto" if _has_fractions(made, i) else "s").tolist()
    return SeriesForecast(unique_id=made.ids[i], ds=stamps, mean=made.mean[i].tolist(), intervals=intervals)


def _has_fractions(made: Forecast, i: int) -> bool:
    return int(made.starts[i].astype("datetime64[us]").astype(np.int64)) % 1_000_000 != 0


def skill_of(scores: dict[str, Any]) -> Skill:
    """The short form of a version's scores."""
    return Skill(
        skill=scores["skill"],
        mase=scores["scores"]["model"]["mase"],
        seasonal_naive_mase=scores["scores"]["seasonal_naive"]["mase"],
        horizon=scores["horizon"],
        windows=scores["windows"],
        coverage=scores["coverage"],
    )
