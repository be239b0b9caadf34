"""POST /v1/forecasts: history in, forecasts with intervals out."""

from collections.abc import Iterator, Sequence
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Response

from app.api.asked import asked
from app.api.service import Caller, Service, The, problems
from app.problems import Unavailable
from app.schemas import ForecastAnswer, ForecastRequest, Interval, SeriesForecast, Skill, VersionRef, WarningAnswer
from app.settings import Settings
from app.store import datasets, panels, registry
from app.store.tables import Version
from models.errors import Fault, InputError
from models.forecaster import Forecast, forecast
from models.spec import Spec

router = APIRouter(tags=["forecasts"])

MOST_WAITING = 64


@router.post(
    "/v1/forecasts", response_model=ForecastAnswer, responses=problems(404, 500, 503), summary="Forecast series"
)
async def post_forecast(request: ForecastRequest, the: The, caller: Caller) -> Response:
    """Forecast inline history or series of a stored data set with a registered version of a model."""
    if the.forecast_slots.statistics().tasks_waiting >= MOST_WAITING:
        raise Unavailable("too many forecasts are waiting; try again in a few seconds")
    # Threads of their own: however long forecasts take, the rest of the service answers.
    content = await anyio.to_thread.run_sync(_forecast, the, caller.tenant_id, request, limiter=the.forecast_slots)
    return Response(content, media_type="application/json")


def _forecast(the: Service, tenant_id: int, request: ForecastRequest) -> bytes:
    try:
        answer = make_forecast(the, tenant_id, request)
    except Exception:
        the.telemetry.forecast_made("error")
        raise
    the.telemetry.forecast_made("ok", len(answer.forecasts))
    return answer.model_dump_json().encode()


def make_forecast(the: Service, tenant_id: int, request: ForecastRequest) -> ForecastAnswer:
    """The answer to ``request``.

    Raises:
        NotFound: no such model, version, alias, data set or revision for this tenant.
        InputError: the history cannot be used, or too much is asked for.
        CorruptBundle, BundleError, ModelBroken: the version cannot be served.
    """
    with the.database.read() as session:
        version = registry.resolve(session, tenant_id, request.model, request.version, request.alias)
        stored = None
        if request.dataset is not None:
            revision = datasets.revision(session, tenant_id, request.dataset.name, request.dataset.revision)
            stored = panels.load(session, tenant_id, revision)
    horizon = request.horizon or int(version.spec["horizon"])
    panel = asked(request, stored, version.spec["freq"])
    _check_size(the.settings, len(panel), horizon, len(request.levels))
    loaded = the.loaded.get(tenant_id, version.id)
    _check_work(the.settings, [member.spec for member in loaded.forecaster.members], len(panel), horizon)
    made = forecast(loaded.networks, loaded.forecaster.calibration, panel, horizon, request.levels)
    return _answer(request.model, version, len(loaded.networks), made)


def _check_size(settings: Settings, series: int, horizon: int, levels: int) -> None:
    if horizon > settings.max_horizon:
        message = f"{horizon if horizon < 10**15 else 'so many'} steps are asked for"
        raise _too_much("horizon_too_long", message, f"ask for at most {settings.max_horizon}")
    numbers = series * horizon * (1 + 2 * levels)
    if numbers > settings.max_forecast_points:
        message = f"{series} series of {horizon} steps with {levels} levels are {numbers} numbers"
        hint = f"ask for at most {settings.max_forecast_points} at a time: fewer series, steps or levels"
        raise _too_much("answer_too_large", message, hint)


def _check_work(settings: Settings, specs: Sequence[Spec], series: int, horizon: int) -> None:
    gflop = series * sum(spec.forecast_flop(horizon) for spec in specs) / 1e9
    if gflop > settings.max_forecast_gflop:
        message = f"{series} series of {horizon} steps would take this model {gflop:.0f} billion operations"
        hint = f"ask for at most {settings.max_forecast_gflop} billion at a time: fewer series or steps"
        raise _too_much("too_much_work", message, hint)


def _too_much(code: str, message: str, hint: str) -> InputError:
    return InputError([Fault(code=code, field="horizon", message=message, hint=hint)])


def _answer(model: str, version: Version, members: int, made: Forecast) -> ForecastAnswer:
    backtest = skill_of(version.scores)
    warnings = [WarningAnswer(code=n.code, message=n.message, unique_id=n.unique_id) for n in made.notes]
    return ForecastAnswer(
        model=VersionRef(
            name=model,
            version=version.number,
            sha256=version.sha256,
            cell=version.spec["cell"],
            strategy=version.spec["strategy"],
            members=members,
            trained_horizon=version.spec["horizon"],
        ),
        freq=str(made.freq),
        horizon=made.mean.shape[1],
        skill=backtest.skill,
        backtest=backtest,
        warnings=[*_doubts(version, backtest), *warnings],
        forecasts=[_series(made, i) for i in range(len(made.ids))],
    )


def _doubts(version: Version, backtest: Skill) -> Iterator[WarningAnswer]:
    """What is to be known of the version itself."""
    if version.spec["strategy"] == "seasonal_naive":
        message = "this version is seasonal naive itself: nothing that was taught did better when it was chosen"
        yield WarningAnswer(code="baseline_served", message=message)
    elif backtest.skill is None or backtest.skill <= 0:
        message = "in its backtest this version was not better than seasonal naive"
        yield WarningAnswer(code="no_skill", message=message)
    if version.scores.get("parent_knew_backtest"):
        message = "the version that this one went on from had been taught some of its backtest; expect less skill"
        yield WarningAnswer(code="optimistic_backtest", message=message)


def _series(made: Forecast, i: int) -> SeriesForecast:
    intervals = {
        str(level): Interval(lo=bounds.lo[i].tolist(), hi=bounds.hi[i].tolist())
        for level, bounds in made.intervals.items()
    }
    return SeriesForecast(unique_id=made.ids[i], ds=made.stamps(i), mean=made.mean[i].tolist(), intervals=intervals)


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
